"""Work that grows from item to item, in four large chunks.

:headline: PW011
:first: chunksize, poolwise
"""

from multiprocessing import Pool

ITEMS = 100


def factorise(number):
    seen = {}
    for step in range(1, number * 1500):
        seen[step * step % 97] = step
    return sum(seen.values())


def main():
    with Pool(2) as pool:
        print(sum(pool.map(factorise, range(ITEMS), chunksize=25)))


if __name__ == "__main__":
    main()
