"""Functions of the tests, which worker processes find by name."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import threading
import time
from pathlib import Path

import numpy as np

import poolwise

TOTAL = 0
SETTING = "as imported"
SEEN: list[int] = []
BLOCK = b"x" * 4_000_000


def double(x):
    return 2 * x


def name_and_pid(x):
    """What it is, and where it is looked at."""
    return type(x).__name__, os.getpid()


def add(a, b):
    return a + b


def compute(x):
    """Some 2 ms of pure Python."""
    total = 0
    for at in range(40_000):
        total += at ^ x
    return total


def compute_long(x):
    """Some 100 ms."""
    return sum(compute(x) for _ in range(50))


def wait(x):
    time.sleep(0.01)
    return x


def digest(x):
    """Computes without the lock."""
    return x, hashlib.sha256(BLOCK).hexdigest()


async def fetch(x):
    await asyncio.sleep(0.005)
    return 2 * x


async def fetch_but_not_three(x):
    await asyncio.sleep(0.001)
    return 10 // (3 - x)


def count_up(x):
    global TOTAL  # noqa: PLW0603 - that is the point
    TOTAL += x
    return compute(x)


def append(x):
    SEEN.append(x)
    return compute(x)


def read_setting(x):
    compute(x)
    return SETTING


def fail_at_three(x):
    if x == 3:
        message = "three"
        raise ValueError(message)
    return x


let_go = threading.Event()
"""Ends the tasks that hang in threads, which nothing else can end."""


def hang_at_three(x):
    if x == 3:
        let_go.wait(600)
    return x


def end_at_three(x):
    if x == 3:
        raise StopIteration
    return x


def where(_):
    return os.getpid(), threading.get_ident()


def where_computing(x):
    compute(x)
    return os.getpid()


def draw(_):
    return random.random(), float(np.random.random()), float(poolwise.rng().random())  # noqa: NPY002


def draw_own(_):
    return float(poolwise.rng().random())


async def draw_awaited(_):
    await asyncio.sleep(0)
    return float(poolwise.rng().random())


def map_inside(_):
    inner = poolwise.map(compute, range(30))
    return inner.plan.choice, list(inner) == [compute(y) for y in range(30)]


class Locked:
    """Cannot be pickled."""

    def __init__(self):
        self._lock = threading.Lock()

    def compute(self, x):
        return compute(x)


class Counting:
    """Fails twice, then works."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        if self.calls <= 2:
            raise OSError(x)
        return x


class Written:
    """Leaves a line in a file for each call, in whatever process."""

    def __init__(self, path, function):
        self.path = str(path)
        self.function = function

    def __call__(self, x):
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{x}\n".encode())
        os.close(handle)
        return self.function(x)

    def read(self):
        return [int(line) for line in Path(self.path).read_text().split()]


def where_or_value(x):
    """Takes a lock or a number, and computes."""
    return compute(x) if isinstance(x, int) else "a lock"
