"""The pool is forked while threads of the program run: a lock one of them holds stays held.

:verdict: unbalanced-start-method
"""

import logging
import threading
from multiprocessing import get_context

from effort import compute

stopped = threading.Event()


def report():
    while not stopped.wait(0.01):
        logging.getLogger("progress").debug("still running")


def index(volume):
    return volume + compute(4)


def main():
    reporters = [threading.Thread(target=report) for _ in range(4)]
    for reporter in reporters:
        reporter.start()
    with get_context("fork").Pool(2) as pool:
        print(sum(pool.map(index, range(300))))
    stopped.set()


if __name__ == "__main__":
    main()
