"""The cost grows along the input, and only four chunks share it out.

:verdict: imbalance-chunks
"""

from multiprocessing import Pool

from effort import compute


def factorise(size):
    return compute(size * 0.25)


def main():
    with Pool(2) as pool:
        print(len(pool.map(factorise, range(100), chunksize=25)))


if __name__ == "__main__":
    main()
