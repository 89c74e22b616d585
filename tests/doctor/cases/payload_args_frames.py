"""Frames of 4 MB are sent to workers that only take the mean.

:verdict: payload-args
:also: slower-than-serial
:needs: numpy
"""

from multiprocessing import Pool

import numpy as np


def brightness(frame):
    return frame.mean()


def main():
    rng = np.random.default_rng(1)
    film = [rng.random((500, 1000)) for _ in range(60)]
    with Pool(2) as pool:
        levels = pool.map(brightness, film, chunksize=1)
    print(max(levels))


if __name__ == "__main__":
    main()
