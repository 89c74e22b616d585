"""The steps of a program as Python: calls, reads, and ends, each with its outcome as plain data."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.parity.differential import tasks
from tests.parity.differential.programs import Call, Program, Read, is_iterator
from tests.parity.differential.tasks import freeze, freeze_error

PATIENT_S, BRIEF_S = 100.0, 0.03
ENDLESS = 10_000
"""An iterator that goes on for so long has no end."""

Outcome = tuple[str, Any]
"""`("value", frozen)`, `("raised", Raised)`, `("end", None)`, or `("read", outcomes)`."""


def attempt(function: Callable[[], Any]) -> Outcome:
    """What it returns or raises."""
    try:
        return "value", freeze(function())
    except BaseException as error:
        return "raised", freeze_error(error)


def attempt_next(function: Callable[[], Any]) -> Outcome:
    """What an iterator gives: a value, an exception, or its end."""
    try:
        return "value", freeze(function())
    except StopIteration:
        return "end", None
    except BaseException as error:
        return "raised", freeze_error(error)


# --- calls --------------------------------------------------------------------------------------


@dataclass
class Making:
    """One call that is about to be made.

    :param back: its callbacks, by the name of their parameter (``done`` is that of a future).
    """

    call: Call
    pool: Any
    inputs: list[Any]
    back: dict[str, Any] = field(default_factory=dict)

    @property
    def function(self) -> Any:
        """What the tasks run."""
        return tasks.FUNCTIONS[self.call.function]

    @property
    def pairs(self) -> Iterator[tuple[Any, int]]:
        """Each item with its number: several arguments."""
        return ((item, at) for at, item in enumerate(self.inputs[0]))

    @property
    def rules(self) -> dict[str, Any]:
        """What is given by name."""
        call = self.call
        rules = {} if call.chunksize is None else {"chunksize": call.chunksize}
        return rules if call.timeout is None else {**rules, "timeout": call.timeout}

    def submit(self) -> Any:
        """A future, which calls back when it is done."""
        future = self.pool.submit(self.function, *self.inputs[0])
        if "done" in self.back:
            future.add_done_callback(self.back["done"])
        return future


WAYS: dict[str, Callable[[Making], Any]] = {
    "map": lambda m: m.pool.map(m.function, *m.inputs, **m.rules),
    "map_async": lambda m: m.pool.map_async(m.function, *m.inputs, **m.rules, **m.back),
    "starmap": lambda m: m.pool.starmap(m.function, m.pairs, **m.rules),
    "starmap_async": lambda m: m.pool.starmap_async(m.function, list(m.pairs), **m.rules, **m.back),
    "apply": lambda m: m.pool.apply(m.function, tuple(m.inputs[0])),
    "apply_async": lambda m: m.pool.apply_async(m.function, tuple(m.inputs[0]), **m.back),
    "imap": lambda m: m.pool.imap(m.function, *m.inputs, **m.rules),
    "imap_unordered": lambda m: m.pool.imap_unordered(m.function, *m.inputs, **m.rules),
    "submit": Making.submit,
}


# --- reads --------------------------------------------------------------------------------------


def _next_of(iterator: Any, timeout: float | None) -> Callable[[], Any]:
    has_timeout = timeout is not None and hasattr(iterator, "next")
    return partial(iterator.next, timeout) if has_timeout else partial(next, iterator)


def _read_all(iterator: Any, count: int) -> list[Outcome]:
    """Read until the iterator says that it has ended, and ``count`` times more."""
    one, outcomes = _next_of(iterator, None), []
    while not outcomes or outcomes[-1][0] != "end":
        outcomes.append(attempt_next(one))
        if len(outcomes) > ENDLESS:
            return outcomes[-3:]
    return outcomes + [attempt_next(one) for _ in range(count)]


def _read_some(iterator: Any, count: int, timeout: float | None = None) -> list[Outcome]:
    one = _next_of(iterator, timeout)
    return [attempt_next(one) for _ in range(count)]


def _get(result: Any, _: int, timeout: float | None = None) -> list[Outcome]:
    """The result, and what it says of itself once it is there."""
    outcome = attempt(partial(result.get, timeout))
    if timeout == BRIEF_S:
        return [outcome]
    return [outcome, attempt(result.ready), attempt(result.successful)]


def _wait(result: Any, _: int) -> list[Outcome]:
    return [attempt(result.wait), attempt(result.ready)]


def _result(future: Any, _: int, timeout: float | None = None) -> list[Outcome]:
    outcome = attempt(partial(future.result, timeout))
    return [outcome] if timeout == BRIEF_S else [outcome, attempt(future.done)]


def _exception(future: Any, _: int) -> list[Outcome]:
    return [attempt(future.exception), attempt(future.result)]


def _wait_for_all(future: Any, count: int) -> list[Outcome]:
    """By `as_completed` and `wait`; then the result."""
    seen = list(concurrent.futures.as_completed([future]))
    done, not_done = concurrent.futures.wait([future])
    return [("value", seen == [future] == list(done) and not not_done), *_result(future, count)]


_Reads = dict[str, Callable[[Any, int], list[Outcome]]]

_ITERATOR_READS: _Reads = {
    "all": _read_all,
    "some": _read_some,
    "patiently": partial(_read_some, timeout=PATIENT_S),
    "briefly": partial(_read_some, timeout=BRIEF_S),
}
_RESULT_READS: _Reads = {
    "get": _get,
    "patiently": partial(_get, timeout=PATIENT_S),
    "briefly": partial(_get, timeout=BRIEF_S),
    "wait": _wait,
}
_FUTURE_READS: _Reads = {
    "get": _result,
    "patiently": partial(_result, timeout=PATIENT_S),
    "briefly": partial(_result, timeout=BRIEF_S),
    "exception": _exception,
    "cancel": lambda future, _: [attempt(future.cancel)],
    "as_completed": _wait_for_all,
}


def read(program: Program, step: Read, handle: Any) -> list[Outcome]:
    """Everything that this way to read gives."""
    call = program.steps[step.of]
    reads = _FUTURE_READS if call.way == "submit" else _RESULT_READS
    if is_iterator(program, call):
        reads = _ITERATOR_READS
    return reads[step.how](handle, step.count)


# --- ends ---------------------------------------------------------------------------------------


def _leave(pool: Any, error: BaseException | None = None) -> None:
    """Leave its `with` block."""
    pool.__exit__(error and type(error), error, None)


ENDS: dict[str, Callable[[Any], Any]] = {
    "close": lambda pool: pool.close(),
    "join": lambda pool: pool.join(),
    "terminate": lambda pool: pool.terminate(),
    "exit": _leave,
    "exit with an error": partial(_leave, error=ValueError("in the block")),
    "shutdown": lambda pool: pool.shutdown(),
    "shutdown now": lambda pool: pool.shutdown(wait=False),
    "cancel": lambda pool: pool.shutdown(cancel_futures=True),
    "cancel now": lambda pool: pool.shutdown(wait=False, cancel_futures=True),
}
