"""Sixteen threads wait for downloads and feed two processes that decode.

:verdict: healthy
"""

import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from effort import compute


def download(part):
    time.sleep(0.050)
    return bytes([part % 256]) * 20_000


def decode(body):
    return len(body) + compute(6)


def main():
    with ThreadPoolExecutor(16) as threads, ProcessPoolExecutor(2) as processes:
        bodies = threads.map(download, range(120))
        print(sum(processes.map(decode, bodies, chunksize=4)))


if __name__ == "__main__":
    main()
