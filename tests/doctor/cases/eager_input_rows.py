"""Pool.map collects a generator of 300,000 rows before the first worker gets one.

:verdict: eager-input
:also: payload-args, slower-than-serial
"""

from multiprocessing import Pool


def read():
    for number in range(300_000):
        yield number, f"row {number}"


def width(row):
    return len(row[1])


def main():
    with Pool(2) as pool:
        print(sum(pool.map(width, read())))


if __name__ == "__main__":
    main()
