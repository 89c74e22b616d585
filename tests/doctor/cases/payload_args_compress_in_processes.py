"""Blobs of 4 MB go to processes for a compression that threads could do without sending them.

:verdict: payload-args
:also: slower-than-serial
"""

import random
import zlib
from concurrent.futures import ProcessPoolExecutor


def compressed_size(blob):
    return len(zlib.compress(blob, level=1))


def main():
    source = random.Random(7)
    blobs = [source.randbytes(100_000) * 40 for _ in range(40)]
    with ProcessPoolExecutor(max_workers=2) as executor:
        print(sum(executor.map(compressed_size, blobs)))


if __name__ == "__main__":
    main()
