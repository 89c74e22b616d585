"""The same distance table stands in every argument tuple.

:verdict: repeated-payload
"""

from multiprocessing import Pool


def shortest(table, start):
    best = list(table[start])
    for middle, through in enumerate(best):
        best = [min(old, through + new) for old, new in zip(best, table[middle], strict=True)]
    return sum(best)


def main():
    size = 300
    table = [[(7 * a + 13 * b) % 101 + 1 for b in range(size)] for a in range(size)]
    with Pool(2) as pool:
        print(sum(pool.starmap(shortest, [(table, start % size) for start in range(100)], 1)))


if __name__ == "__main__":
    main()
