"""Four hundred independent steps of 4 ms on as many workers as there are CPUs.

:verdict: healthy
"""

from multiprocessing import Pool

from effort import compute


def evaluate(candidate):
    return candidate, compute(4)


def main():
    with Pool(2) as pool:
        scores = dict(pool.map(evaluate, range(400)))
    print(len(scores), "candidates evaluated")


if __name__ == "__main__":
    main()
