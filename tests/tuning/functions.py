"""Functions of the tests, which worker processes find by name."""

from __future__ import annotations

import asyncio
import itertools
import random

NUMBERS = range(40)
TOTAL = 0
SEEN: list[int] = []


def double(x):
    return 2 * x


def halve(x):
    return x / 2


def add(a, b):
    return a + b


async def fetch(x):
    await asyncio.sleep(0)
    return 2 * x


def count(x):
    global TOTAL  # noqa: PLW0603 - what is to be seen
    TOTAL += x


def keep(x):
    SEEN.append(x)
    return x


def shuffled(x):
    numbers = list(range(x))
    random.shuffle(numbers)
    return numbers


def fail_on_seven(x):
    if x == 7:
        message = "not this one"
        raise RuntimeError(message)
    return x


def endless():
    return itertools.count()


def fail_on_all(x):
    raise RuntimeError(x)


def make_function(x):
    return lambda: x
