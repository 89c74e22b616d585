"""The exam that every back end sits: the five verbs, and what must come of them.

A test class inherits :class:`BackendExam` and says how its back end is made::

    class TestThreads(BackendExam):
        def make_backend(self, initializer=None, initargs=()):
            return Threads(initializer, initargs)

pytest runs it. What a kind of lane cannot do is declared, and skipped with the reason.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest import SkipTest

from poolwise import errors
from poolwise.core import contract as c
from poolwise.core.job import CALLS, MAP, STARMAP, Chunk, Function, Job, Listed, News
from poolwise.options import TaskRules

E = TypeVar("E")

_LONG_S = 30.0
"""Far more than anything here takes; who waits so long has found a hang."""

_AT_ONCE_NS, _NEVER_NS = 0, 10**15


# -- what the lanes are given to do; workers that start afresh find it here


def double(x: Any) -> Any:
    """Twice the item, of whatever type that is."""
    return x * 2


def add(a: int, b: int) -> int:
    """The sum of two."""
    return a + b


def check_even(x: int) -> int:
    """The item, if it is even."""
    if x % 2:
        message = f"{x} is odd"
        raise ValueError(message)
    return x


def wait_for_file(path: str | None) -> str | None:
    """Return when the file is there; at once for None."""
    while path is not None and not Path(path).exists():
        time.sleep(0.001)
    return path


def exit_with(code: int) -> None:
    """End the process."""
    os._exit(code)


def return_lock(_: object) -> object:
    """A value that does not pickle."""
    return threading.Lock()


def return_unloadable(is_bad: object) -> object:
    """A value that pickles and does not unpickle."""
    return Unloadable() if is_bad else "good"


class Unloadable:
    """Pickles, and cannot be rebuilt."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


_noted: list[Any] = []


def note(*what: object) -> None:
    """An initializer that leaves a trace."""
    _noted.append(what)


def read_notes(_: object) -> list[Any]:
    """The traces of this process."""
    return list(_noted)


def fail(*_: object) -> None:
    """An initializer that raises."""
    message = "no licence"
    raise LookupError(message)


class _Call:
    kept = None

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.call = (function, args, kwargs)

    def begin(self) -> bool:
        return True


class _NoSink:
    def deliver(
        self, chunk: Chunk, first: int, values: Sequence[Any], errors: dict[int, Any]
    ) -> News:
        return ()

    def end(self, error: BaseException | None) -> News:
        return ()

    def room(self, job: Job) -> None:
        return None


def make_chunk(
    function: Callable[..., Any],
    items: Sequence[Any],
    *,
    mode: int = MAP,
    prompt_ns: int = _NEVER_NS,
) -> Chunk:
    """One chunk of all the items."""
    job = Job(
        Function(function),
        mode,
        Listed(items),
        _NoSink(),
        TaskRules(),
        lanes=1,
        prompt_ns=prompt_ns,
        unit=len(items),
    )
    chunk = job.take(None)
    assert chunk is not None
    return chunk


class Sitting:
    """A back end that is open, and what has come of it so far."""

    def __init__(self, backend: c.Backend) -> None:
        self.backend = backend
        self.inbox = backend.open(c.Phases())
        self.events: list[c.Event] = []

    def wait_for(self, kind: type[E], is_meant: Callable[[E], bool] = lambda _: True) -> E:
        """The next event of that kind; others are kept for those who ask for them."""
        until = time.monotonic() + _LONG_S
        while True:
            for event in self.events:
                if isinstance(event, kind) and is_meant(event):
                    self.events.remove(event)
                    return event
            if time.monotonic() > until:
                message = f"no {kind.__name__} came, but {self.events}"
                raise AssertionError(message)
            self.events += self.inbox.wait(_LONG_S)

    def start(self, *lanes: int) -> None:
        """Start lanes and wait until they are ready."""
        for lane in lanes:
            self.backend.start_lane(lane)
        for _ in lanes:
            self.wait_for(c.LaneReady)

    def answers(self, chunk: Chunk) -> Iterator[c.Outcome]:
        """Answers to the chunk, up to its last one."""
        is_last = False
        while not is_last:
            done = self.wait_for(c.ChunkDone, lambda event: event.chunk_id == chunk.id)
            is_last = done.outcome.is_last
            yield done.outcome

    def gather(self, chunk: Chunk) -> tuple[list[Any], dict[int, BaseException]]:
        """The values of the whole chunk, and its errors by position."""
        values: list[Any] = []
        failed: dict[int, BaseException] = {}
        for outcome in self.answers(chunk):
            assert outcome.first == len(values), "parts come in order and without a gap"
            assert outcome.returned == 0, "nobody asked for anything back"
            failed |= {outcome.first + at: error for at, error in outcome.errors.items()}
            values += outcome.values
        return values, failed

    def run(self, chunk: Chunk, lane: int = 1) -> tuple[list[Any], dict[int, BaseException]]:
        """Send the chunk to the lane, and gather what it gives."""
        self.backend.send(lane, chunk)
        return self.gather(chunk)


class BackendExam:
    """Tests of one back end; see the module."""

    is_concurrent = True
    """Lanes work while the parent does something else."""
    has_processes = True
    """A lane can be killed, and what is sent to it is pickled."""
    has_initializers = True
    """Its workers can be prepared."""

    def make_backend(
        self, initializer: Callable[..., object] | None = None, initargs: tuple[Any, ...] = ()
    ) -> c.Backend:
        """The back end under test."""
        raise NotImplementedError

    @contextmanager
    def sit(
        self,
        *lanes: int,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> Iterator[Sitting]:
        """An open back end with lanes that are ready; closed at the end."""
        backend = self.make_backend(initializer, initargs)
        sitting = Sitting(backend)
        try:
            sitting.start(*lanes)
            yield sitting
        finally:
            backend.close()

    @staticmethod
    def _need(sitting: Sitting, promise: str, why: str) -> None:
        """Skip where the back end says itself that it cannot do what is tested."""
        if not getattr(sitting.backend.promises, promise):
            raise SkipTest(why)

    def _need_concurrency(self) -> None:
        if not self.is_concurrent:
            message = "its one lane is the thread that waits"
            raise SkipTest(message)

    def _need_initializers(self) -> None:
        if not self.has_initializers:
            message = "its workers are made by others"
            raise SkipTest(message)

    def _need_processes(self) -> None:
        if not self.has_processes:
            message = "its lanes are in this process"
            raise SkipTest(message)

    # -- running

    def test_values_come_back_in_order(self) -> None:
        with self.sit(1) as sitting:
            assert sitting.run(make_chunk(double, range(100))) == (list(range(0, 200, 2)), {})

    def test_arguments_can_be_unpacked(self) -> None:
        with self.sit(1) as sitting:
            chunk = make_chunk(add, [(1, 2), (3, 4)], mode=STARMAP)
            assert sitting.run(chunk) == ([3, 7], {})

    def test_calls_bring_their_own_functions(self) -> None:
        with self.sit(1) as sitting:
            calls = [_Call(add, 1, b=2), _Call(double, "a"), _Call(check_even, 3)]
            values, failed = sitting.run(make_chunk(add, calls, mode=CALLS))
            assert values == [3, "aa", None]
            assert failed.keys() == {2}

    def test_an_exception_is_the_outcome_of_its_item_alone(self) -> None:
        with self.sit(1) as sitting:
            values, failed = sitting.run(make_chunk(check_even, range(5)))
            assert values == [0, None, 2, None, 4]
            assert {at: str(error) for at, error in failed.items()} == {
                1: "1 is odd",
                3: "3 is odd",
            }
            assert all(type(error) is ValueError for error in failed.values())

    def test_chunks_that_wait_in_a_lane_are_run_in_turn(self) -> None:
        with self.sit(1) as sitting:
            chunks = [make_chunk(double, [number]) for number in range(5)]
            for chunk in chunks:
                sitting.backend.send(1, chunk)
            assert [sitting.gather(chunk)[0] for chunk in chunks] == [[0], [2], [4], [6], [8]]

    def test_a_closure_travels(self) -> None:
        with self.sit(1) as sitting:
            offset = 10
            assert sitting.run(make_chunk(lambda x: x + offset, [1, 2])) == ([11, 12], {})

    def test_large_values_pass_both_ways_at_once(self) -> None:
        with self.sit(1) as sitting:
            chunks = [make_chunk(double, [bytes(3_000_000)]) for _ in range(4)]
            for chunk in chunks:
                sitting.backend.send(1, chunk)  # nobody reads meanwhile
            for chunk in chunks:
                (value,), _ = sitting.gather(chunk)
                assert len(value) == 6_000_000

    def test_what_it_took_is_told(self) -> None:
        with self.sit(1) as sitting:
            chunk = make_chunk(time.sleep, [0.01, 0.01])
            sitting.backend.send(1, chunk)
            assert sum(outcome.run_ns for outcome in sitting.answers(chunk)) >= 20_000_000

    def test_lanes_work_side_by_side(self, tmp_path: Path) -> None:
        self._need_concurrency()
        with self.sit(1, 2) as sitting:
            held = make_chunk(wait_for_file, [str(tmp_path / "go")])
            sitting.backend.send(1, held)
            assert sitting.run(make_chunk(double, [1]), lane=2) == ([2], {})
            (tmp_path / "go").touch()
            assert sitting.gather(held) == ([str(tmp_path / "go")], {})

    def test_a_finished_value_does_not_wait_for_a_slow_sibling(self, tmp_path: Path) -> None:
        self._need_concurrency()
        with self.sit(1) as sitting:
            self._need(sitting, "answers_early", "a chunk is answered for at its end")
            items = [None, str(tmp_path / "go")]
            chunk = make_chunk(wait_for_file, items, prompt_ns=_AT_ONCE_NS)
            sitting.backend.send(1, chunk)
            answers = sitting.answers(chunk)
            assert next(answers).values == [None]
            (tmp_path / "go").touch()
            values = [value for outcome in answers for value in outcome.values]
            assert values == [str(tmp_path / "go")]  # its end may be told apart from it

    # -- giving back

    def test_a_lane_gives_back_what_it_has_not_begun(self, tmp_path: Path) -> None:
        self._need_concurrency()
        with self.sit(1) as sitting:
            self._need(sitting, "answers_early", "a chunk that runs is not heard of before its end")
            items = [None, str(tmp_path / "go"), *[str(tmp_path / "returned")] * 50]
            chunk = make_chunk(wait_for_file, items, prompt_ns=_AT_ONCE_NS)
            sitting.backend.send(1, chunk)
            outcomes = sitting.answers(chunk)
            answered = [next(outcomes)]  # so it has begun
            behind = make_chunk(double, [1])
            sitting.backend.send(1, behind)
            sitting.backend.send(1, None)
            (whole,) = sitting.answers(behind)
            assert (whole.values, whole.returned) == ([], -1)
            (tmp_path / "go").touch()
            for outcome in outcomes:
                answered.append(outcome)
                if outcome.returned:  # the third item may have begun before the others went back
                    (tmp_path / "returned").touch()
            kept = sum(len(outcome.values) for outcome in answered)
            assert kept + sum(outcome.returned for outcome in answered) == len(items)
            assert kept <= 3

    def test_a_lane_with_nothing_to_give_says_nothing(self) -> None:
        with self.sit(1) as sitting:
            sitting.backend.send(1, None)
            assert sitting.run(make_chunk(double, [1])) == ([2], {})

    # -- beginnings and ends

    def test_the_initializer_runs_once_in_each_lane(self) -> None:
        self._need_initializers()
        mine = (type(self).__name__, 1)
        with self.sit(1, initializer=note, initargs=mine) as sitting:
            (notes,), _ = sitting.run(make_chunk(read_notes, [None]))
            assert notes.count(mine) == 1

    def test_an_initializer_that_raises_ends_the_lane_with_the_reason(self) -> None:
        self._need_initializers()
        backend = self.make_backend(fail, ())
        sitting = Sitting(backend)
        try:
            backend.start_lane(1)
            died = sitting.wait_for(c.LaneDied)
            assert died.lane == 1
            assert isinstance(died.failure, LookupError)
        finally:
            backend.close()

    def test_a_lane_ends_when_it_is_asked_to_after_what_it_holds(self) -> None:
        with self.sit(1) as sitting:
            chunk = make_chunk(double, [1])
            if self.is_concurrent:
                sitting.backend.send(1, chunk)
                sitting.backend.stop_lane(1, kill=False)
                assert sitting.gather(chunk) == ([2], {})
            else:
                sitting.backend.stop_lane(1, kill=False)
            died = sitting.wait_for(c.LaneDied)
            assert (died.lane, died.death.exitcode, died.failure) == (1, 0, None)

    def test_a_lane_can_be_ended_in_the_middle_of_a_task(self, tmp_path: Path) -> None:
        self._need_concurrency()
        with self.sit(1) as sitting:
            sitting.backend.send(1, make_chunk(wait_for_file, [str(tmp_path / "go")]))
            sitting.backend.stop_lane(1, kill=True)
            assert sitting.wait_for(c.LaneDied).lane == 1
            (tmp_path / "go").touch()  # a thread cannot be stopped, only left
            sitting.start(2)
            assert sitting.run(make_chunk(double, [1]), lane=2) == ([2], {})

    def test_a_worker_that_ends_by_itself_is_told_with_its_exit_code(self) -> None:
        self._need_processes()
        with self.sit(1) as sitting:
            self._need(sitting, "outlives_workers", "the engine ends with its worker")
            sitting.backend.send(1, make_chunk(exit_with, [3]))
            died = sitting.wait_for(c.LaneDied)
            if sitting.backend.promises.tells_exit_codes:
                assert died.death.exitcode == 3
            assert died.death.pid != os.getpid()

    def test_what_was_answered_before_the_end_is_not_lost(self) -> None:
        self._need_processes()
        with self.sit(1) as sitting:
            self._need(sitting, "outlives_workers", "the engine ends with its worker")
            good, bad = make_chunk(double, [21]), make_chunk(exit_with, [3])
            sitting.backend.send(1, good)
            sitting.backend.send(1, bad)
            sitting.wait_for(c.LaneDied)
            assert sitting.gather(good) == ([42], {})

    def test_it_can_be_closed_while_lanes_work(self, tmp_path: Path) -> None:
        self._need_concurrency()
        with self.sit(1, 2) as sitting:
            sitting.backend.send(1, make_chunk(wait_for_file, [str(tmp_path / "go")]))
        (tmp_path / "go").touch()

    def test_a_look_does_not_wait(self) -> None:
        with self.sit(1) as sitting:
            assert sitting.inbox.wait(0) == []

    def test_a_wait_can_be_ended_from_another_thread(self) -> None:
        with self.sit(1) as sitting:
            thread = threading.Thread(target=sitting.inbox.wake)
            thread.start()
            assert sitting.inbox.wait(_LONG_S) == []
            thread.join()

    # -- what cannot travel

    def test_an_item_that_does_not_pickle_is_refused(self) -> None:
        self._need_processes()
        with self.sit(1) as sitting:
            chunk = make_chunk(double, [threading.Lock()])
            sitting.backend.send(1, chunk)
            refused = sitting.wait_for(c.ChunkRefused)
            assert (refused.chunk_id, refused.is_function) == (chunk.id, False)
            assert sitting.run(make_chunk(double, [1])) == ([2], {})

    def test_a_function_that_does_not_pickle_is_refused(self) -> None:
        self._need_processes()
        with self.sit(1) as sitting:
            sitting.backend.send(1, make_chunk(threading.Lock().acquire, [1]))
            assert sitting.wait_for(c.ChunkRefused).is_function

    def test_an_item_that_cannot_be_rebuilt_is_said(self) -> None:
        self._need_processes()
        with self.sit(1) as sitting:
            chunk = make_chunk(double, [Unloadable()])
            sitting.backend.send(1, chunk)
            unread = sitting.wait_for(c.ChunkUnread)
            assert (unread.chunk_id, unread.is_function) == (chunk.id, False)
            assert isinstance(unread.error, ValueError)
            assert sitting.run(make_chunk(double, [1])) == ([2], {})

    def test_a_result_that_does_not_pickle_fails_its_item(self) -> None:
        self._need_processes()
        with self.sit(1) as sitting:
            _, failed = sitting.run(make_chunk(return_lock, [1, 2]))
            assert failed.keys() == {0, 1}
            assert all(isinstance(error, errors.ResultNotPicklable) for error in failed.values())

    def test_a_result_that_cannot_be_rebuilt_fails_its_item_alone(self) -> None:
        self._need_processes()
        with self.sit(1) as sitting:
            values, failed = sitting.run(make_chunk(return_unloadable, [False, True, False]))
            assert values == ["good", None, "good"]
            assert failed.keys() == {1}
            assert isinstance(failed[1], errors.ResultNotLoadable)
