"""The words that the core and the back ends exchange: events go up, commands go down."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from poolwise.core.batching import DEFAULT_LIMITS, ChunkLimits
from poolwise.record import record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poolwise.core.job import Chunk, Job
    from poolwise.errors import Death


@record
class Outcome:
    """Answer of a lane for a chunk, or for the next part of it.

    :param first: the position in the chunk of the first value.
    :param errors: what items raised, by their position among ``values``.
    :param run_ns: how long the worker ran these items.
    :param nbytes: bytes of the answer.
    :param returned: items at the chunk's end that are given back unbegun; -1 means all.
    :param is_last: the lane is through with the chunk.
    :param reading: the lane's clock when it answered (``wire.codec.Reading``), cumulative.
    :param times: its slowest item and a histogram (``wire.codec.Times``), where it has timed steps.
    :param load_ns: how long it took to rebuild the values.
    """

    first: int
    values: list[Any]
    errors: dict[int, BaseException]
    run_ns: int = 0
    nbytes: int = 0
    returned: int = 0
    is_last: bool = True
    reading: tuple[int, ...] | None = None
    times: tuple[int, int, int, dict[int, int]] | None = None
    load_ns: int = 0


# -- events: what has happened


@record
class LaneReady:
    """A lane is through with its initializer and can run chunks.

    :param launched_ns: when there was a process; it began to be a worker at ``served_ns``, after
        imports, and was ready at ``ready_ns``. All 0 where nobody looked.
    """

    lane: int
    name: str = ""
    pid: int | None = None
    launched_ns: int = 0
    served_ns: int = 0
    ready_ns: int = 0


@record
class LaneDied:
    """A lane is no more.

    :param failure: what its initializer raised, if that was the end of it.
    :param reading: its clock when it left, if it was told to.
    :param unread: chunks (by number) that it had not taken in when it ended.
    """

    lane: int
    death: Death
    failure: BaseException | None = None
    reading: tuple[int, ...] | None = None
    unread: frozenset[int] = frozenset()


@record
class LaneWeighed:
    """A lane tells its own memory: before its first task, and at the end of each chunk.

    :param own_bytes: memory that it shares with none, now.
    :param peak_bytes: the most that it had at any moment.
    """

    lane: int
    own_bytes: int
    peak_bytes: int


@record
class ChunkDone:
    """A lane has answered for a chunk or a part of it."""

    lane: int
    chunk_id: int
    outcome: Outcome


@record
class ChunkRefused:
    """A chunk never left: something in it, or its function, cannot be pickled.

    Without an error its items can, but only one by one: each can be sent once, and the death of a
    worker over one of them must not cost the others.
    """

    lane: int
    chunk_id: int
    error: BaseException | None
    is_function: bool = False


@record
class ChunkUnread:
    """A chunk arrived but the worker could not rebuild its items, or its function."""

    lane: int
    chunk_id: int
    error: BaseException
    is_function: bool


@record
class ChunkLost:
    """A lane has died, and part of what it answered went with it: nobody can read it any more.

    :param is_last: the lane was through with the chunk.
    """

    lane: int
    chunk_id: int
    error: BaseException
    is_last: bool = True


@record
class LaneSpoke:
    """Output of a lane: something was printed, logged or warned of.

    :param chunk_id: the chunk that ran (0: none; None: whichever runs, nobody knows how far it is),
        ``done`` how many of its items were through.
    """

    lane: int
    kind: str
    what: Any
    chunk_id: int | None = 0
    done: int = 0


@record
class JobPosted:
    """A job was posted."""

    job: Job


@record
class InputEnded:
    """A job's input has ended: the job is over if all that was read is answered for."""

    job: Job


@record
class JobDropped:
    """The rest of a job is not wanted any more.

    :param error: stands in the place of what was not begun, and what was is read (None: nothing
        is read any more).
    """

    job: Job
    error: BaseException | None = None


@record
class TaskDropped:
    """A task was cancelled, even if a worker has to be stopped for it."""

    job: Job
    task: object


@record
class PoolClosed:
    """No more jobs will come; lanes may end when those that are here are done."""


Event = (
    LaneReady
    | LaneDied
    | LaneSpoke
    | LaneWeighed
    | ChunkDone
    | ChunkRefused
    | ChunkUnread
    | ChunkLost
    | JobPosted
    | InputEnded
    | JobDropped
    | TaskDropped
    | PoolClosed
)


# -- commands: what shall be done


@record
class StartLane:
    """Make a lane; :class:`LaneReady` or :class:`LaneDied` will tell."""

    lane: int


@record
class SendChunk:
    """Hand a chunk to a lane; :class:`ChunkDone` (or worse) will tell."""

    lane: int
    chunk: Chunk


@record
class AskBack:
    """Ask a lane for what it has not begun: others are idle."""

    lane: int


@record
class StopLane:
    """End a lane: after what it holds, or at once."""

    lane: int
    kill: bool = False


@record
class Deliver:
    """Hand values and errors to the one who waits for them."""

    chunk: Chunk
    first: int
    values: Sequence[Any]
    errors: dict[int, BaseException]


@record
class EndJob:
    """A job is over.

    :param error: what ended it as a whole; its items have their own errors.
    """

    job: Job
    error: BaseException | None = None


Command = StartLane | SendChunk | AskBack | StopLane | Deliver | EndJob


# -- observers

PRODUCE, PICKLE, SEND, DECIDE, RECEIVE, UNPICKLE, USER_CODE, WAIT, NO_JOB = range(9)
"""Phases of the thread that drives an engine; what it does now is one of them."""


class Phases:
    """Stopwatch of the driving thread; this one measures nothing.

    ``at_ns`` is when the present phase began. ``is_awaited`` says that a caller waits for results.
    """

    at_ns = 0
    is_awaited = False

    def to(self, phase: int) -> int:
        """Begin a phase; returns the time, in ns."""
        return 0

    def enter(self) -> None:
        """A thread begins to drive."""

    def leave(self) -> None:
        """Note that a thread no longer leads."""

    def rest(self) -> None:
        """The driver waits for events, with nothing else to do."""

    def begin_producing(self) -> None:
        """The calling thread goes into the user's iterable; any thread may say so."""

    def end_producing(self) -> None:
        """Note that it is out again."""


class Observer:
    """Base of what watches a scheduler: the account, progress. All methods run under the drive.

    ``callbacks`` are run by the helper thread when the drive is released, and then removed.
    """

    def __init__(self) -> None:
        self.callbacks: deque[Callable[[], object]] = deque()

    def observe(self, event: Event | None, commands: Sequence[Command], now_ns: int) -> None:
        """See an event and the commands that follow from it, before they are carried out.

        :param event: None: idle lanes and waiting jobs were brought together.
        """

    def before_wait(self) -> None:
        """The driver is about to wait for events."""

    def silence(self, now_ns: int) -> None:
        """No event has come for a while."""

    def before_end(self) -> None:
        """All lanes are about to be ended at once."""

    def end(self) -> None:
        """All lanes are gone."""


# -- the back end


class Inbox(Protocol):
    """Queue at which a back end's events arrive."""

    def wait(self, timeout_s: float | None) -> list[Event]:
        """The events that are here; waits for one for ``timeout_s`` (None: for ever)."""

    def wake(self) -> None:
        """Make a :meth:`wait` in another thread return; may be called from any thread."""


@record
class Promises:
    """Abilities of a back end's lanes: what users may ask of a pool on them.

    :param has_initializers: an initializer, or ``state``, can prepare each worker.
    :param has_time_limits: a task that runs too long is given up, and its worker with it.
    :param replaces_workers: a worker can be replaced after a number of tasks.
    :param answers_early: a finished value does not wait for a slow one of the same chunk.
    :param outlives_workers: a worker that dies costs the one task it ran.
    :param tells_exit_codes: the error of such a task says how its worker ended.
    :param relays_output: what workers print and log can be brought to this process.
    :param limits_workers: workers have ``nice``, ``affinity``, ``max_memory``, ``recycle_above``.
    """

    has_initializers: bool = True
    has_time_limits: bool = True
    replaces_workers: bool = True
    answers_early: bool = True
    outlives_workers: bool = True
    tells_exit_codes: bool = True
    relays_output: bool = True
    limits_workers: bool = True


class Backend(ABC):
    """Base of what makes lanes. Five verbs; answers arrive as events in the inbox.

    Only one thread at a time calls these, and :meth:`Inbox.wait`. The attributes are facts about
    the kind of lane, for whoever opens a pool on it.
    """

    name = "custom"
    """Name in reports."""
    most_lanes: int | None = None
    """No more lanes than these, whatever was asked for."""
    usual_lanes: int | None = None
    """So many where nobody asks for a number; None: one for each CPU of this process."""
    promises = Promises()
    """Abilities of its lanes."""
    limits: ChunkLimits = DEFAULT_LIMITS
    """Limits of the size of chunks. A back end that measures its messages changes its own."""
    runs_here = False
    """Tasks run in the thread that drives: Ctrl-C must reach them."""
    shares_memory = False
    """Tasks are given the objects themselves; else everything is pickled as it is handed in."""
    starts_at_once = False
    """Start all lanes as soon as one is needed: later would be unsafe."""
    is_near = True
    """Its lanes are on this machine, and can open shared memory that is here."""
    context: Any = None
    """The multiprocessing context that makes the lanes, where lanes are processes."""
    start_error: Exception | None = None
    """Error of the last lane that could not be started."""

    @property
    def processes(self) -> list[Any]:
        """The processes or threads of the lanes that live, in the order they were started."""
        return []

    @abstractmethod
    def open(self, phases: Phases) -> Inbox:
        """Make ready; called once, before anything else.

        :param phases: is told what the back end does with the time of whoever calls it.
        """

    @abstractmethod
    def start_lane(self, lane: int) -> None:
        """Begin to make a lane."""

    @abstractmethod
    def send(self, lane: int, chunk: Chunk | None) -> None:
        """Hand a chunk to a lane; None asks the lane for what it has not begun.

        Does not wait for the lane. A chunk that cannot be sent comes back as
        :class:`ChunkRefused`.
        """

    @abstractmethod
    def stop_lane(self, lane: int, *, kill: bool) -> None:
        """Begin to end a lane; :class:`LaneDied` tells when it is gone."""

    @abstractmethod
    def close(self) -> None:
        """Give everything back; lanes that still live are ended at once."""
