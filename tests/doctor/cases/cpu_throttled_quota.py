"""A good program in a control group that gets half a CPU.

:verdict: cpu-throttled
:also: oversubscribed-processes
:quota: 0.5
"""

from multiprocessing import Pool

from effort import compute


def fold(protein):
    return protein + compute(4)


def main():
    with Pool(2) as pool:
        print(sum(pool.map(fold, range(200))))


if __name__ == "__main__":
    main()
