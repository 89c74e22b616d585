"""Four workers, one lock, and all of the work inside it: it looks like waiting for I/O.

:verdict: lock-serialised
"""

import multiprocessing

from effort import compute

guard = None


def remember(lock):
    global guard
    guard = lock


def append(entry):
    with guard:
        return entry + compute(6)


def main():
    lock = multiprocessing.Lock()
    with multiprocessing.Pool(4, initializer=remember, initargs=(lock,)) as pool:
        print(sum(pool.map(append, range(150), chunksize=2)))


if __name__ == "__main__":
    main()
