"""Nine jobs of a hundred milliseconds for two workers, in chunks that come to five and four.

:verdict: imbalance-chunks
:also: imbalance-item
"""

from multiprocessing import Pool

from effort import compute

HARD = {0, 1, 2, 3}


def prove(theorem):
    return compute(180 if theorem in HARD else 20)


def main():
    with Pool(2) as pool:
        print(len(pool.map(prove, range(16), chunksize=4)))


if __name__ == "__main__":
    main()
