"""A loop over numbers in each task, which an array library does in one go.

:headline: PW028
:first: code
"""

from multiprocessing import Pool

ITEMS = 60


def integral(start):
    total = 0.0
    for step in range(200_000):
        x = start + step * 1e-5
        total += 3.0 * x * x + 2.0 * x + 1.0
    return total


def main():
    with Pool(2) as pool:
        print(round(sum(pool.map(integral, range(ITEMS), chunksize=3)), 3))


if __name__ == "__main__":
    main()
