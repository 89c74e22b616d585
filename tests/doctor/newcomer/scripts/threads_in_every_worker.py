"""Matrices are multiplied in two workers, with a thread for each CPU in both.

:headline: PW014
:first: code
:needs: numpy
"""

from multiprocessing import Pool

import numpy as np

ITEMS = 24


def multiply(seed):
    matrix = np.random.default_rng(seed).random((600, 600))
    for _ in range(4):
        matrix = matrix @ matrix
        matrix /= matrix.max()
    return round(float(matrix.mean()), 6)


def main():
    with Pool(2) as pool:
        means = pool.map(multiply, range(ITEMS), chunksize=1)
    print(round(sum(means), 3))


if __name__ == "__main__":
    main()
