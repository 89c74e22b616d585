"""Four workers on a machine that gives the program one CPU.

:verdict: oversubscribed-processes
:cpus: 1
"""

from multiprocessing import Pool

from effort import compute


def verify(block):
    return block + compute(4)


def main():
    with Pool(4) as pool:
        print(sum(pool.map(verify, range(200))))


if __name__ == "__main__":
    main()
