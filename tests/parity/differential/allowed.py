"""What may differ from the standard pool, and why: it is better by promise.

A row is looked up only where ours is right by itself (see `judge.py`) and the two do not agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.parity.differential.model import (
    CANCELLED,
    NOT_SENT_BACK,
    TERMINATED,
)
from tests.parity.differential.programs import (
    EXECUTORS,
    Call,
    End,
    Program,
    Read,
    is_iterator,
)
from tests.parity.differential.steps import Outcome
from tests.parity.differential.tasks import Do, Raised

if TYPE_CHECKING:
    from tests.parity.differential.judge import Judge


@dataclass(frozen=True)
class Case:
    """One step whose outcomes differ."""

    program: Program
    at: int
    standard: Outcome
    ours: Outcome
    judge: Judge

    @property
    def call_at(self) -> int:
        """The number of the call that the step makes or reads from."""
        step = self.program.steps[self.at]
        return step.of if isinstance(step, Read) else self.at

    @property
    def call(self) -> Call:
        """The call that the step makes or reads from."""
        call: Call = self.program.steps[self.call_at]
        return call


ROWS: dict[str, Callable[[Case], bool]] = {}


def find_reason(case: Case) -> str | None:
    """The reason why this difference is allowed, if there is one."""
    if isinstance(case.program.steps[case.at], End):
        return END_ROW if "AssertionError" in _names(case.standard) else None
    return next((reason for reason, applies in ROWS.items() if applies(case)), None)


END_ROW = "a callback that raises, or a result that cannot be rebuilt, breaks the standard pool"


def row(reason: str) -> Callable[[Callable[[Case], bool]], Callable[[Case], bool]]:
    """Put a row into the table."""

    def put(applies: Callable[[Case], bool]) -> Callable[[Case], bool]:
        ROWS[reason] = applies
        return applies

    return put


def _names(outcome: Any) -> set[str]:
    """The names of the classes of all exceptions in an outcome."""
    if isinstance(outcome, Raised):
        return {outcome.names[0]}
    if isinstance(outcome, (tuple, list)):
        return set().union(*map(_names, outcome))
    return set()


def _items(call: Call) -> list[Any]:
    return [item for source in call.sources for item in source.items]


def _asks(call: Call, what: str, *args: Any) -> bool:
    """One of the items asks for this."""
    asked = [item for item in _items(call) if isinstance(item, Do) and item.what == what]
    return any(item.arg in args or not args for item in asked)


@row("a worker that dies breaks the standard executor; here it costs the task it ran")
def _(case: Case) -> bool:
    return case.program.pools[case.call.pool].door in EXECUTORS and any(
        step.pool == case.call.pool
        and (
            _asks(step, "die")
            or _asks(step, "given", "breaks")
            or _asks(step, "return", "breaks")
            or _asks(step, "raise", "StubbornError")
        )
        for step in case.program.steps
        if isinstance(step, Call)
    )


@row("no worker comes through the initializer: here each task says so")
def _(case: Case) -> bool:
    return case.program.pools[case.call.pool].initializer == "raises"


@row("with an exception, the standard pool loses the values of its chunk; here none is lost")
def _(case: Case) -> bool:
    call = case.call
    is_chunked = call.chunksize is None or call.chunksize > 1
    fails = any(right.errors for right in case.judge.expected[case.call_at].items)
    return is_chunked and fails


@row("of several errors the standard pool raises the first to come, here the first by position")
def _(case: Case) -> bool:
    rights = case.judge.expected[case.call_at].items
    return sum(bool(right.errors) for right in rights) > 1


@row("functions that plain pickle refuses travel by value")
def _(case: Case) -> bool:
    return case.call.function == "lambda"


@row("one error says that a result cannot be pickled, whatever pickle raised")
def _(case: Case) -> bool:
    return NOT_SENT_BACK in _names(case.ours)


@row("an item is as it was when it was handed in; the standard pool may pickle it later")
def _(case: Case) -> bool:
    return any(source.mutates for source in case.call.sources)


@row("the standard pool believes what an input says of its length")
def _(case: Case) -> bool:
    return any(source.kind in {"long_len", "short_len"} for source in case.call.sources)


@row("what is done when a pool is terminated is a race")
def _(case: Case) -> bool:
    return TERMINATED in case.judge.losses[case.call.pool]


@row("how much was done before a callback ended the pool is a race")
def _(case: Case) -> bool:
    return case.call.pool in case.judge.may_be_closed


@row("what was sent when futures are cancelled is a race")
def _(case: Case) -> bool:
    return CANCELLED in case.judge.losses[case.call.pool]


@row("an executor that was shut down refuses a map of nothing too")
def _(case: Case) -> bool:
    return case.call.pool in case.judge.closed and not case.judge.expected[case.call_at].items


@row("the standard pool divides by the number of its workers, which is 0 while one is replaced")
def _(case: Case) -> bool:
    return "ZeroDivisionError" in _names(case.standard)


@row("an input is read as far as workers need it: what it raises later comes in its place")
def _(case: Case) -> bool:
    expected = case.judge.expected[case.call_at]
    return expected.input_error is not None and is_iterator(case.program, case.call)


@row("StopIteration in a task ends the list of the standard pool early; here it is raised")
def _(case: Case) -> bool:
    return _asks(case.call, "raise", "StopIteration")
