"""Samples are scored by the method of a model with large weights.

:headline: PW006
:first: poolwise
:needs: numpy
"""

from concurrent.futures import ProcessPoolExecutor

import numpy as np

ITEMS = 120


class Model:
    def __init__(self, seed):
        self.weights = np.random.default_rng(seed).random((400, 1000))

    def score(self, number):
        sample = np.full(1000, number / 100)
        return float((self.weights @ sample).max())


def main():
    model = Model(5)
    with ProcessPoolExecutor(max_workers=2) as executor:
        scores = list(executor.map(model.score, range(ITEMS)))
    print(round(sum(scores), 6))


if __name__ == "__main__":
    main()
