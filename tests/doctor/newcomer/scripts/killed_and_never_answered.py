"""A pool waits for ever for a worker that was killed, and its user presses Ctrl-C.

:headline: PW029
:also: PW026
:first: code, poolwise
:stop: 6
"""

import os
import signal
from multiprocessing import Pool

ITEMS = 200


def decode(number):
    total = sum(step % (number + 1) for step in range(30_000))
    if number == ITEMS // 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return total


if __name__ == "__main__":
    with Pool(2) as pool:
        print(sum(pool.map(decode, range(ITEMS), chunksize=1)))
