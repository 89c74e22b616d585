"""Forked workers draw from numpy's global generator: all of them draw the same numbers.

:verdict: duplicated-random-streams
:needs: numpy
"""

from multiprocessing import Pool

import numpy as np
from effort import compute


def walk(_):
    compute(4)
    return np.random.normal(size=100).cumsum()[-1]


def main():
    np.random.seed(1)
    with Pool(2) as pool:
        print(np.mean(pool.map(walk, range(300))))


if __name__ == "__main__":
    main()
