"""Distances in a table that each tuple of a starmap carries.

:headline: PW006
:first: share, poolwise, initializer, serial
:needs: numpy
"""

import multiprocessing as mp

import numpy as np

ITEMS = 80


def longest_way(roads, town):
    return float(np.sort(roads[town])[-10:].sum())


def main():
    roads = np.random.default_rng(3).random((1000, 1000))
    jobs = [(roads, town) for town in range(ITEMS)]
    with mp.Pool(2) as pool:
        ways = pool.starmap(longest_way, jobs, chunksize=1)
    print(round(max(ways), 6))


if __name__ == "__main__":
    main()
