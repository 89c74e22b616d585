"""The parent parses each row, 6 ms, while two workers wait for rows that cost them 2 ms.

:verdict: slow-producer
:also: serial-parent
"""

from multiprocessing import Pool

from effort import compute


def read_rows():
    for row in range(150):
        compute(6)
        yield row


def classify(row):
    return row % 2 + compute(2)


def main():
    with Pool(2) as pool:
        print(sum(pool.imap(classify, read_rows())))


if __name__ == "__main__":
    main()
