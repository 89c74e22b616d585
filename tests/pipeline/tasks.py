"""Stage functions that worker processes can find by their names."""

from __future__ import annotations

import os
import signal
import time

import poolwise


def double(x):
    return x * 2


def add_one(x):
    return x + 1


def is_even(x):
    return x % 2 == 0


def twice(x):
    yield x
    yield x


def fail_on_seven(x):
    if x == 7:
        message = "seven is not wanted"
        raise ValueError(message)
    return x


def die_on_seven(x):
    if x == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def hang_on_seven(x):
    if x == 7:
        time.sleep(600)
    return x


def pid_of(_):
    return os.getpid()


def with_pid(pair):
    return (pair, os.getpid())


def unpicklable(x):
    return lambda: x


class Unpicklable:
    """Passes between stages of one worker visit, and nowhere else."""

    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        message = "this was pickled"
        raise TypeError(message)


def wrap(x):
    return Unpicklable(x)


def unwrap(wrapped):
    return wrapped.x


def inner_pipe(x):
    return poolwise.pipe([x, x + 1]).map(double, kind="process").run()
