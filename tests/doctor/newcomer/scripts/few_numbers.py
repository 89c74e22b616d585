"""Sixty squares in a pool of their own.

:headline: PW003
:also: PW001, PW002, PW012
:first: serial
"""

from multiprocessing import Pool

ITEMS = 60


def square(number):
    return number * number


if __name__ == "__main__":
    with Pool(4) as pool:
        print(sum(pool.map(square, range(ITEMS))))
