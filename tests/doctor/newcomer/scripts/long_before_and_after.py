"""A pool between two long steps that the program does alone.

:headline: PW020
:first: code
"""

from multiprocessing import Pool

ITEMS = 60


def load(count):
    table = {}
    for number in range(count * 25_000):
        table[number % 5003] = table.get(number % 5003, 0) + number
    return table


def work(number):
    seen = {}
    for step in range(20_000):
        seen[step * number % 97] = step
    return len(seen)


def main():
    table = load(ITEMS)
    with Pool(2) as pool:
        sizes = pool.map(work, range(ITEMS))
    print(sum(sizes), sum(table.values()), sum(load(ITEMS).values()))


if __name__ == "__main__":
    main()
