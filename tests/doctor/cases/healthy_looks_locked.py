"""A lock around the last tenth of each task: seldom contended.

:verdict: healthy
"""

import multiprocessing

from effort import compute

guard = None


def remember(lock):
    global guard
    guard = lock


def crunch(_):
    value = compute(5)
    with guard:
        return value + compute(0.3)


def main():
    lock = multiprocessing.Lock()
    with multiprocessing.Pool(2, initializer=remember, initargs=(lock,)) as pool:
        print(sum(pool.map(crunch, range(300))))


if __name__ == "__main__":
    main()
