"""Every task returns a field of 4 MB that costs almost nothing to make.

:verdict: payload-results
:also: slower-than-serial, not-worth-a-pool
:needs: numpy
"""

from multiprocessing import Pool

import numpy as np


def fill(level):
    field = np.empty((1000, 500))
    field[:] = level
    return field


def main():
    largest = 0.0
    with Pool(2) as pool:
        for field in pool.imap_unordered(fill, range(80)):
            largest = max(largest, field[0, 0])
    print(largest)


if __name__ == "__main__":
    main()
