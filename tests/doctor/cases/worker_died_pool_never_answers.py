"""A worker is killed; the standard pool never answers for its task, and the caller gives up.

:verdict: worker-died
:exit: 1
"""

import os
import signal
import sys
from multiprocessing import Pool, TimeoutError

from effort import compute


def load(table):
    if table == 30:
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory is short
    return table + compute(4)


def main():
    with Pool(2) as pool:
        pending = [pool.apply_async(load, (table,)) for table in range(100)]
        try:
            print(sum(result.get(timeout=1.2) for result in pending))
        except TimeoutError:
            sys.exit("no answer")


if __name__ == "__main__":
    main()
