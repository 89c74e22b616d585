"""Sums of columns of one large array, which partial binds.

:headline: PW006
:first: poolwise, share, initializer, serial
:needs: numpy
"""

import functools
from multiprocessing import Pool

import numpy as np

ITEMS = 100


def column_sum(table, column):
    return float(table[:, column].sum())


def main():
    table = np.arange(1_000_000.0).reshape(-1, 10)
    columns = [number % 10 for number in range(ITEMS)]
    with Pool(2) as pool:
        sums = pool.map(functools.partial(column_sum, table), columns, chunksize=1)
    print(sum(sums))


if __name__ == "__main__":
    main()
