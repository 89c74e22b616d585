"""Workers are replaced after each task.

:headline: PW013
:first: keep, poolwise
"""

from multiprocessing import Pool

ITEMS = 80


def convert(number):
    return sum(step * number % 11 for step in range(30_000))


def main():
    with Pool(2, maxtasksperchild=1) as pool:
        print(sum(pool.map(convert, range(ITEMS), chunksize=1)))


if __name__ == "__main__":
    main()
