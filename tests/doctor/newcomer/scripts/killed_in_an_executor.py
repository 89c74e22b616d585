"""A worker is killed over one of the tasks.

:headline: PW026
:first: code, poolwise
:exit: 1
"""

import os
import signal
from concurrent.futures import ProcessPoolExecutor

ITEMS = 200


def decode(number):
    total = sum(step % (number + 1) for step in range(30_000))
    if number == ITEMS // 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return total


def main():
    with ProcessPoolExecutor(2) as executor:
        print(sum(executor.map(decode, range(ITEMS))))


if __name__ == "__main__":
    main()
