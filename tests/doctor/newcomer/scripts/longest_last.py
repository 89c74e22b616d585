"""Routes of towns: the capital comes last and takes as long as a third of all others.

:headline: PW010
:first: order, code
"""

from multiprocessing import Pool

ITEMS = 60


def route(size):
    total = 0
    for step in range(size * 16_000):
        total += step % 3
    return total


def main():
    towns = [10] * ITEMS + [10 * ITEMS // 2]
    with Pool(2) as pool:
        print(sum(pool.map(route, towns, chunksize=1)))


if __name__ == "__main__":
    main()
