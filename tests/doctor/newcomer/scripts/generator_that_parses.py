"""The parent parses, the workers do the easy part.

:headline: PW017
:also: PW020
:first: code
"""

from multiprocessing import Pool

ITEMS = 250


def rows():
    for number in range(ITEMS):
        words = {}
        for position in range(30_000):
            words[position % 97] = position * number
        yield list(words.values())


def classify(row):
    return sum(1 for value in row if value % 3 == 0)


def main():
    with Pool(2) as pool:
        print(sum(pool.imap(classify, rows())))


if __name__ == "__main__":
    main()
