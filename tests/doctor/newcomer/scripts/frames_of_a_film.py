"""Frames of 4 MB travel to workers that take the mean.

:headline: PW004
:also: PW002
:first: code, serial, share, poolwise, threads
:needs: numpy
"""

from multiprocessing import Pool

import numpy as np

ITEMS = 60


def brightness(frame):
    return float(frame.mean())


def main():
    rng = np.random.default_rng(1)
    film = [rng.random((500, 1000)) for _ in range(ITEMS)]
    with Pool(2) as pool:
        levels = pool.map(brightness, film, chunksize=1)
    print(round(max(levels), 9))


if __name__ == "__main__":
    main()
