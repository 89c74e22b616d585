"""The right outcome of each call, from the program alone: what no pool may get wrong.

The standard pool loses values, hangs or breaks in some programs; there nothing is left to compare
with, and ours must be right by itself.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import FunctionType
from typing import Any

from tests.parity.differential import tasks
from tests.parity.differential.inputs import yielded
from tests.parity.differential.programs import (
    EXECUTORS,
    SINGLE,
    SYNCHRONOUS,
    Call,
    Program,
    Setup,
    Source,
    is_iterator,
)
from tests.parity.differential.steps import Outcome
from tests.parity.differential.tasks import (
    FUNCTIONS,
    WITHOUT_RUNS,
    Do,
    Raised,
    freeze,
    freeze_error,
    make_error,
)

TERMINATED = "poolwise.errors.PoolTerminated"
CANCELLED = "concurrent.futures._base.CancelledError"
DIED = "poolwise.errors.WorkerDied"
NO_WORKER = "poolwise.errors.InitializerFailed"
NOT_SENT_BACK = "poolwise.errors.ResultNotPicklable"
NOT_REBUILT_HERE = "poolwise.errors.ResultNotLoadable"
NOT_REBUILT_THERE = "poolwise.errors.ArgumentNotLoadable"
REFUSED = (tasks.Refuses, type(threading.Lock()), FunctionType)
"""Arguments of these types are not pickled; functions are not where they have no name."""

PICKLING = ("_pickle.PicklingError", "TypeError", "AttributeError", "ValueError")


@dataclass(frozen=True)
class Right:
    """What one item may come to: a value, or an exception of one of these names.

    :param value: frozen, and in a tuple of its own; empty if there is none.
    :param is_open: any value will do: the item was changed before it had to be looked at.
    """

    value: tuple[Any, ...] = ()
    errors: tuple[str, ...] = ()
    is_open: bool = False

    def __contains__(self, outcome: Outcome) -> bool:
        word, what = outcome
        if word == "value":
            return (what,) == self.value or self.is_open
        return word == "raised" and is_any(what, self.errors)

    @property
    def runs(self) -> int:
        """How many times its task runs: not at all, if it never comes to a worker whole."""
        return 0 if self.errors in {PICKLING, (NOT_REBUILT_THERE,)} else 1


@dataclass(frozen=True)
class Whole:
    """What a call that gives a list may come to."""

    items: tuple[Right, ...]

    def __contains__(self, outcome: Outcome) -> bool:
        failure = next((right for right in self.items if right.errors), None)
        if failure is not None:
            return outcome in failure  # the first by position
        word, what = outcome
        if word != "value" or what[0] != "list" or len(what[1]) != len(self.items):
            return False
        return all(("value", one) in right for one, right in zip(what[1], self.items, strict=True))


def is_any(raised: Raised, names: tuple[str, ...]) -> bool:
    """An `except` of one of these names would catch it."""
    return any(name in names for name in raised.names)


@dataclass(frozen=True)
class Expected:
    """What a call is to give: its items in their order, and what its input raises at their end."""

    items: tuple[Right, ...]
    input_error: str | None = None


def expect(program: Program, call: Call) -> Expected:
    """What the call is to give."""
    rights: list[Right] = []
    is_open = _is_open(program, call)
    setup = program.pools[call.pool]
    is_open = is_open or (call.function == "initialized" and _inherits_initialized(program))
    try:
        for given in _arguments(call):
            right = _right(call, setup, given)
            rights.append(replace(right, is_open=True) if is_open else right)
    except BaseException as error:
        return Expected(tuple(rights), freeze_error(error).names[0])
    return Expected(tuple(rights))


LARGE = ("large array", "bytes")
"""A list's items are taken as they are at the call only as far as a pipe of the system would: not
one of these, and none behind it."""


def _is_open(program: Program, call: Call) -> bool:
    """An item may have been changed before the pool has to take it as it is."""
    is_together = not is_iterator(program, call) or (call.chunksize or 1) > 1
    if call.way in SINGLE:
        return call.function == "lambda"  # a call whose function plain pickle refuses is not kept
    changes = any(source.kind == "generator" and source.mutates for source in call.sources)
    is_waiting = call.way in SYNCHRONOUS and not is_iterator(program, call)
    is_held = any(source.mutates and source.kind == "list" for source in call.sources)
    is_large = is_held and any(map(_has_large_items, call.sources))
    return (changes and is_together) or (is_large and not is_waiting)


def _has_large_items(source: Source) -> bool:
    given = {item.arg for item in source.items if isinstance(item, Do) and item.what == "given"}
    return source.mutates in LARGE or not given.isdisjoint(LARGE)


def _inherits_initialized(program: Program) -> bool:
    """A thread pool's initializer runs in the parent, before or after a worker is forked."""
    return any(setup.door == "threads" and setup.initializer for setup in program.pools)


def _arguments(call: Call) -> Iterator[tuple[Any, ...]]:
    if call.way in SINGLE:
        yield tuple(yielded(call.sources[0]))
    elif call.way.startswith("starmap"):
        yield from ((item, at) for at, item in enumerate(_iterate(call.sources[0])))
    else:
        yield from zip(*map(_iterate, call.sources), strict=False)


def _iterate(source: Source) -> Iterator[Any]:
    if source.kind == "broken_iter":
        error = make_error("OddError")
        raise error
    given = yielded(source)
    yield from set(given) if source.kind == "set" else given
    if source.error is not None:
        raise make_error(source.error)


def _right(call: Call, setup: Setup, given: tuple[Any, ...]) -> Right:
    if setup.door != "threads":
        return _right_of_process(call, setup, given)
    if isinstance(given[0], Do) and call.function not in WITHOUT_RUNS:
        return _right_done(call, given[0], given, is_sent=False)
    return _right_value(call, given, is_sent=False)


def _right_of_process(call: Call, setup: Setup, given: tuple[Any, ...]) -> Right:
    """The same where arguments and results are pickled."""
    if any(isinstance(arg, REFUSED) for arg in given):
        return Right(errors=PICKLING)
    if any(isinstance(arg, tasks.Breaks) for arg in given):
        return Right(errors=(NOT_REBUILT_THERE,))
    first, is_daemon = given[0], setup.door not in EXECUTORS
    if call.function == "initialized":
        return Right((freeze([] if setup.initializer is None else [setup.initializer]),))
    if call.function == "is daemon":
        return Right((is_daemon,))
    if isinstance(first, Do) and call.function not in WITHOUT_RUNS:
        is_refused = first == Do("start") and is_daemon
        errors = Right(errors=("AssertionError",))
        return errors if is_refused else _right_done(call, first, given)
    return _right_value(call, given)


def _right_done(call: Call, do: Do, given: tuple[Any, ...], *, is_sent: bool = True) -> Right:
    """What a task comes to that is told what to do by its first argument."""
    if do.what == "die":
        return Right(errors=(DIED,))
    if do.what == "raise":
        also = {"unpicklable": (NOT_SENT_BACK, "ValueError"), "StopIteration": ("RuntimeError",)}
        return Right(errors=(do.arg, *also.get(do.arg, ())))
    if do.what in {"gate", "nap", "start"}:
        given = (0 if do.what == "start" else do.arg, *given[1:])
    return _right_value(call, given, is_sent=is_sent)


def _right_value(call: Call, given: tuple[Any, ...], *, is_sent: bool = True) -> Right:
    try:
        value = FUNCTIONS[call.function](*given)
    except Exception as error:
        return Right(errors=(freeze_error(error).names[0],))
    if not is_sent:
        return Right((freeze(value),))
    try:
        pickled = pickle.dumps(value)
    except Exception:
        return Right(errors=(NOT_SENT_BACK,))
    try:
        return Right((freeze(pickle.loads(pickled)),))
    except Exception:
        return Right(errors=(NOT_REBUILT_HERE,))
