"""Blocks of honest work in two workers.

:headline: HEALTHY
"""

from multiprocessing import Pool

ITEMS = 60


def work(block):
    total = 0
    for step in range(250_000):
        total += (step * block) % 13
    return total


def main():
    with Pool(2) as pool:
        print(sum(pool.map(work, range(ITEMS), chunksize=3)))


if __name__ == "__main__":
    main()
