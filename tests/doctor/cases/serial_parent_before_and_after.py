"""Most of the time passes before and after the pool, in one process.

:verdict: serial-parent
"""

from multiprocessing import Pool

from effort import compute


def analyse(sample):
    return sample + compute(4)


def main():
    compute(1200)  # loads and indexes
    with Pool(2) as pool:
        results = pool.map(analyse, range(120), chunksize=4)
    compute(500)  # writes the report
    print(len(results))


if __name__ == "__main__":
    main()
