"""Two processes multiply matrices with a library that starts a thread for every CPU in each.

:verdict: oversubscribed-threads
:needs: numpy
"""

from multiprocessing import Pool

import numpy as np


def iterate(seed):
    step = np.random.default_rng(seed).random((500, 500))
    state = step
    for _ in range(4):
        state = state @ step
        state /= state.max()
    return state[0, 0]


def main():
    with Pool(2) as pool:
        print(sum(pool.map(iterate, range(60), chunksize=2)))


if __name__ == "__main__":
    main()
