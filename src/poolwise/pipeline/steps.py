"""Steps of a stage as they run in its worker: one value in; one, none or many out.

Loaded by worker processes, so it imports nothing that is heavy.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import Any

from poolwise.errors import TaskTimeout
from poolwise.record import record
from poolwise.wire.failures import encode

MAP, FLAT_MAP, FILTER, TAP = range(4)
"""Fate of a function's value: it follows the item, its members do, the item does if the
value is true, the item does in any case."""


class Dropped:
    """Type of :data:`DROPPED`, which stands for an item that goes no further."""

    def __repr__(self) -> str:
        return "DROPPED"

    def __reduce__(self) -> str:
        return "DROPPED"


DROPPED: Any = Dropped()


@record
class Retry:
    """Retry policy of a failing item.

    :param times: further tries.
    :param on: exceptions that are worth one.
    :param backoff_s: wait before the first of them; doubled before each next one.
    """

    times: int = 0
    on: tuple[type[BaseException], ...] = ()
    backoff_s: float = 0.0

    def wants(self, error: BaseException, tried: int) -> bool:
        """True if it is to be tried again after ``tried`` failures; always if it took too long."""
        return tried <= self.times and isinstance(error, (TaskTimeout, *self.on))

    def pause_s(self, tried: int) -> float:
        """Seconds to wait after ``tried`` failures."""
        return self.backoff_s * 2.0 ** (tried - 1)


@record
class Step:
    """One stage's function and how it is applied.

    :param stage: the position of its stage in the pipe.
    :param call: None passes the item on as it is (``unbatch``).
    :param setup: makes, once a worker, what ``call`` is given beside the item.
    :param gets_state: ``call`` takes that second argument.
    :param keeps_input: the item goes on beside its result, as a pair.
    """

    stage: int
    mode: int
    call: Callable[..., Any] | None
    retry: Retry
    setup: Callable[[], Any] | None = None
    teardown: Callable[..., Any] | None = None
    gets_state: bool = False
    keeps_input: bool = False


Pause = Callable[[float], object]


class Visit:
    """Steps that a worker runs one after the other on an item; nothing between them is handed over.

    :param steps: in the order of the data.
    :param seed: of :func:`rng` (None: none was given).
    """

    def __init__(self, steps: Sequence[Step], seed: int | str | None = None) -> None:
        self.steps = steps
        self.seed = seed
        self.is_single = all(step.mode != FLAT_MAP for step in steps)
        """There is one value at most for an item."""
        self._calls: list[Callable[..., Any]] | None = None
        self._states: list[tuple[Step, Any]] = []
        self.pause: Pause = time.sleep

    def __reduce__(self) -> Any:
        return Visit, (self.steps, self.seed)

    def open(self) -> None:
        """Make each step's state; once in each worker."""
        self._calls = [self._bind(step) for step in self.steps]

    def _bind(self, step: Step) -> Callable[..., Any]:
        if step.setup is None:
            return step.call or _same
        state = step.setup()
        self._states.append((step, state))
        return _bound(step, state)

    def close(self) -> None:
        """Undo what :meth:`open` did, last first; raises the first error after all have run."""
        states, self._states = self._states, []
        failed: BaseException | None = None
        for step, state in reversed(states):
            try:
                if step.teardown is not None:
                    step.teardown(*((state,) if state is not None else ()))
            except BaseException as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def run(self, value: Any, number: int = 0, first: int = 0) -> Any:
        """The value that follows ``value``, or DROPPED.

        :param number: the source item's, for :func:`rng`.
        :param first: the step to begin with.
        :raises Exception: whatever a step raised, marked with its stage (:func:`mark`).
        """
        if self._calls is None:
            self.open()
        if self.seed is not None:
            _seeds.of = self.seed, number
        for at in range(first, len(self.steps)):
            value = self._apply(at, value)
            if value is DROPPED:
                break
        return value

    def run_all(self, value: Any, number: int = 0, first: int = 0) -> Iterator[Any]:
        """The values that follow ``value``, made as they are asked for."""
        if self._calls is None:
            self.open()
        for at in range(first, len(self.steps)):
            if self.seed is not None:
                _seeds.of = self.seed, number
            if self.steps[at].mode == FLAT_MAP:
                for member in self._members(at, value):
                    yield from self.run_all(member, number, at + 1)
                return
            value = self._apply(at, value)
            if value is DROPPED:
                return
        yield value

    def _apply(self, at: int, value: Any) -> Any:
        step = self.steps[at]
        result = self._try(at, value)
        if step.mode == MAP:
            return (value, result) if step.keeps_input else result
        return value if step.mode == TAP or result else DROPPED

    def _members(self, at: int, value: Any) -> Iterator[Any]:
        """Members that a step makes of a value. Once it has given one it is not tried again."""
        step = self.steps[at]
        first, members = self._try(at, value, _begun)
        try:
            for member in chain(first, members):
                yield (value, member) if step.keeps_input else member
        except GeneratorExit:
            raise
        except BaseException as error:
            mark(error, step.stage, value)
            raise
        finally:
            close = getattr(members, "close", None)
            if close is not None and hasattr(members, "send"):
                close()

    def _try(self, at: int, value: Any, take: Callable[[Any], Any] | None = None) -> Any:
        """Value of a step, after more tries where they are wanted; ``take`` is part of each."""
        step, tried = self.steps[at], 0
        call = self._calls[at]  # type: ignore[index] # opened by those who call this
        while True:
            try:
                return call(value) if take is None else take(call(value))
            except BaseException as error:
                tried += 1
                if not step.retry.wants(error, tried):
                    mark(error, step.stage, value)
                    raise
            self.pause(step.retry.pause_s(tried))


@record
class Cut:
    """Values that an item has become before it failed, and the error as it travels."""

    made: list[Any]
    failure: Any


class Worker:
    """The function of a process stage: a visit that is opened once in each worker process.

    :returns: the value, or the list of values where there may be more or fewer than one.
    """

    def __init__(self, visit: Visit, *, has_one: bool) -> None:
        self._visit = visit
        self._has_one = has_one
        self._is_open = False

    def __reduce__(self) -> Any:
        return _rebuilt, (self._visit, self._has_one)

    def __call__(self, item: tuple[int, Any]) -> Any:
        if not self._is_open:
            self._open()
        made: list[Any] = []
        try:
            if self._has_one:
                return self._visit.run(item[1], item[0])
            for value in self._visit.run_all(item[1], item[0]):
                made.append(value)  # noqa: PERF402 - it is kept if the next one fails
        except BaseException as error:
            stage, _ = unmark(error, self._visit.steps[0].stage, None)
            mark(error, stage, None)  # what lies between the stages is never pickled
            if not made:
                raise
            return Cut(made, encode(error))
        return made

    def _open(self) -> None:
        in_worker.is_true = True
        self._is_open = True
        if any(step.setup for step in self._visit.steps):
            from multiprocessing.util import Finalize

            Finalize(None, self._visit.close, exitpriority=10)
        self._visit.open()


def _rebuilt(visit: Visit, has_one: bool) -> Worker:
    return Worker(visit, has_one=has_one)


class _InWorker:
    is_true = False


in_worker = _InWorker()
"""Says that this process is a worker of a pipe: pipes that it makes start no processes."""


def _begun(values: Iterable[Any]) -> tuple[list[Any], Iterator[Any]]:
    """The first member, if there is one, and an iterator over the others."""
    members = iter(values)
    return list(islice(members, 1)), members


def _same(value: Any) -> Any:
    return value


def _call_with(call: Callable[..., Any], state: Any, item: Any) -> Any:
    return call(item, state)


def _bound(step: Step, state: Any) -> Callable[..., Any]:
    call = step.call or _same
    if not step.gets_state:
        return call
    bound: Callable[..., Any] = partial(_call_with, call, state)
    return bound


_MARK = "_poolwise_at"


def mark(error: BaseException, stage: int, item: Any) -> None:
    """Note on an exception in which stage it was raised, and of what; the first note stays."""
    if _MARK not in getattr(error, "__dict__", ()):
        try:
            setattr(error, _MARK, (stage, item))
        except Exception:  # noqa: S110 - a class may allow no attributes: the first stage is named
            pass


def unmark(error: BaseException, stage: int, item: Any) -> tuple[int, Any]:
    """Note that :func:`mark` has left, or the default given here; takes the note off."""
    found: tuple[int, Any] = getattr(error, _MARK, (stage, item))
    try:
        delattr(error, _MARK)
    except AttributeError:
        pass
    return found


class _Seeds(threading.local):
    of: tuple[Any, int] | None = None


_seeds = _Seeds()


def rng() -> random.Random:
    """Random numbers for the source item at hand: the same ones wherever and whenever it runs.

    Inside a stage of a pipe that runs with ``seed=``; each call begins the item's sequence anew.

    :raises RuntimeError: there is no such item here.
    """
    if _seeds.of is None:
        message = "rng() is for stage functions of a pipe that runs with seed=..."
        raise RuntimeError(message)
    return random.Random(repr(_seeds.of))  # noqa: S311 - reproducible, which is the point


def size_of(value: Any, depth: int = 2) -> int:
    """Bytes that a value takes, estimated: long containers by a sample of their members."""
    if type(value) in _FLAT:
        return value.__sizeof__()  # type: ignore[no-any-return]
    try:
        return _size_of(value, depth)
    except Exception:  # attributes may raise, and another thread may change what is looked at
        return _UNKNOWN_BYTES


def _size_of(value: Any, depth: int) -> int:
    kind = type(value)
    nbytes = getattr(value, "nbytes", None)
    if type(nbytes) is int:
        return nbytes
    size = int(value.__sizeof__())
    if not depth:
        return size
    if kind is dict:
        return size + _sampled(value.items(), len(value), depth)
    if kind in _CONTAINERS:
        return size + _sampled(value, len(value), depth - 1)
    inside = getattr(value, "__dict__", None)
    return size + (size_of(inside, depth - 1) if type(inside) is dict else 0)


_FLAT = frozenset({int, float, complex, bool, type(None), str, bytes, bytearray})
_CONTAINERS = frozenset({list, tuple, set, frozenset})
_SAMPLE = 8
_UNKNOWN_BYTES = 64


def _sampled(members: Iterable[Any], count: int, depth: int) -> int:
    total = seen = 0
    for member in members:
        total += size_of(member, depth)
        seen += 1
        if seen == _SAMPLE:
            break
    return total * count // seen if seen else 0
