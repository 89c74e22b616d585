"""Words are counted in a dictionary that lives in a manager's process.

:headline: PW022
:first: code
"""

from functools import partial
from multiprocessing import Manager, Pool

ITEMS = 60


def count(tally, number):
    for position in range(60):
        tally[number, position % 7] = tally.get((number, position % 7), 0) + 1
    return number


def main():
    with Manager() as manager:
        tally = manager.dict()
        with Pool(2) as pool:
            pool.map(partial(count, tally), range(ITEMS))
        print(sum(tally.values()))


if __name__ == "__main__":
    main()
