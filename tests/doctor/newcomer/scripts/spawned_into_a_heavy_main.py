"""Spawned workers import the main module, which takes longer than their work.

:headline: PW012
:also: PW027, PW003
:first: code, serial
"""

import multiprocessing
import time

ITEMS = 40

time.sleep(0.4)  # an import of something large, which only the parent needs


def square(number):
    seen = {}
    for step in range(5000):
        seen[step % 97] = number * number
    return seen[0]


if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(sum(pool.map(square, range(ITEMS))))
