"""Twelve workers that compute.

:headline: PW015
:first: workers
:cpus: 2
"""

from multiprocessing import Pool

ITEMS = 240


def solve(number):
    total = 0
    for step in range(100_000):
        total += (step * number) % 7
    return total


def main():
    with Pool(processes=12) as pool:
        print(sum(pool.map(solve, range(ITEMS), chunksize=2)))


if __name__ == "__main__":
    main()
