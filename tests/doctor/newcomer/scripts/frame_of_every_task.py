"""A frame goes along with each submitted task.

:headline: PW006
:first: share, poolwise
:needs: pandas
"""

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pandas as pd

ITEMS = 80


def mean_of(frame, column):
    return float(frame[column].mean())


def main():
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.random((100_000, 8)), columns=list("abcdefgh"))
    with ProcessPoolExecutor(2) as executor:
        futures = [executor.submit(mean_of, frame, "abcdefgh"[n % 8]) for n in range(ITEMS)]
        means = [future.result() for future in futures]
    print(round(sum(means), 6))


if __name__ == "__main__":
    main()
