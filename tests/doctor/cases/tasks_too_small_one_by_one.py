"""Forty thousand record numbers, each sent alone.

:verdict: tasks-too-small
:also: slower-than-serial
"""

from multiprocessing import Pool


def normalise(number):
    return number


def main():
    numbers = list(range(40_000))
    with Pool(2) as pool:
        cleaned = pool.map(normalise, numbers, chunksize=1)
    print(sum(cleaned))


if __name__ == "__main__":
    main()
