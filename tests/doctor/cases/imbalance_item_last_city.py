"""Two hundred cities of 4 ms; the last is a capital of 900 ms, and begins when all else is done.

:verdict: imbalance-item
"""

from multiprocessing import Pool

from effort import compute

COST_MS = [4] * 199 + [900]


def route(city):
    return compute(COST_MS[city])


def main():
    with Pool(2) as pool:
        print(len(pool.map(route, range(len(COST_MS)), chunksize=5)))


if __name__ == "__main__":
    main()
