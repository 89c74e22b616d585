"""Workers are replaced now and then, as one does against leaks: after 60 tasks of 5 ms.

:verdict: healthy
"""

from multiprocessing import Pool

from effort import compute


def parse(page):
    return page + compute(5)


def main():
    with Pool(2, maxtasksperchild=60) as pool:
        print(sum(pool.imap_unordered(parse, range(300))))


if __name__ == "__main__":
    main()
