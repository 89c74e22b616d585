"""All workers append to one file under one lock, which they hold while they work.

:headline: PW009
:first: code
"""

import tempfile
from multiprocessing import Lock, Pool
from pathlib import Path

ITEMS = 300


def keep(the_lock, the_path):
    global lock, path
    lock, path = the_lock, the_path


def work(number):
    with lock:
        total = sum(i * i for i in range(60_000))
        with path.open("a") as file:
            file.write(f"{number} {total}\n")
    return total


if __name__ == "__main__":
    with tempfile.NamedTemporaryFile("r") as file:
        with Pool(2, keep, (Lock(), Path(file.name))) as pool:
            values = pool.map(work, range(ITEMS))
        print(len(set(values)), len(file.read().splitlines()))
