"""A dictionary goes to each worker once, through its initializer.

:headline: HEALTHY
"""

from multiprocessing import Pool

ITEMS = 120

WORDS = {}


def keep(words):
    global WORDS
    WORDS = words


def look_up(start):
    found = {}
    for number in range(start * 500, start * 500 + 60_000):
        found[number % 97] = WORDS.get(f"word{number % 5000}", 0)
    return sum(found.values())


def main():
    words = {f"word{number}": number for number in range(5000)}
    with Pool(2, keep, (words,)) as pool:
        print(sum(pool.map(look_up, range(ITEMS), chunksize=4)))


if __name__ == "__main__":
    main()
