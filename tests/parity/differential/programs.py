"""Programs over pools and executors, as plain data whose `repr` can be run again.

A program makes one pool or two, then goes through its steps: calls, reads of what earlier calls
returned (named by the number of their step), and ends of pools, in any order that runs.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import Any


class _Short:
    """Its `repr` leaves out what is as by default."""

    def __repr__(self):
        words = []
        for one in fields(self):
            value = getattr(self, one.name)
            if one.default is MISSING:
                words.append(repr(value))
            elif value != one.default:
                words.append(f"{one.name}={value!r}")
        return f"{type(self).__name__}({', '.join(words)})"


@dataclass(frozen=True, repr=False)
class Source(_Short):
    """An input.

    :param kind: what iterates: a list, a generator, a class that lies about its length, "results"
        of an earlier call, an "endless" generator, ...
    :param items: what it yields, before it is changed by ``mutates``.
    :param mutates: each item is an object of this kind made of a number; a generator changes it
        when it is asked for the next, and other inputs are changed when the call has returned.
    :param fails_at: where a generator raises ``error``, if it does.
    :param calls: what a generator calls on its own pool before it yields its second item.
    :param of: the step whose results these are.
    """

    kind: str
    items: tuple[Any, ...] = ()
    mutates: str | None = None
    fails_at: int | None = None
    error: str | None = None
    calls: str | None = None
    of: int | None = None


@dataclass(frozen=True, repr=False)
class Setup(_Short):
    """A pool: its door, and what it is made with."""

    door: str
    workers: int = 2
    initializer: str | None = None
    per_child: int | None = None


@dataclass(frozen=True, repr=False)
class Call(_Short):
    """A method of a pool is called.

    :param beside: it runs at the same time as the next step, in a thread; both are waited for.
    """

    pool: int
    way: str
    function: str
    sources: tuple[Source, ...]
    chunksize: int | None = None
    timeout: float | None = None
    callback: str | None = None
    error_callback: str | None = None
    in_thread: bool = False
    beside: bool = False


@dataclass(frozen=True, repr=False)
class Read(_Short):
    """What an earlier step returned is read, waited for, or dropped.

    :param how: "drop", or a name in `steps`.
    :param count: how many values, or how often the end of an iterator is asked for again.
    """

    of: int
    how: str
    count: int = 1
    in_thread: bool = False
    beside: bool = False


@dataclass(frozen=True, repr=False)
class End(_Short):
    """A pool is closed, joined, left, dropped, ... ("drop", or a name in `steps.ENDS`)."""

    pool: int
    how: str


Step = Call | Read | End


@dataclass(frozen=True, repr=False)
class Program(_Short):
    """Pools and steps.

    :param leaves_open: the interpreter is left with everything as it is, else all is dropped first.
    """

    pools: tuple[Setup, ...]
    steps: tuple[Step, ...]
    leaves_open: bool = False


SYNCHRONOUS = ("map", "starmap", "apply")
STREAMS = ("imap", "imap_unordered")
SINGLE = ("apply", "apply_async", "submit")
CALLED_BACK = ("map_async", "starmap_async", "apply_async", "submit")
POOL_WAYS = (*SYNCHRONOUS, "map_async", "starmap_async", "apply_async", *STREAMS)
EXECUTOR_WAYS = ("submit", "map")
EXECUTORS = ("executor",)


def is_of_threads(program: Program, call: Call) -> bool:
    """The call's tasks run in this process, and nothing is pickled."""
    return program.pools[call.pool].door == "threads"


def is_iterator(program: Program, call: Call) -> bool:
    """The call returns an iterator, else one result (or its values themselves)."""
    is_executor = program.pools[call.pool].door in EXECUTORS
    return call.way in STREAMS or (is_executor and call.way == "map")


def has_handle(program: Program, call: Call) -> bool:
    """The call returns something that can be read later."""
    return is_iterator(program, call) or call.way not in SYNCHRONOUS
