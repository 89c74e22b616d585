"""Sixty million bytes in shared memory; tasks are pairs of numbers.

:verdict: healthy
"""

from collections import Counter
from multiprocessing import Pool
from multiprocessing.shared_memory import SharedMemory

STEP = 500_000
block = None


def attach(name):
    global block
    block = SharedMemory(name=name)


def histogram(start):
    return Counter(bytes(block.buf[start : start + STEP])).most_common(3)


def main():
    memory = SharedMemory(create=True, size=60_000_000)
    try:
        with Pool(2, initializer=attach, initargs=(memory.name,)) as pool:
            starts = range(0, 60_000_000, STEP)
            print(len(pool.map(histogram, starts, chunksize=2)))
    finally:
        memory.close()
        memory.unlink()


if __name__ == "__main__":
    main()
