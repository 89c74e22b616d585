"""Each task waits 8 ms for its input and computes 8 ms on it.

:verdict: mixed-cpu-io
:also: io-bound
"""

import time
from multiprocessing import Pool

from effort import compute


def fetch(key):
    time.sleep(0.008)
    return key


def fetch_and_parse(key):
    return compute(8) + fetch(key)


def main():
    with Pool(2) as pool:
        print(sum(pool.map(fetch_and_parse, range(120))))


if __name__ == "__main__":
    main()
