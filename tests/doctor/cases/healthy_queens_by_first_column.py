"""Ways to place queens, one task for each pair of first columns.

:verdict: healthy
"""

from itertools import product
from multiprocessing import Pool

SIZE = 13


def count(row, columns, rising, falling):
    if row == SIZE:
        return 1
    ways, free = 0, ~(columns | rising | falling) & ((1 << SIZE) - 1)
    while free:
        spot = free & -free
        free ^= spot
        ways += count(row + 1, columns | spot, (rising | spot) << 1, (falling | spot) >> 1)
    return ways


def count_from(first, second):
    a, b = 1 << first, 1 << second
    if a == b or a << 1 == b or a >> 1 == b:
        return 0
    return count(2, a | b, (a << 1 | b) << 1, (a >> 1 | b) >> 1)


def main():
    with Pool(2) as pool:
        print(sum(pool.starmap(count_from, product(range(SIZE), repeat=2), chunksize=3)))


if __name__ == "__main__":
    main()
