"""A fresh interpreter for every second task.

:verdict: worker-churn
:also: startup
"""

from multiprocessing import get_context

from effort import compute


def convert(document):
    return document + compute(2)


def main():
    with get_context("spawn").Pool(2, maxtasksperchild=2) as pool:
        print(sum(pool.imap_unordered(convert, range(24))))


if __name__ == "__main__":
    main()
