"""Each task waits for a page, then parses it.

:headline: PW008
:first: workers, threads
"""

import time
from multiprocessing import Pool

ITEMS = 160


def handle(number):
    time.sleep(0.012)
    words = {}
    for position in range(200_000):
        words[position % 97] = position * number
    return len(words)


def main():
    with Pool(2) as pool:
        print(sum(pool.map(handle, range(ITEMS))))


if __name__ == "__main__":
    main()
