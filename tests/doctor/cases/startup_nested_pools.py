"""Each task of the outer executor makes a pool of its own for a few milliseconds of work.

:verdict: startup
:also: nested-pools, not-worth-a-pool, oversubscribed-processes, oversubscribed-threads
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pool

from effort import compute


def bootstrap(sample):
    return sample + compute(1)


def estimate(region):
    with Pool(4) as pool:
        return sum(pool.map(bootstrap, range(region, region + 4)))


def main():
    with ProcessPoolExecutor(max_workers=2) as executor:
        print(sum(executor.map(estimate, range(80))))


if __name__ == "__main__":
    main()
