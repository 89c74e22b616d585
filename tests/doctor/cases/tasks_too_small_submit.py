"""Six thousand futures of a few microseconds each.

:verdict: tasks-too-small
:also: slower-than-serial
"""

from concurrent.futures import ProcessPoolExecutor


def is_leap(year):
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def main():
    with ProcessPoolExecutor(max_workers=2) as executor:
        futures = [executor.submit(is_leap, year) for year in range(6000)]
        print(sum(future.result() for future in futures))


if __name__ == "__main__":
    main()
