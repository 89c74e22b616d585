"""Digits of numbers, a message for each number.

:headline: PW001
:first: serial, chunksize, poolwise
"""

from multiprocessing import Pool

ITEMS = 40_000


def digits(number):
    return sum(int(digit) for digit in str(number**3))


if __name__ == "__main__":
    with Pool() as pool:
        print(sum(pool.map(digits, range(ITEMS), chunksize=1)))
