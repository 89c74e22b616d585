"""Finds what experiments could reach of the living program, to leave it as it is.

A socket, a queue or a file that the program has open is the same in its snapshot: what is sent
there in an experiment arrives, in the middle of what the program says itself. A call that can reach
one is not tried. Shared memory is the same as well: it is put back as it was.
"""

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .calls import Call

LINES = {
    ("socket", "socket"): "a socket",
    ("_socket", "socket"): "a socket",
    ("multiprocessing.connection", "Connection"): "a pipe",
    ("multiprocessing.queues", "Queue"): "a queue",
    ("multiprocessing.queues", "SimpleQueue"): "a queue",
    ("multiprocessing.managers", "BaseProxy"): "a manager's proxy",
    ("_io", "FileIO"): "an open file",
    ("sqlite3", "Connection"): "a database connection",
}
"""Module and name of a class, or of one it is made from -> what it is called in the report."""

MOST_TASKS = 8
"""Tasks of a call are alike."""

MOST_BYTES = 256 << 20
"""More shared memory than this is not put back, and so there is no experiment."""


class Reach:
    """The reach of a call's function: `line`, a live line to somebody, and shared memory."""

    def __init__(self, call: "Call") -> None:
        self.line: str | None = None
        self._memory: list[Any] = []
        for value in _walk([call.tasks[:MOST_TASKS], call.runner.begin]):
            self.line = self.line or _name_line(value)
            if _is_of(value, "mmap") and not value.closed:
                self._memory.append(value)
        self._memory = [each for each in self._memory if not memoryview(each).readonly]

    def why_not(self) -> "str | None":
        """Reason why the call must not run again; None if it may."""
        if self.line is not None:
            return f"its tasks can reach {self.line}, and the program goes on using that"
        if sum(map(len, self._memory)) > MOST_BYTES:
            return f"its tasks can write more than {MOST_BYTES >> 20} MiB of shared memory"
        return None

    def keep(self) -> "list[bytes]":
        """The contents of the shared memory."""
        return [memory[:] for memory in self._memory]

    def put_back(self, kept: "list[bytes]") -> None:
        """Let the shared memory hold what it did, where it was written to."""
        for memory, content in zip(self._memory, kept):  # noqa: B905 - one for each
            if memory[:] != content:
                memory[:] = content


def _walk(todo: "list[Any]") -> "Iterator[Any]":
    """All objects that can be come to from these, the nearest first, as far as is looked."""
    seen: set[int] = set()
    level = todo
    enough = 20_000  # to look at so many takes some milliseconds
    while level and len(seen) < enough:
        new = {id(each): each for each in level if id(each) not in seen}
        seen.update(new)
        yield from new.values()
        level = [each for value in new.values() for each in _look_into(value)]


def _look_into(value: "Any") -> "Iterator[Any]":
    """The contents of an object; of a function its globals, of an array its memory."""
    if isinstance(value, type | type(sys)):
        return
    code = getattr(value, "__code__", None)
    if type(code) is type(_walk.__code__):
        yield from value.__closure__ or ()
        yield from value.__defaults__ or ()
        yield from (value.__globals__[name] for name in code.co_names if name in value.__globals__)
    else:
        yield from gc.get_referents(value)
        if _is_of(value, "numpy") or type(value) is memoryview:
            yield getattr(value, "base", None) or getattr(value, "obj", None)


def _is_of(value: "Any", module: str) -> bool:
    """True if its class, or one that this is made from, is of that module."""
    return any(kind.__module__ == module for kind in type(value).__mro__)


def _name_line(value: "Any") -> "str | None":
    for kind in type(value).__mro__:
        module = kind.__module__.replace("multiprocess.", "multiprocessing.")
        name = LINES.get((module, kind.__qualname__))
        if name is not None and not _is_harmless(value):
            return name
    return None


def _is_harmless(value: "Any") -> bool:
    """True if it is closed, or a standard stream."""
    if getattr(value, "closed", False) is True:
        return True
    try:
        number = value.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    # A snapshot has standard streams of its own.
    return type(number) is int and number < len(("stdin", "stdout", "stderr"))
