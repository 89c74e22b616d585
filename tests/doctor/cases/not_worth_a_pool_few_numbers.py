"""A pool for sixty short sums.

:verdict: not-worth-a-pool
:also: startup
"""

from multiprocessing import Pool


def square(number):
    return number * number


def main():
    with Pool(4) as pool:
        print(sum(pool.map(square, range(60))))


if __name__ == "__main__":
    main()
