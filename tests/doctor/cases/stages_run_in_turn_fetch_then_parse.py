"""Threads wait for four hundred pages, a list of them is made, and then processes parse it.

:verdict: stages-run-in-turn
:also: io-bound
"""

import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from effort import compute


def fetch(number):
    time.sleep(0.040)
    return bytes([number % 256]) * 2000


def parse(page):
    return len(page) + compute(5)


def main():
    with ThreadPoolExecutor(20) as threads:
        pages = list(threads.map(fetch, range(400)))
    with ProcessPoolExecutor(2) as processes:
        print(sum(processes.map(parse, pages, chunksize=4)))


if __name__ == "__main__":
    main()
