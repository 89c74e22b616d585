"""Many short lists, and an addition for each number in them.

:headline: PW002
:also: PW001
:first: serial
"""

from multiprocessing import Pool

ITEMS = 200_000


def add_one(row):
    return [value + 1 for value in row]


if __name__ == "__main__":
    rows = [list(range(20)) for _ in range(ITEMS)]
    pool = Pool(processes=2)
    more = pool.map(add_one, rows)
    pool.close()
    pool.join()
    print(len(more), more[-1][-1])
