"""What the workers of a random program do, and what comes back, as plain data that compares."""

from __future__ import annotations

import hashlib
import mmap
import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

try:
    import numpy as np
except ImportError:  # on interpreters that have no wheel yet
    np = None

GATE_LIMIT_S = 100.0
"""A task that waits at a gate ends by itself after this time, whatever becomes of its pool."""

gate = mmap.mmap(-1, mmap.PAGESIZE)
"""Shared with every worker that is forked later: tasks wait until its first byte is set."""

_runs: list[int] = []
"""The descriptor to which each run of a task writes a byte."""


@dataclass(frozen=True, order=True)
class Do:
    """An item that says what its task does: raise, return something odd, wait, end the worker."""

    what: str
    arg: Any = None

    def __repr__(self):
        return f"Do({self.what!r}, {self.arg!r})"


# --- exceptions ---------------------------------------------------------------------------------


class OddError(Exception):
    """Takes two arguments and carries an attribute."""

    def __init__(self, item, reason):
        super().__init__(item, reason)
        self.reason = reason


class StubbornError(Exception):
    """Pickles, but cannot be rebuilt: its `args` are not what its constructor takes."""

    def __init__(self, item, reason):
        super().__init__(f"{item}: {reason}")


class StopAll(BaseException):
    """Is no `Exception`."""


def _unpicklable():
    error = ValueError("holds a lock")
    error.lock = threading.Lock()
    return error


ERRORS: dict[str, Callable[[], BaseException]] = {
    "ValueError": partial(ValueError, "bad value", 3),
    "OddError": partial(OddError, 3, "odd"),
    "StubbornError": partial(StubbornError, 3, "stubborn"),
    "unpicklable": _unpicklable,
    "StopIteration": partial(StopIteration, 3),
    "SystemExit": partial(SystemExit, 3),
    "GeneratorExit": GeneratorExit,
    "KeyboardInterrupt": KeyboardInterrupt,
    "StopAll": partial(StopAll, "all"),
}

NOT_EXCEPTIONS = ("SystemExit", "GeneratorExit", "KeyboardInterrupt", "StopAll")


# --- values -------------------------------------------------------------------------------------


def _shared_twice():
    inner = [1, 2]
    return [inner, inner, {"inner": inner}]


class Refuses:
    """Raises when it is pickled."""

    def __reduce__(self):
        message = "refuses to be pickled"
        raise ValueError(message)


class Breaks:
    """Pickles, and raises when it is unpickled."""

    def __reduce__(self):
        return int, ("no number",)


VALUES: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "error": partial(ValueError, "a value"),
    "nested": _shared_twice,
    "small array": lambda: np.arange(6.0).reshape(2, 3),
    "large array": lambda: np.arange(40_000, dtype="i4"),
    "bytes": lambda: b"x" * 300_000,
    "lock": threading.Lock,
    "lambda": lambda: lambda: 3,
    "refuses": Refuses,
    "breaks": Breaks,
}

UNPICKLABLE = ("lock", "lambda", "refuses")
if np is None:
    del VALUES["small array"], VALUES["large array"]


# --- functions ----------------------------------------------------------------------------------


def count_runs_in(descriptor: int) -> None:
    """Let every run of a task write a byte there."""
    _runs[:] = [descriptor]


def perform(item: Any) -> Any:
    """What an item asks for; an item that asks for nothing is given back."""
    for descriptor in _runs:
        os.write(descriptor, b".")
    return _ACTS[item.what](item.arg) if isinstance(item, Do) else item


def make_error(name: str) -> BaseException:
    """A new exception of this name in `ERRORS`."""
    return ERRORS[name]()


def _raise(name: str) -> None:
    raise make_error(name)


def _wait_at_gate(value: Any) -> Any:
    until = time.monotonic() + GATE_LIMIT_S
    while not gate[0] and time.monotonic() < until:
        time.sleep(0.002)
    return value


def _nap(value: Any) -> Any:
    time.sleep(0.01)
    return value


def _die(_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def _start(_: Any) -> int | None:
    """Start a process, as a pool inside a task does; daemons must not."""
    process = multiprocessing.get_context("fork").Process(target=int)
    process.start()
    process.join()
    return process.exitcode


_ACTS: dict[str, Callable[[Any], Any]] = {
    "raise": _raise,
    "return": lambda name: VALUES[name](),
    "gate": _wait_at_gate,
    "nap": _nap,
    "die": _die,
    "start": _start,
}


def echo(item):
    """The item itself."""
    return perform(item)


def look(item):
    """The item in words: how it was when it arrived."""
    return freeze(perform(item))


def pair(first, second=None):
    """Two arguments."""
    return perform(first), freeze(second)


class Caller:
    """Its instances and their methods can be called."""

    def __init__(self, word):
        self.word = word

    def __call__(self, item):
        return self.word, perform(item)

    def method(self, item):
        return self.word, perform(item)


FUNCTIONS: dict[str, Any] = {
    "echo": echo,
    "look": look,
    "pair": pair,
    "partial": partial(pair, second="bound"),
    "instance": Caller("called"),
    "method": Caller("method").method,
    "repr": repr,
    "lambda": lambda item: freeze(perform(item)),
    "not callable": "echo",
}

initialized: list[str] = []


def initialize(how: str) -> None:
    """What a pool calls first in each worker."""
    if how == "raises":
        message = "no worker comes through this"
        raise ValueError(message)
    initialized.append(how)


def initialized_as(_):
    """What the initializer left in this worker."""
    return list(initialized)


def is_daemon(_):
    """What libraries look at before they start processes of their own."""
    return multiprocessing.current_process().daemon


FUNCTIONS |= {"initialized": initialized_as, "is daemon": is_daemon}
WITHOUT_RUNS = ("repr", "initialized", "is daemon", "not callable")
"""Functions that do not do what their item asks for."""


# --- plain data ---------------------------------------------------------------------------------


def freeze(value: Any) -> Any:
    """The value as nested tuples of plain data, so that two processes can compare theirs."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    for kinds, freeze_one in _FREEZE.items():
        if isinstance(value, kinds):
            return freeze_one(value)
    if np is not None and isinstance(value, np.ndarray):
        digest = _digest(np.ascontiguousarray(value).tobytes())
        return "array", str(value.dtype), value.shape, value.flags.writeable, digest
    return "object", name_of(type(value)), freeze(getattr(value, "__dict__", None))


def _freeze_text(value: Any) -> Any:
    if isinstance(value, str):
        value = re.sub(r" at 0x[0-9a-f]+", "", value)  # the repr of what has none of its own
    return type(value).__name__, value if len(value) < 100 else _digest(value)


_FREEZE: dict[tuple[type, ...], Callable[[Any], Any]] = {
    (str, bytes, bytearray): _freeze_text,
    (BaseException,): lambda value: ("error", freeze_error(value)),
    (dict,): lambda value: ("dict", tuple((freeze(key), freeze(at)) for key, at in value.items())),
    (set, frozenset): lambda value: ("set", tuple(sorted(map(freeze, value), key=repr))),
    (list, tuple): lambda value: (type(value).__name__, tuple(map(freeze, value))),
}


def _digest(value: str | bytes | bytearray) -> str:
    data = value.encode() if isinstance(value, str) else bytes(value)
    return f"{len(data)} bytes, {hashlib.sha256(data).hexdigest()[:12]}"


@dataclass(frozen=True)
class Raised:
    """An exception as plain data.

    :param names: its class and those that it is derived from: what an `except` may say.
    :param cause: the name of the class of its `__cause__`.
    """

    names: tuple[str, ...]
    args: Any
    cause: str | None

    def __repr__(self):
        return f"<{self.names[0]}{self.args!r}>"


def freeze_error(error: BaseException) -> Raised:
    """The exception as plain data."""
    names = tuple(name_of(kind) for kind in type(error).__mro__)
    cause = None if error.__cause__ is None else type(error.__cause__).__name__
    words = tuple(freeze(arg) for arg in error.args)
    return Raised(names[: names.index("object")], words, cause)


def name_of(kind: type) -> str:
    """`OddError`, `multiprocessing.context.TimeoutError`."""
    own = kind.__module__ in {"builtins", __name__}
    return kind.__qualname__ if own else f"{kind.__module__}.{kind.__qualname__}"
