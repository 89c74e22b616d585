"""A generator for each task, seeded with its number: streams differ, results repeat.

:verdict: healthy
:needs: numpy
"""

from multiprocessing import Pool

import numpy as np
from effort import compute


def walk(number):
    compute(4)
    return np.random.default_rng([42, number]).normal(size=100).cumsum()[-1]


def main():
    with Pool(2) as pool:
        print(np.mean(pool.map(walk, range(300))))


if __name__ == "__main__":
    main()
