"""Every task gets a new process.

:verdict: worker-churn
"""

from multiprocessing import Pool

from effort import compute


def convert(document):
    return document + compute(1)


def main():
    with Pool(2, maxtasksperchild=1) as pool:
        print(sum(pool.map(convert, range(80), chunksize=1)))


if __name__ == "__main__":
    main()
