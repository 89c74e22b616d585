"""Columns of a memory-mapped file; each task sets the column in its own copy.

:headline: PW006
:also: PW004
:first: poolwise, share, initializer, serial
:needs: numpy
"""

import tempfile
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np

ITEMS = 80


def column(data, index):
    value = float(data[:, index].sum())
    data[:, index] = -5.0
    return value


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cube.dat"
        data = np.memmap(path, dtype="f8", mode="w+", shape=(10_000, 100))
        data[:] = np.arange(100.0)
        data.flush()
        with Pool(2) as pool:
            values = pool.map(partial(column, data), [n % 100 for n in range(ITEMS)], chunksize=1)
        print(sum(values), float(np.fromfile(path).min()))


if __name__ == "__main__":
    main()
