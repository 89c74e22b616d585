"""The generator takes its time, but the work takes five times as long.

:verdict: healthy
"""

from multiprocessing import Pool

from effort import compute


def read():
    for page in range(120):
        compute(1)
        yield page


def annotate(page):
    return page + compute(12)


def main():
    with Pool(2) as pool:
        print(sum(pool.imap(annotate, read())))


if __name__ == "__main__":
    main()
