"""Random walks, which are the same in all workers.

:headline: PW025
:first: code
:needs: numpy
:random: yes
"""

from multiprocessing import Pool

import numpy as np

ITEMS = 200


def walk(_):
    steps = np.random.normal(size=(500, 100))
    return float(np.abs(steps.cumsum(axis=0)).max())


def main():
    scale = np.random.uniform(1, 2)  # numpy seeds its generator when it is first used: here
    with Pool(2) as pool:
        longest = pool.map(walk, range(ITEMS))
    print(len(longest), round(scale * max(longest), 3))


if __name__ == "__main__":
    main()
