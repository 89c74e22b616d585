"""Fields of 8 MB come back, of which the parent takes the mean.

:headline: PW005
:also: PW020
:first: code, poolwise, share
:needs: numpy
"""

from multiprocessing import Pool

import numpy as np

ITEMS = 60


def simulate(seed):
    field = np.full((1000, 1000), float(seed))
    field[seed % 1000] += 1.0
    return field


def main():
    energy = []
    with Pool(2) as pool:
        for field in pool.imap(simulate, range(ITEMS)):
            energy.append(float(field.mean()))
    print(round(sum(energy), 6))


if __name__ == "__main__":
    main()
