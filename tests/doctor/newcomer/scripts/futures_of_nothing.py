"""Thousands of futures of some microseconds each.

:headline: PW001
:also: PW002
:first: serial, poolwise, chunksize
"""

from concurrent.futures import ProcessPoolExecutor, as_completed

ITEMS = 6000


def is_leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def main():
    with ProcessPoolExecutor(max_workers=2) as executor:
        futures = [executor.submit(is_leap, year) for year in range(ITEMS)]
        print(sum(future.result() for future in as_completed(futures)))


if __name__ == "__main__":
    main()
