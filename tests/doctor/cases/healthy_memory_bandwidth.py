"""Workers stream through arrays far larger than the caches: slower side by side, and no fault.

:verdict: healthy
:needs: numpy
"""

from multiprocessing import Pool

import numpy as np

field = None


def allocate():
    global field
    field = np.ones(6_000_000)


def sweep(step):
    np.multiply(field, 1.0000001, out=field)
    np.add(field, step, out=field)
    return field[step]


def main():
    with Pool(2, initializer=allocate) as pool:
        print(sum(pool.map(sweep, range(160), chunksize=4)))


if __name__ == "__main__":
    main()
