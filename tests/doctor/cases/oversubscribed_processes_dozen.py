"""Twelve workers share the CPUs of a small machine.

:verdict: oversubscribed-processes
"""

from multiprocessing import Pool

from effort import compute


def solve(puzzle):
    return puzzle + compute(5)


def main():
    with Pool(12) as pool:
        print(sum(pool.map(solve, range(300), chunksize=2)))


if __name__ == "__main__":
    main()
