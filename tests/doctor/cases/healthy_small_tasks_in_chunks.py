"""A million small tasks in chunks of ten thousand: the chunks are large enough.

:verdict: healthy
:also: vectorise-instead
"""

from multiprocessing import Pool


def digit_sum(number):
    text = str(number * number)
    return sum(map(int, text)) + len(set(text))


def main():
    with Pool(2) as pool:
        print(max(pool.imap_unordered(digit_sum, range(600_000), chunksize=10_000)))


if __name__ == "__main__":
    main()
