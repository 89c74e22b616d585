"""A job is one call of the user: where its items come from, what was handed out, who waits.

Hands out the next items as chunks; its sink is where the story of each item ends.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Protocol

from poolwise.core.batching import DEFAULT_LIMITS, ChunkLimits, ChunkSizer
from poolwise.core.bell import Bell

if TYPE_CHECKING:
    from poolwise.options import TaskRules

MAP, STARMAP, CALLS = range(3)
"""Ways to apply a function to an item: ``f(x)``, ``f(*x)``, and calls that bring their own."""

CONSUMER_SLOW, INPUT_SLOW, TAIL, NO_JOB = range(4)
"""Reasons why nothing is handed out: results wait to be read, the input is slow, all is under way,
or there is no job."""

CALL_PROMPT_NS = 1_000_000
STREAM_PROMPT_NS = 2_000_000
MAP_PROMPT_NS = 50_000_000
"""Limit on the wait of a finished value in the worker for those that came with it. Nobody sees a
map's values before its end; parts of them are sent so that a crash costs little."""

_chunk_ids = count(1)
_function_ids = count(1)
_job_numbers = count(1)


def _no_limit() -> int:
    return sys.maxsize


class Function:
    """A callable, pickled once for a whole job and sent once to each lane.

    ``by_value`` says that its code must travel, because workers cannot find it by name;
    ``packed`` is the back end's to fill; ``kept`` stands for it where what it holds may change
    before it is sent.
    """

    __slots__ = ("__weakref__", "by_value", "call", "id", "kept", "packed")

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        self.by_value = False
        self.kept: Any = None
        self.packed: Any = None
        self.id = next(_function_ids)

    def carry_code(self) -> None:
        """Let the code travel from now on; a new number, since workers know the old one."""
        self.by_value = True
        self.packed = None
        self.id = next(_function_ids)


class Chunk:
    """Items of one job that travel together.

    ``start`` is the position of the first in the job, ``done`` how many have been answered for,
    ``attempt`` how often they have cost a lane, ``losses`` how often their answer went with one,
    ``is_alone`` that they must travel one by one, ``by_value`` that these calls bring the code of
    their functions, ``function_id`` which pickle of the function
    they were sent for.
    What they weighed on the way and cost to send (``sent_bytes``, ``function_bytes``,
    ``pickle_ns``) is the back end's to fill in; ``answer_bytes`` is the weight of the answer that
    is being delivered.
    """

    __slots__ = (
        "answer_bytes", "attempt", "by_value", "done", "function_bytes", "function_id", "id",
        "is_alone", "items", "job", "losses", "pickle_ns", "sent_bytes", "start",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - what is known of it
        self,
        job: Job,
        start: int,
        items: Sequence[Any],
        *,
        attempt: int = 0,
        losses: int = 0,
        is_alone: bool = False,
        by_value: bool = False,
    ) -> None:
        self.id = next(_chunk_ids)
        self.job = job
        self.start = start
        self.items = items
        self.attempt = attempt
        self.losses = losses
        self.is_alone = is_alone
        self.by_value = by_value
        self.done = 0
        self.function_id = job.function.id
        self.sent_bytes = self.function_bytes = self.pickle_ns = self.answer_bytes = 0

    def __repr__(self) -> str:
        return (
            f"<Chunk {self.id}: items {self.start}..{self.start + len(self.items)} of {self.job}>"
        )

    @property
    def rest(self) -> int:
        """Items that have not been answered for."""
        return len(self.items) - self.done

    def name_at(self, at: int) -> str:
        """Name of the function that an item is for; single calls forget theirs once answered."""
        if not self.job.has_calls:
            return name_of(self.job.function.call)
        call = self.items[at].call if at < len(self.items) else None
        return "a call" if call is None else name_of(call[0])

    def part(self, first: int, end: int, **changes: Any) -> Chunk:
        """A new chunk of the items from ``first`` up to ``end``."""
        kept = {
            "attempt": self.attempt,
            "losses": self.losses,
            "is_alone": self.is_alone,
            "by_value": self.by_value,
        }
        return Chunk(self.job, self.start + first, self.items[first:end], **{**kept, **changes})


class Source(Protocol):
    """Source of a job's items."""

    error: BaseException | None
    """Exception that the input raised instead of giving another item."""

    @property
    def remaining(self) -> int | None:
        """Items that are left; None when nobody knows."""

    @property
    def has_items(self) -> bool:
        """An item is there."""

    @property
    def is_exhausted(self) -> bool:
        """No item is left and none will come."""

    def take(self, size: int) -> Sequence[Any]:
        """The next items, ``size`` at most; fewer, or none, if they are not there yet."""

    def stop(self) -> None:
        """Drop what is left: the job is over. May run in a finalizer."""


_STOPPED: tuple[Any, ...] = ()


class Listed:
    """Items of a sequence, handed out as slices of it: those that it has now.

    Another thread may make a list shorter while a map works on it: then the map fails.
    """

    def __init__(self, items: Sequence[Any]) -> None:
        self.error: BaseException | None = None
        self._items = items
        self._at, self._end = 0, len(items)

    @property
    def remaining(self) -> int:
        return self._end - self._at

    @property
    def has_items(self) -> bool:
        return self._at < self._end

    @property
    def is_exhausted(self) -> bool:
        return self._at >= self._end

    def take(self, size: int) -> Sequence[Any]:
        size = min(size, self.remaining)
        items = self._items  # race: another thread may stop it meanwhile
        taken = items[self._at : self._at + size]
        self._at += len(taken)
        if len(taken) < size and items is not _STOPPED:
            self._end = self._at
            self.error = RuntimeError(
                "the input of a map became shorter while the map was working on it: give it a copy"
            )
        return taken

    def stop(self) -> None:
        self._items = _STOPPED  # the numbers stay: progress tells where it stopped


_SCALARS = frozenset({int, float, complex, bool, type(None)})
"""Immutable and small: neither copied nor weighed when they are read."""

_STRINGS = frozenset({str, bytes})
"""Immutable, and perhaps long. They are weighed in the loop: a call would double their cost."""

Fix = Callable[[Any], tuple[Any, int]]
"""Turns an item that was just read into what is kept of it, and says how many bytes that takes."""


class Fed:
    """Bounded queue between the thread that reads a job's input and the scheduler.

    Each item is fixed before the next one is asked for: an input may reuse what it has yielded.

    :param unit: items leave in units of so many (an explicit chunksize), except the last.
    :param fix: makes an item safe from changes (None: items are kept as they are).
    """

    def __init__(self, unit: int = 1, fix: Fix | None = None) -> None:
        self.unit = unit
        self.items: deque[Any] = deque()
        self.error: BaseException | None = None
        self.is_ended = False
        self.count_fed = 0
        self.is_ignored = False
        """Its results will never be read."""
        self._is_stopped = False
        self._fix = fix
        self._count_taken = 0
        self._weights: deque[tuple[int, int]] = deque()
        self._fed_bytes = self._taken_bytes = 0
        self._bell = Bell()
        self._taking = allocate_lock()
        self._low_mark = -1

    @property
    def remaining(self) -> int | None:
        return None

    @property
    def has_items(self) -> bool:
        return len(self.items) >= self.unit or (self.is_ended and not self.is_exhausted)

    @property
    def is_exhausted(self) -> bool:
        return self.is_ended and (self._is_stopped or not self.items)

    @property
    def waiting_bytes(self) -> int:
        """Weight of the items that wait, to within a batch."""
        return self._fed_bytes - self._taken_bytes

    # -- the scheduler's side

    def take(self, size: int) -> Sequence[Any]:
        items = self.items
        if self._is_stopped:
            items.clear()
        with self._taking:
            there = len(items)
            size = min(size, there if self.is_ended else there - there % self.unit)
            taken = [items.popleft() for _ in range(size)]
        self._count_taken += size
        weights = self._weights
        while weights and weights[0][0] <= self._count_taken:
            self._taken_bytes += weights.popleft()[1]
        if len(items) <= self._low_mark:
            self._bell.ring()
        return taken

    def stop(self) -> None:
        self._is_stopped = self.is_ended = True  # take() clears: it may run in another thread now
        self._bell.ring()

    # -- the reader's side

    def read(self, iterator: Iterator[Any], size: int, wake: Callable[[], None]) -> None:
        """Read up to ``size`` items; fewer when they are heavy, or when the input ends.

        :param wake: is called when there is something to hand out where there was nothing.
        :raises BaseException: whatever the input raises.
        """
        items, unit, fix = self.items, self.unit, self._fix
        count = nbytes = weight = 0
        try:
            for item in islice(iterator, size):
                kind = type(item)
                if kind in _STRINGS:
                    nbytes += len(item)
                elif fix is not None and kind not in _SCALARS:
                    item, weight = fix(item)  # noqa: PLW2901 - the original must not be kept
                    nbytes += weight
                items.append(item)
                count += 1
                if len(items) == unit:
                    wake()
                # A batch ends early, for the limits on what waits to be looked at again.
                if self.is_ended or nbytes > 1 << 20:
                    return
            if count < size:
                self.end()
        finally:
            self.count_fed += count
            if nbytes:
                self._fed_bytes += nbytes
                self._weights.append((self.count_fed, nbytes))

    def end(self, error: BaseException | None = None) -> None:
        """No more will come (because the input raised ``error``, which costs the unit begun)."""
        with self._taking:
            for _ in range(len(self.items) % self.unit if error is not None else 0):
                self.items.pop()
            self.error = error
            self.is_ended = True
        self._bell.ring()

    def ring(self) -> None:
        """There may be room: end a :meth:`wait_for_room`."""
        self._bell.ring()

    def wait_for_room(self, room: Callable[[], int]) -> int:
        """Wait until items may be read: how many; 0 when none are wanted any more.

        The reader sleeps until half of what waits has gone: to wake it for each item would cost
        two context switches an item.
        """
        while not self.is_ended:
            self._bell.clear()
            self._low_mark = len(self.items) // 2  # before the look: a race with take()
            if (size := room()) > 0:
                self._low_mark = -1
                return size
            self._bell.wait()
        return 0


class Task(Protocol):
    """One submitted call: something that waits for one value."""

    call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] | None
    kept: Any
    """Snapshot of the call as it was when it was made; None: the call itself travels."""

    def begin(self) -> bool:
        """Begin a call that is about to be sent; False when it has been cancelled."""


class Submitted(Fed):
    """Calls that are submitted one by one; what has gathered travels together."""

    @property
    def remaining(self) -> int:
        return len(self.items)

    @property
    def has_items(self) -> bool:
        return bool(self.items)

    def take(self, size: int) -> Sequence[Any]:
        items = self.items
        taken: list[Any] = []
        while len(taken) < size:
            try:
                task = items.popleft()
            except IndexError:
                break  # there were no more; or another thread has taken the last one back
            if task.begin():
                taken.append(task)
        return taken

    def stop(self) -> None:
        """Take no more; a call that is submitted in this moment finds that out by itself."""
        self.is_ended = True
        self.ring()

    def take_back(self, task: Any) -> bool:
        """Take out what was put in while another thread ended it; False when it has been taken."""
        while True:
            try:
                self.items.remove(task)
            except ValueError:
                return False
            except IndexError:
                continue  # a race with take(): the queue changed while it was searched
            return True


Callback = Callable[[], object]
"""The program's own code, to be called with a result."""

News = Sequence[Callable[[], Callback | None]]
"""Results to publish to waiting threads, after the drive is released; each returns the callback
that follows it, if there is one."""


class Sink(Protocol):
    """Receiver of a job's values."""

    def deliver(
        self, chunk: Chunk, first: int, values: Sequence[Any], errors: dict[int, BaseException]
    ) -> News:
        """Values (and errors, by position among them) of the chunk's items from ``first``."""

    def end(self, error: BaseException | None) -> News:
        """End the values: all is delivered, or ``error`` ended the job."""

    def room(self, job: Job) -> int | None:
        """Number of items that the job may still hand out now (None: any number)."""


class Job:
    """One call of the user.

    :param mode: how ``function`` is applied to an item.
    :param prompt_ns: how long a finished value may wait in the worker for its siblings.
    :param unit: the scheduling unit, an explicit chunksize (None: a chunk counts as one task).
    :param site: where the program made the call, for whoever observes.
    :param is_stream: the caller reads the values one by one, and does other things meanwhile.
    :param limits: of its chunks.

    ``common`` are objects, by their ``id``, that many items hold and that nobody changes before
    the job is over; what became of them in ``deposits`` is the back end's to fill.
    """

    def __init__(  # noqa: PLR0913 - what a call is made of
        self,
        function: Function,
        mode: int,
        source: Source,
        sink: Sink,
        rules: TaskRules,
        *,
        lanes: int,
        prompt_ns: int,
        unit: int | None = None,
        site: str | None = None,
        is_stream: bool = False,
        limits: ChunkLimits = DEFAULT_LIMITS,
    ) -> None:
        self.number = next(_job_numbers)
        self.function = function
        self.mode = mode
        self.has_calls = mode == CALLS
        """Its items are calls that were submitted one by one."""
        self.site = site
        self.source = source
        self.sink = sink
        self.rules = rules
        self.prompt_ns = 0 if rules.task_timeout_s is not None else prompt_ns
        self.unit = unit
        self.lanes = lanes
        self.sizer = ChunkSizer(lanes, unit=unit or 1, limits=limits, is_stream=is_stream)
        self.common: dict[int, Any] = {}
        self.deposits: dict[int, Any] = {}
        self.open_items = 0
        self.is_over = self.is_unwanted = False
        self.cut_by: BaseException | None = None
        self._again: deque[Chunk] = deque()
        self._next_start = 0

    def __repr__(self) -> str:
        name = name_of(self.function.call)
        return f"<Job {name}: {self._next_start} handed out, {self.open_items} open>"

    def abandon_input(self) -> bool:
        """Read no further what nobody reads the results of: it may have no end.

        True when its input ends with this.
        """
        source = self.source
        is_left = isinstance(source, Fed) and source.is_ignored and not source.is_ended
        if is_left:
            source.end()  # type: ignore[attr-defined] # it is a queue
        return is_left

    @property
    def is_done(self) -> bool:
        """True if everything was handed out and answered for."""
        return self.source.is_exhausted and not self.open_items and not self._again

    def shortage(self) -> int:
        """Reason that it has nothing for an idle lane; NO_JOB when it is not open."""
        if not self.is_over and (self.source.has_items or self._again):
            return CONSUMER_SLOW
        if not self.is_over and not self.has_calls and not self.source.is_exhausted:
            return INPUT_SLOW
        return TAIL if self.open_items else NO_JOB

    @property
    def has_more(self) -> bool:
        """There is an item to hand out, if whoever waits for its value has room."""
        return not self.is_over and (self.source.has_items or bool(self._again))

    @property
    def handed_out(self) -> int:
        """Number of items that were handed out, each counted once."""
        return self._next_start

    @property
    def waiting(self) -> int:
        """Items that could be handed out now."""
        there = self.source.remaining
        if there is None:
            there = len(self.source.items)  # type: ignore[attr-defined]
        if self._again:
            there += sum(len(chunk.items) for chunk in self._again)
        return 0 if self.is_over else there

    def take(self, most_tasks: int | None) -> Chunk | None:
        """The next chunk, or None when there is none now.

        :param most_tasks: how many tasks the lane may still run before it is replaced.
        """
        if self.is_over:
            return None
        chunk: Chunk | None = None
        while self._again and chunk is None:
            chunk = self._take_again()
        if chunk is None:
            chunk = self._take_new(most_tasks)
        if chunk is not None:
            self.open_items += len(chunk.items)
        return chunk

    def _take_new(self, most_tasks: int | None) -> Chunk | None:
        room = self.sink.room(self)
        size = self.sizer.size(self.source.remaining, self.lanes)
        if most_tasks is not None and self.unit is not None:
            size = min(size, most_tasks * self.unit)
        if room is not None:
            size = min(size, room)
        items = self.source.take(size) if size > 0 else ()
        if not len(items):
            return None
        chunk = Chunk(self, self._next_start, items)
        self._next_start += len(items)
        return chunk

    def _take_again(self) -> Chunk | None:
        first = self._again.popleft()
        waiting = (self.source.remaining or 0) + sum(len(chunk.items) for chunk in self._again)
        size = 1 if first.is_alone else self.sizer.size(waiting + len(first.items), self.lanes)
        if size < len(first.items):
            self._again.appendleft(first.part(size, len(first.items)))
            first = first.part(0, size)
        if self.has_calls:  # whose positions say nothing, so cancelled ones can just be left out
            first.items = [call for call in first.items if call.begin()]
        return first if len(first.items) else None

    def put_back(self, chunk: Chunk) -> None:
        """Items that were handed out must go again, before any others."""
        self.open_items -= len(chunk.items)
        self._again.appendleft(chunk)

    def drop(self) -> None:
        """Hand out nothing more, deliver nothing, and let whoever reads its input end."""
        self.is_over = self.is_unwanted = True
        self._again.clear()
        self.source.stop()

    def cut(self, error: BaseException) -> None:
        """Hand out nothing more; ``error`` stands in the place of what is not begun."""
        is_whole = self.source.is_exhausted and not self._again
        self.is_over = True
        self._again.clear()
        self.source.stop()
        self.cut_by = error
        if not is_whole:
            self.miss()

    def miss(self) -> None:
        """Raise in the place of what is missing of what was cut."""
        self.source.error = self.source.error or self.cut_by

    def tasks_in(self, chunk: Chunk) -> int:
        """Number of tasks the chunk counts as, where workers are replaced after some number."""
        return 1 if self.unit is None else -(-len(chunk.items) // self.unit)


def feed(
    source: Fed, items: Iterable[Any], wake: Callable[[], None], room: Callable[[], int] = _no_limit
) -> None:
    """Read the whole input as there is room; ``wake`` is called when an item comes to none.

    What the input raises ends the source; what is no Exception is raised here as well.

    :param room: waits until items may be read and says how many; 0 when no more are wanted.
    """
    iterator: Iterator[Any] = iter(())
    try:
        iterator = iter(items)
        while not source.is_ended and (size := room()):
            source.read(iterator, size, wake)
    except BaseException as error:
        source.end(error)
        if not isinstance(error, Exception):
            raise
    finally:
        close_generator(iterator)
        wake()  # raises where the pool was terminated


def close_generator(iterator: Iterator[Any] | None) -> None:
    """End a generator that is read no further, so that its ``finally`` blocks run now.

    Other iterators are left alone: files and queues have a ``close`` with a meaning of its own.
    """
    if not isinstance(iterator, GeneratorType):
        return
    try:
        iterator.close()
    except Exception:  # a fault of the generator's own, and its values are wanted no more
        import logging

        logging.getLogger("poolwise").exception("an input raised an exception as it was closed")


def no_call(*_: Any) -> None:
    """Stands for the function of a job whose items bring their own."""


def name_of(call: Any) -> str:
    """Name of a callable for people; a partial has that of what it calls.

    A proxy may answer the question for any attribute with any error.
    """
    try:
        name = getattr(getattr(call, "func", call), "__qualname__", None)
    except Exception:
        name = None
    return name if isinstance(name, str) else type(call).__qualname__
