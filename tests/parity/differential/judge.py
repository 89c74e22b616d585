"""What may be said of one run by itself, step after step: each complaint is a fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.parity.differential.model import (
    CANCELLED,
    DIED,
    NO_WORKER,
    TERMINATED,
    Expected,
    Right,
    Whole,
    expect,
    is_any,
)
from tests.parity.differential.programs import (
    CALLED_BACK,
    EXECUTORS,
    SINGLE,
    Call,
    End,
    Program,
    Read,
    is_iterator,
)
from tests.parity.differential.steps import Outcome
from tests.parity.differential.tasks import WITHOUT_RUNS

LATE = (
    "multiprocessing.context.TimeoutError",
    "concurrent.futures._base.TimeoutError",  # before 3.11 a class of its own
    "TimeoutError",
)
CLOSED = {"pool": "ValueError", "threads": "ValueError", "executor": "RuntimeError"}
GONE = (TERMINATED, NO_WORKER)
FALSE_LENGTHS = ("long_len", "short_len")


class Judge:
    """Follows one run of a program and says what is wrong with each step.

    It knows which pools are closed or may have been ended, and how far each iterator was read.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.expected: dict[int, Expected] = {}
        self.closed: set[int] = set()
        self.may_be_closed: set[int] = set()
        self.losses: dict[int, set[str]] = {at: set() for at in range(len(program.pools))}
        self._cancelled: set[int] = set()
        self._made: set[int] = set()
        self._settled: set[int] = set()
        self._joined: set[int] = set()
        self._streams: dict[int, _Stream] = {}
        for at, setup in enumerate(program.pools):
            if setup.initializer == "raises":
                self.losses[at].add(NO_WORKER)
        for at, step in enumerate(program.steps):
            if isinstance(step, Call):
                self.expected[at] = expect(program, step)

    def complain(self, at: int, outcome: Outcome) -> str | None:
        """What is wrong with the outcome of this step, if anything is."""
        step = self.program.steps[at]
        if isinstance(step, End):
            return self._complain_of_end(step, outcome)
        if isinstance(step, Call):
            return self._complain_of_call(at, step, outcome)
        if outcome == ("end", "no handle"):
            return None
        if is_iterator(self.program, self.program.steps[step.of]):
            return self._complain_of_stream(step, outcome[1])
        return self._complain_of_result(step, outcome[1])

    # -- the whole

    def complain_of_all(self, end: dict[str, Any]) -> Iterator[str]:
        """What is wrong with what the program has left in its logs."""
        for at, step in enumerate(self.program.steps):
            if isinstance(step, Call):
                yield from self._complain_of_callbacks(at, step, end["callbacks"])
        said = {None, ("str", "from a callback")}
        for at, which, (word, what) in end["callbacks"]:
            if which == "submitted" and word == "value" and what not in said:
                yield f"step {at}: a callback was given {what}"
        for noise in end["noise"]:
            if noise != "warning: ResourceWarning":
                yield f"unheard: {noise}"
        runs = self._count_runs() + end["more"]
        if self._are_runs_certain() and end["runs"] != runs:
            yield f"{end['runs']} runs of tasks, not {runs}"

    def _complain_of_callbacks(self, at: int, call: Call, log: list[Any]) -> Iterator[str]:
        names = {"callback", "error_callback", "done"}
        entries = [outcome for step, which, outcome in log if step == at and which in names]
        right = self._right_result(at, call)
        excuses = tuple({*self.losses_of(call)} - {TERMINATED})
        excuses += (CANCELLED,) if at in self._cancelled else ()
        for outcome in entries:
            is_excused = outcome[0] == "raised" and is_any(outcome[1], excuses)
            if outcome not in right and not is_excused:
                yield f"step {at}: called back with {outcome}, expected {right}"
        count, is_sure = self._count_of_callbacks(at, call)
        if len(entries) > count or (is_sure and len(entries) < count):
            yield f"step {at}: {len(entries)} callbacks, not {count}"

    def _count_of_callbacks(self, at: int, call: Call) -> tuple[int, bool]:
        """How many times one of its callbacks is called, and whether it can be less."""
        if at not in self._made or call.way not in CALLED_BACK:
            return int(call.pool in self.may_be_closed), False
        if call.way == "submit":
            return int(call.callback is not None), True
        right, losses = self._right_result(at, call), self.losses_of(call)
        if NO_WORKER in losses:
            return 1, False
        is_value = not any(one.errors for one in getattr(right, "items", [right]))
        is_empty = isinstance(right, Whole) and not right.items
        has_one = (call.callback if is_value else call.error_callback) is not None
        is_done = at in self._settled or call.pool in self._joined
        return int(has_one and not is_empty), is_done and not losses

    def _count_runs(self) -> int:
        """How many items ask for a run of a task, which each is to have once."""
        runs = 0
        for at in self._made:
            call = self.program.steps[at]
            if call.function not in WITHOUT_RUNS:
                runs += sum(right.runs for right in self.expected[at].items)
        return runs

    def _are_runs_certain(self) -> bool:
        """Everything that was called has been waited for, and nothing was lost or dropped."""
        calls = [step for step in self.program.steps if isinstance(step, Call)]
        pools = {call.pool for call in calls}
        if not pools <= self._joined or any(self.losses.values()) or self.may_be_closed:
            return False
        expected = [self.expected[at] for at in self.expected]
        return (
            not any(one.input_error for one in expected)
            and not any(DIED in right.errors for one in expected for right in one.items)
            and not any(source.kind in FALSE_LENGTHS for call in calls for source in call.sources)
            and not self._drops_some()
        )

    def _drops_some(self) -> bool:
        """A future was cancelled, or an iterator may have been left before its end."""
        if self._cancelled:
            return True
        for step in self.program.steps:
            if isinstance(step, Read) and step.of in self._streams:
                stream, call = self._streams[step.of], self.program.steps[step.of]
                if step.how == "drop" and not stream.is_over:
                    return True
                if self._is_executor(call.pool) and (stream.has_raised or call.timeout):
                    return True
        return False

    def _is_executor(self, pool: int) -> bool:
        return self.program.pools[pool].door in EXECUTORS

    # -- ends

    def _complain_of_end(self, end: End, outcome: Outcome) -> str | None:
        if end.how == "join" and end.pool not in self.closed:
            is_right = raises(outcome, "ValueError") or end.pool in self.may_be_closed
            return None if is_right else "join() of a running pool did not raise"
        if end.how != "drop":
            self.closed.add(end.pool)
        if end.how == "join" or (self._is_executor(end.pool) and end.how in {"shutdown", "exit"}):
            self._joined.add(end.pool)
        if end.how.startswith("cancel"):
            self.losses[end.pool].add(CANCELLED)
        elif end.how.startswith(("terminate", "exit")) and not self._is_executor(end.pool):
            self.losses[end.pool].add(TERMINATED)
        return None if outcome[0] == "value" else f"{end.how} raised"

    # -- calls

    def _complain_of_call(self, at: int, call: Call, outcome: Outcome) -> str | None:
        expected, door = self.expected[at], self.program.pools[call.pool].door
        closed = self.closed | self.may_be_closed
        if call.pool in closed and raises(outcome, CLOSED[door]):
            return None
        if "terminate" in {call.callback, call.error_callback}:
            self.may_be_closed.add(call.pool)
            if not self._is_executor(call.pool):
                self.losses[call.pool].add(TERMINATED)
        if self._is_lost(call, outcome):
            return None
        if expected.input_error and raises(outcome, expected.input_error):
            return "raised at the call" if call.way.startswith("imap") else None
        if call.pool in self.closed and expected.items:
            return "a closed pool took a call"
        right = self._right_of_call(at, call)
        self._made.add(at)
        return None if outcome in right else f"expected {right}"

    def _right_of_call(self, at: int, call: Call) -> Right | Whole:
        is_waiting = call.way in {"map", "starmap", "apply"}
        if not is_waiting or is_iterator(self.program, call):
            return Right((None,))
        return self._right_result(at, call)

    def _is_lost(self, call: Call, outcome: Outcome) -> bool:
        return is_raised(outcome, self.losses_of(call))

    def losses_of(self, call: Call) -> tuple[str, ...]:
        """What its results may raise because a pool was ended: its own, or one that feeds it."""
        losses = set(self.losses[call.pool])
        for source in call.sources:
            if source.of is not None:
                losses.update(self.losses_of(self.program.steps[source.of]))
        return tuple(losses)

    # -- reads

    def _complain_of_result(self, read: Read, outcomes: list[Outcome]) -> str | None:
        if read.how in {"drop", "cancel", "wait"}:
            return self._complain_of_other(read, outcomes)
        first, *rest = outcomes
        if read.how == "briefly" and is_raised(first, LATE):
            return None
        self._settled.add(read.of)
        if read.how == "exception":
            return self._complain_of_exception(read, first, rest[0])
        if read.how == "as_completed":
            if first != ("value", True):
                return "as_completed or wait left a future out"
            first, *rest = rest
        return self._complain_of_value(read, first, rest)

    def _complain_of_other(self, read: Read, outcomes: list[Outcome]) -> str | None:
        """What is wrong with a step that asks for no value."""
        if read.how == "wait":
            return None if outcomes == [("value", None), ("value", True)] else "not ready"
        if outcomes == [("value", True)]:
            self._cancelled.add(read.of)
        return "cancel() raised" if outcomes and outcomes[0][0] != "value" else None

    def _complain_of_value(self, read: Read, got: Outcome, states: list[Outcome]) -> str | None:
        """What is wrong with what a result gives, or with what it says of itself then."""
        call = self.program.steps[read.of]
        if read.of in self._cancelled:
            return None if raises(got, CANCELLED) else "a cancelled future has a result"
        if self._is_lost(call, got):
            return None
        right = self._right_result(read.of, call)
        if got not in right:
            return f"expected {right}"
        fits = states == [("value", True), ("value", got[0] == "value")][: len(states)]
        return None if fits else "what it says of itself does not fit"

    def _complain_of_exception(self, read: Read, error: Outcome, result: Outcome) -> str | None:
        complaint = self._complain_of_value(read, result, [])
        has_none, is_value = error == ("value", None), result[0] == "value"
        if complaint is None and has_none != is_value:
            return "exception() and result() do not agree"
        return complaint

    def _right_result(self, at: int, call: Call) -> Right | Whole:
        expected = self.expected[at]
        if expected.input_error is not None:
            return Right(errors=(expected.input_error,))
        if call.way in SINGLE:
            return expected.items[0]
        return Whole(expected.items)

    def _complain_of_stream(self, read: Read, outcomes: list[Outcome]) -> str | None:
        call = self.program.steps[read.of]
        stream = self._streams.get(read.of)
        if stream is None:
            ends_at_error = self._is_executor(call.pool)
            is_ordered, together = call.way != "imap_unordered", call.chunksize or 1
            expected = self.expected[read.of]
            stream = _Stream(expected, is_ordered, ends_at_error, together)
            self._streams[read.of] = stream
        lost = self.losses_of(call)
        late = LATE if read.how == "briefly" or call.timeout is not None else ()
        complaints = (stream.complain(outcome, (*lost, *late)) for outcome in outcomes)
        return next((complaint for complaint in complaints if complaint), None)


class _Stream:
    """An iterator over results, followed by what it gives.

    :param ends_at_error: as the iterators of executors, which are generators.
    :param together: how many items travel together; an input that raises may take some along.
    """

    def __init__(
        self, expected: Expected, is_ordered: bool, ends_at_error: bool, together: int
    ) -> None:
        self._left = list(expected.items)
        self._input_error = expected.input_error
        self._is_ordered = is_ordered
        self._ends_at_error = ends_at_error
        self._together = together
        self._may_end = False
        self.is_over = False
        self.has_raised = False

    def complain(self, outcome: Outcome, excuses: tuple[str, ...]) -> str | None:
        """What is wrong with the next thing that it gives.

        :param excuses: exceptions that may come in any place.
        """
        word, what = outcome
        if self.is_over:
            return None if word == "end" else f"{outcome} after the end"
        self.has_raised |= word == "raised"
        is_excused = word == "raised" and is_any(what, excuses)
        self.is_over = word == "raised" and (
            self._ends_at_error or (is_excused and is_any(what, GONE))
        )
        if is_excused and is_any(what, GONE):
            return None
        place = self._place_of(outcome)
        if place is not None:
            del self._left[place]
            if self._input_error and len(self._left) < self._together:
                # It may as well be the input's error, with which the last chunk goes.
                self._may_end |= raises(outcome, self._input_error)
            return None
        return None if is_excused else self._complain_of_end(outcome)

    def _complain_of_end(self, outcome: Outcome) -> str | None:
        """What is wrong with what is no item: the input's error, the end, or something else."""
        if self._input_error and raises(outcome, self._input_error):
            self._input_error = None
            is_early = len(self._left) >= self._together and self._is_ordered
            left, self._left = self._left, []  # with its chunk goes what had been read for it
            return f"the input's error in the place of {left[0]}" if is_early else None
        if outcome[0] == "end":
            self.is_over = True
            is_early = (self._left or self._input_error) and not self._may_end
            return f"ends before {[*self._left, self._input_error][0]}" if is_early else None
        return f"{outcome} in the place of {self._left[:1]}"

    def _place_of(self, outcome: Outcome) -> int | None:
        """Which of the items that are left this may be; an item can raise StopIteration too."""
        places = self._left[:1] if self._is_ordered else self._left
        if outcome[0] == "end":
            fits = ["StopIteration" in right.errors for right in places]
        else:
            fits = [outcome in right for right in places]
        return fits.index(True) if True in fits else None


def raises(outcome: Outcome, name: str) -> bool:
    """The outcome is an exception that an `except` of this name would catch."""
    return outcome[0] == "raised" and name in outcome[1].names


def is_raised(outcome: Outcome, names: tuple[str, ...]) -> bool:
    """The outcome is an exception that an `except` of one of these names would catch."""
    return outcome[0] == "raised" and is_any(outcome[1], names)
