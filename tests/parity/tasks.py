"""What the workers are given to do: plain functions, with all that can go wrong in them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


class OddError(Exception):
    """Takes two arguments and carries an attribute, so that it shows when one is lost."""

    def __init__(self, item, reason):
        super().__init__(item, reason)
        self.reason = reason


def square(x):
    return x * x


def subtract(a, b):
    return a - b


def refuse_sevenths(x):
    """The item, but every seventh is refused."""
    if x % 7 == 3:
        raise OddError(x, "a seventh")
    return x


def end_at_negative(x):
    """The item; a negative one ends the worker."""
    if x < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def end_once(item):
    """The item; if it comes with a path that is not there yet, the worker ends, once."""
    x, path = item
    if path and not Path(path).exists():
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def outcome_of(function, x):
    """What `function(x)` gives, in words that compare."""
    try:
        return ("value", function(x))
    except Exception as error:
        return (type(error).__name__, error.args)


def run_while_there_is(folder):
    """Runs until the folder is gone."""
    while Path(folder).exists():
        time.sleep(0.005)
