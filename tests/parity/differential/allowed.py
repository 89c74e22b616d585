"""What may differ from the standard pool, and why: it is better by promise, or a race in both.

A row of `DIFFERENCES` is looked up only where ours is right by itself (see `judge.py`) and the two
do not agree. `HANGS` are the reasons why the standard side may hang; then ours is judged alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.parity.differential.model import CANCELLED, NOT_SENT_BACK, TERMINATED
from tests.parity.differential.programs import (
    EXECUTORS,
    STREAMS,
    Call,
    End,
    Program,
    Read,
    is_iterator,
)
from tests.parity.differential.steps import Outcome
from tests.parity.differential.tasks import NOT_EXCEPTIONS, Do, Raised

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

    @property
    def expected(self) -> Any:
        """What that call is to give."""
        return self.judge.expected[self.call_at]

    @property
    def same_pool(self) -> Iterator[Call]:
        """All calls of that call's pool."""
        return (call for call in calls(self.program) if call.pool == self.call.pool)


def find_reason(case: Case) -> str | None:
    """The reason why this difference is allowed, if there is one."""
    step = case.program.steps[case.at]
    if isinstance(step, End):
        is_race = step.pool in case.judge.may_be_closed
        is_broken = case.standard[0] == "raised" and case.ours[0] == "value"
        return BROKEN_BY_END if is_broken else ENDED_BY_CALLBACK if is_race else None
    return next((reason for reason, applies in DIFFERENCES.items() if applies(case)), None)


def find_hang_reason(program: Program) -> str | None:
    """The reason why the standard side may hang in this program, if there is one."""
    return next((reason for reason, applies in HANGS.items() if applies(program)), None)


# --- what a program asks for --------------------------------------------------------------------


def calls(program: Program) -> Iterator[Call]:
    """All calls."""
    return (step for step in program.steps if isinstance(step, Call))


def _asks(call: Call, what: str, *args: Any) -> bool:
    """One of the items asks for this."""
    items = [item for source in call.sources for item in source.items]
    asked = [item for item in items if isinstance(item, Do) and item.what == what]
    return any(item.arg in args or not args for item in asked)


def _ends_its_worker(call: Call) -> bool:
    return _asks(call, "die") or _asks(call, "given", "breaks")


def _is_not_rebuilt(call: Call) -> bool:
    return _asks(call, "return", "breaks") or _asks(call, "raise", "StubbornError")


def _raises_no_exception(call: Call) -> bool:
    return _asks(call, "raise", *NOT_EXCEPTIONS)


def _calls_back_to_raise(call: Call) -> bool:
    return "raises" in {call.callback, call.error_callback}


def _is_ended(program: Program, *ways: str) -> bool:
    return any(isinstance(step, End) and step.how in ways for step in program.steps)


def _has_source(call: Call, *kinds: str) -> bool:
    return any(source.kind in kinds for source in call.sources)


def _names(outcome: Any) -> set[str]:
    """The names of the classes of all exceptions in an outcome."""
    if isinstance(outcome, Raised):
        return {outcome.names[0]}
    if isinstance(outcome, (tuple, list)):
        return set().union(*map(_names, outcome))
    return set()


# --- differences --------------------------------------------------------------------------------


def _breaks_its_pool(case: Case) -> bool:
    if any(_ends_its_worker(call) or _is_not_rebuilt(call) for call in case.same_pool):
        return True
    if case.program.pools[case.call.pool].door in EXECUTORS:
        return False
    return any(_raises_no_exception(call) or _calls_back_to_raise(call) for call in case.same_pool)


def _loses_values(case: Case) -> bool:
    is_chunked = case.call.chunksize is None or case.call.chunksize > 1
    return is_chunked and any(right.errors for right in case.expected.items)


BROKEN_BY_END = "what broke the standard pool's thread is raised when it is ended"
ENDED_BY_CALLBACK = "what is done before a callback ends the pool is a race"

DIFFERENCES: dict[str, Callable[[Case], bool]] = {
    "a worker that dies breaks the standard pool; here it costs the task it ran": _breaks_its_pool,
    "no worker comes through the initializer: here each task says so": lambda case: (
        case.program.pools[case.call.pool].initializer == "raises"
    ),
    "the standard pool loses the values beside an exception; here none is lost": _loses_values,
    "the standard pool raises the first error to come, here it is the first by position": (
        lambda case: sum(bool(right.errors) for right in case.expected.items) > 1
    ),
    "functions that plain pickle refuses travel by value": lambda case: (
        case.call.function == "lambda"
    ),
    "one error says that a result cannot be pickled, whatever pickle raised": lambda case: (
        NOT_SENT_BACK in _names(case.ours)
    ),
    "an item is as it was when it was handed in; the standard pool may pickle it later": (
        lambda case: any(source.mutates for source in case.call.sources)
    ),
    "the standard pool believes what an input says of its length": lambda case: _has_source(
        case.call, "long_len", "short_len"
    ),
    "what is done when a pool is terminated is a race": lambda case: (
        TERMINATED in case.judge.losses_of(case.call)
    ),
    ENDED_BY_CALLBACK: lambda case: case.call.pool in case.judge.may_be_closed,
    "what was sent when futures are cancelled is a race": lambda case: (
        CANCELLED in case.judge.losses_of(case.call)
    ),
    "an executor that was shut down refuses a map of nothing too": lambda case: (
        case.call.pool in case.judge.closed and not case.expected.items
    ),
    "the standard pool divides by the number of its workers, 0 while one is replaced": (
        lambda case: "ZeroDivisionError" in _names(case.standard)
    ),
    "an input is read as far as workers need it: what it raises later comes in its place": (
        lambda case: bool(case.expected.input_error) and is_iterator(case.program, case.call)
    ),
    "StopIteration in a task ends the standard pool's list early; here it is raised": (
        lambda case: _asks(case.call, "raise", "StopIteration")
    ),
}


# --- hangs of the standard side -----------------------------------------------------------------


def _reads_after_the_end(program: Program) -> bool:
    """Somebody waits for what was dropped with its pool."""
    ended: set[int] = set()
    for step in program.steps:
        if isinstance(step, End) and step.how.startswith(("terminate", "exit")):
            ended.add(step.pool)
        if isinstance(step, Read) and program.steps[step.of].pool in ended:
            return True
    return False


def _input_ends_the_feeder(program: Program) -> bool:
    return any(
        call.way in STREAMS and source.error in NOT_EXCEPTIONS
        for call in calls(program)
        for source in call.sources
    )


HANGS: dict[str, Callable[[Program], bool]] = {
    "a worker that dies takes its task along": lambda program: any(
        _ends_its_worker(call) or _raises_no_exception(call) for call in calls(program)
    ),
    "a result that cannot be rebuilt ends the thread that receives results": lambda program: any(
        map(_is_not_rebuilt, calls(program))
    ),
    "a callback that raises ends the thread that receives results": lambda program: any(
        map(_calls_back_to_raise, calls(program))
    ),
    "a callback that ends its pool waits for itself": lambda program: any(
        "terminate" in {call.callback, call.error_callback} for call in calls(program)
    ),
    "a callback that waits for its pool waits for itself": lambda program: any(
        "waits" in {call.callback, call.error_callback} for call in calls(program)
    ),
    "an endless input keeps the thread that reads inputs": lambda program: any(
        _has_source(call, "endless") for call in calls(program)
    ),
    "a future that is cancelled at the end is not told of": lambda program: _is_ended(
        program, "cancel", "cancel now"
    ),
    "a pool that is dropped ends before what it was given": lambda program: _is_ended(
        program, "drop"
    ),
    "results of a terminated pool never come": _reads_after_the_end,
    "terminate() races with the thread that reads inputs": lambda program: (
        _is_ended(program, "terminate") and any(call.way in STREAMS for call in calls(program))
    ),
    "an input that raises no Exception ends the thread that reads inputs": _input_ends_the_feeder,
    "an input that waits for its own pool is read by the thread that it waits for": (
        lambda program: any(
            source.calls == "now" for call in calls(program) for source in call.sources
        )
    ),
    "a list that is shorter than it says is waited for": lambda program: any(
        _has_source(call, "long_len", "short_len") for call in calls(program)
    ),
}
"""Nearly all of `multiprocessing.Pool`."""
