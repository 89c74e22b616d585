"""Blocks of honest work in two workers.

:headline: HEALTHY
"""

from multiprocessing import Pool

ITEMS = 60


def work(block):
    seen = {}
    for step in range(200_000):
        seen[step * block % 997] = step
    return sum(seen.values())


def main():
    with Pool(2) as pool:
        print(sum(pool.map(work, range(ITEMS), chunksize=3)))


if __name__ == "__main__":
    main()
