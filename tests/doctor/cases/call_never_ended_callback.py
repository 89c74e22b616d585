"""A callback raises, which ends the thread that collects results; the caller gives up.

:verdict: call-never-ended
:exit: 1
"""

import sys
from multiprocessing import Pool, TimeoutError

from effort import compute


def work(number):
    return number + compute(4)


def note(value):
    raise ValueError(value)


def main():
    with Pool(2) as pool:
        pending = [pool.apply_async(work, (number,), callback=note) for number in range(50)]
        try:
            print(sum(result.get(timeout=4) for result in pending))
        except TimeoutError:
            sys.exit("no answer")


if __name__ == "__main__":
    main()
