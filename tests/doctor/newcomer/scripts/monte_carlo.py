"""Pi by throwing darts, ten to a message.

:headline: PW001
:first: serial, chunksize, poolwise
"""

import random
from multiprocessing import Pool

ITEMS = 300_000


def in_circle(number):
    dart = random.Random(number) if number % 1000 == 0 else random
    x, y = dart.random(), dart.random()
    return x * x + y * y <= 1.0


def main():
    with Pool(2) as pool:
        hits = sum(pool.imap_unordered(in_circle, range(ITEMS), chunksize=10))
    print(round(4 * hits / ITEMS, 1) in {3.0, 3.1, 3.2})


if __name__ == "__main__":
    main()
