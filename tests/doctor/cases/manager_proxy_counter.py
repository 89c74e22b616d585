"""Every task updates a dict that lives in a manager's process, a dozen times.

:verdict: manager-proxy
:also: lock-serialised
"""

from multiprocessing import Manager, Pool

from effort import compute


def count(tally, document):
    for word in range(12):
        tally[word] = tally.get(word, 0) + document
    return compute(0.5)


def main():
    with Manager() as manager:
        tally = manager.dict()
        with Pool(2) as pool:
            pool.starmap(count, [(tally, document) for document in range(800)])
        print(len(tally))


if __name__ == "__main__":
    main()
