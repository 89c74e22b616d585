"""Options are values: checked where they are made, passed whole, changed by nobody."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from operator import index
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from poolwise.record import record

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

BackendName = Literal["processes", "threads", "serial", "executor", "loky", "dask", "ray"]

ProgressKind = Literal["best", "text"]
"""The best display for where we are, or plain lines wherever we are."""


class CallOptions(TypedDict, total=False):
    """Options that a pool has for all its calls, and that a call may have of its own.

    :param task_timeout: seconds one task may run; then its worker is stopped and replaced, and the
        task fails with :class:`poolwise.TaskTimeout`.
    :param retries: how often a task is run again whose worker died or that ran too long.
    :param retry_on: exceptions of the task itself that are worth another try.
    :param progress: show how far calls are: True for the best display there is (a bar in a
        terminal, a cell in a notebook, else lines), ``"text"`` for lines; on standard error.
    """

    task_timeout: float | None
    retries: int
    retry_on: tuple[type[BaseException], ...]
    progress: bool | Literal["text"]


class WorkerOptions(TypedDict, total=False):
    """Options of worker processes that this pool makes: their CPUs, threads and memory.

    :param nice: is added to the niceness of workers, 0 to 19: they give way to other programs.
    :param affinity: numbers of the CPUs that workers may run on, or ``"spread"``: each worker is
        pinned to a CPU of its own, one after the other of those that this process may use.
    :param max_memory: bytes that all workers together may have of their own. The pool begins with
        one worker, learns what that needs at most, and then has as many as there is room for (at
        least one); it has fewer again when they need more.
    :param recycle_above: bytes; a worker whose own memory has grown by more since its start is
        replaced between two chunks.
    :param native_threads: cap the threads of OpenMP, BLAS, numexpr and torch in workers, so that
        workers times threads fit the CPUs, in pools inside of tasks as well (the default).
        Libraries that are loaded before workers are forked need threadpoolctl for that. What the
        environment says of them stays. False: leave them as they are.
    """

    nice: int
    affinity: Collection[int] | Literal["spread"] | None
    max_memory: int | None
    recycle_above: int | None
    native_threads: bool


class CommonOptions(CallOptions, WorkerOptions, total=False):
    """Options of every pool, whatever its interface; those of its calls and workers among them.

    :param backend: ``"processes"``, ``"threads"``, ``"serial"`` (in the calling thread) or
        ``"executor"``; a ``concurrent.futures`` executor, a Dask client, a Ray session or the
        address of one (``"dask://host:8786"``); or a back end of your own
        (:class:`poolwise.core.contract.Backend`). ``POOLWISE_BACKEND`` names that of pools which
        ask for none. ``docs/backends.md`` says what each can do.
    :param state: what tasks find in :data:`poolwise.state`, by name: put there once in each
        worker. Functions (classes, partials) are called in the worker and give the value.
    :param ledger: how much :meth:`report` shall know: ``"chunks"``, ``"items"`` (every item timed
        by itself) or ``"off"``.
    :param on_event: is called, in some thread of this process, with what happens: progress of
        calls, workers that begin and end, tasks that are stuck (:mod:`poolwise.telemetry.live`).
    :param worker_output: ``"on"`` brings what worker processes log, warn of and print to this
        process's handlers and streams, each warning once and lines whole, what C code and programs
        that they start write included; ``"captured"`` does so with the printed lines told to
        ``on_event`` alone, with their task; ``"off"`` leaves it.
    """

    backend: BackendName | Any  # values do not know the core
    state: Mapping[str, Any] | None
    ledger: LedgerLevel
    on_event: Callable[[Any], object] | None
    worker_output: OutputMode


def _refuse_unknown(given: Iterable[str], known: Any) -> None:
    unknown = set(given) - known.__annotations__.keys()
    if unknown:
        names = ", ".join(known.__annotations__)
        message = f"unknown argument {min(unknown)!r}; there are {names}"
        raise TypeError(message)


@record
class TaskRules:
    """Timeout and retry policy of a task.

    :param task_timeout_s: a task that runs longer is stopped, with its worker (None: no limit).
    :param retries: how often a task is run again after its worker died, after its time limit,
        or after an exception named in ``retry_on``.
    :param retry_on: exceptions of the task itself that are worth another try.
    :raises ValueError: a limit that is not positive, or a negative number of retries.
    :raises TypeError: what is no number, or no exception.
    """

    task_timeout_s: float | None = None
    retries: int = 0
    retry_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if self.task_timeout_s is not None and not self.task_timeout_s > 0:
            message = (
                f"task_timeout must be a positive number of seconds, not {self.task_timeout_s!r}; "
                "leave it out (None) for no limit"
            )
            raise ValueError(message)
        if index(self.retries) < 0:
            message = f"retries must be 0 or more, not {self.retries!r}"
            raise ValueError(message)
        if not _are_exceptions(self.retry_on):
            message = (
                "retry_on must be an exception class or a tuple of exception classes, "
                f"not {self.retry_on!r}"
            )
            raise TypeError(message)

    def updated(self, changes: CallOptions) -> TaskRules:
        """These rules with those of one call (``task_timeout``, ``retries``, ``retry_on``).

        :raises TypeError: there is no option of that name.
        """
        if not changes:
            return self
        _refuse_unknown(changes, CallOptions)
        return TaskRules(
            changes.get("task_timeout", self.task_timeout_s),
            changes.get("retries", self.retries),
            changes.get("retry_on", self.retry_on),
        )


def _are_exceptions(kinds: Any) -> bool:
    """An exception class, or a tuple of them."""
    classes = kinds if isinstance(kinds, tuple) else (kinds,)
    return all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in classes)


SPREAD = "spread"
"""Each worker is pinned to a CPU of its own."""


@record
class WorkerLimits:
    """CPUs, threads and memory of worker processes; see :class:`WorkerOptions`.

    :raises ValueError: a value is out of range.
    :raises TypeError: a value is of the wrong kind.
    """

    nice: int = 0
    affinity: frozenset[int] | Literal["spread"] | None = None
    max_memory_bytes: int | None = None
    recycle_above_bytes: int | None = None
    native_threads: bool = True

    @classmethod
    def of(cls, given: WorkerOptions) -> WorkerLimits:
        """Limits as a caller has given them, checked and with the defaults."""
        return cls(
            _checked_nice(given.get("nice", 0)),
            _checked_affinity(given.get("affinity")),
            _checked_bytes("max_memory", given.get("max_memory")),
            _checked_bytes("recycle_above", given.get("recycle_above")),
            bool(given.get("native_threads", True)),
        )

    @property
    def weighs_workers(self) -> bool:
        """True if the pool goes by the memory of its workers."""
        return self.max_memory_bytes is not None or self.recycle_above_bytes is not None

    def asked_for(self) -> list[str]:
        """Names of the limits that only a worker process of our own can keep."""
        asked = {
            "nice": self.nice != 0,
            "affinity": self.affinity is not None,
            "max_memory": self.max_memory_bytes is not None,
            "recycle_above": self.recycle_above_bytes is not None,
        }
        return [name for name, is_asked in asked.items() if is_asked]


def _checked_nice(nice: Any) -> int:
    if index(nice) not in range(20):  # the kernel's own limit
        message = (
            f"nice must be 0 to 19, not {nice!r}: it is added to the niceness of this "
            "process, and workers of a higher priority than that has cannot be had"
        )
        raise ValueError(message)
    return index(nice)


def _checked_affinity(affinity: Any) -> frozenset[int] | Literal["spread"] | None:
    if affinity is None or affinity == SPREAD:
        return affinity  # type: ignore[no-any-return]
    if isinstance(affinity, str) or not isinstance(affinity, Collection) or not affinity:
        message = (
            f"affinity must be a set of CPU numbers, or {SPREAD!r} for one CPU for each worker, "
            f"not {affinity!r}"
        )
        raise TypeError(message)
    return frozenset(map(index, affinity))


def _checked_bytes(name: str, size_bytes: Any) -> int | None:
    if size_bytes is None:
        return None
    if index(size_bytes) < 1:
        message = f"{name} must be a positive number of bytes, not {size_bytes!r}"
        raise ValueError(message)
    return index(size_bytes)


def checked_progress(progress: object) -> ProgressKind | None:
    """Kind of progress display; None: no display.

    :raises ValueError: it is neither a yes or no nor ``"text"``.
    """
    if progress is True or progress == "text":
        return "text" if progress == "text" else "best"
    if not progress:
        return None
    message = (
        f"progress must be True (the best display there is here), 'text' (plain lines) or False, "
        f"not {progress!r}"
    )
    raise ValueError(message)


def progress_of(options: CallOptions, default: ProgressKind | None) -> ProgressKind | None:
    """Kind of progress display of a call: its own option, or the pool's."""
    return checked_progress(options["progress"]) if "progress" in options else default


OutputMode = Literal["off", "on", "captured"]
OUTPUT_MODES = ("off", "on", "captured")
"""Destination of what worker processes print, log and warn: they do so themselves; the parent
does, with its own handlers, each warning once and lines whole; or the same, but printed lines are
only told to the listener, with the task that printed them."""

LedgerLevel = Literal["off", "chunks", "items"]
LEDGER_LEVELS = ("off", "chunks", "items")
"""Detail of a pool's account: nothing of its workers; where their time went, chunk by chunk,
with the items that take longer than 0.1 ms timed one by one; or every item by itself."""


@record
class Insight:
    """Telemetry of a pool: its account, its events, its workers' output.

    :param ledger: one of :data:`LEDGER_LEVELS`.
    :param on_event: is called with what happens (:mod:`poolwise.telemetry.live`).
    :param output: one of :data:`OUTPUT_MODES`.
    :raises ValueError: there is no such level.
    """

    ledger: LedgerLevel = "chunks"
    on_event: Callable[[Any], object] | None = None
    output: OutputMode = "off"

    def __post_init__(self) -> None:
        if self.ledger not in LEDGER_LEVELS:
            levels = ", ".join(map(repr, LEDGER_LEVELS))
            message = f"ledger must be one of {levels}, not {self.ledger!r}"
            raise ValueError(message)
        if self.output not in OUTPUT_MODES:
            modes = ", ".join(map(repr, OUTPUT_MODES))
            message = f"worker_output must be one of {modes}, not {self.output!r}"
            raise ValueError(message)


@record
class PoolOptions:
    """All options of one pool, checked.

    :param workers: how many there may be at once.
    :param tasks_per_worker: a worker is replaced after that many tasks (None: never).
    :raises ValueError: a value is out of range.
    :raises TypeError: a value is of the wrong kind, or there is no option of a name.
    """

    workers: int
    context: BaseContext | str | None
    initializer: Callable[..., object] | None
    initargs: tuple[Any, ...]
    tasks_per_worker: int | None
    backend: BackendName | Any
    state: Mapping[str, Any] | None
    rules: TaskRules
    progress: ProgressKind | None
    insight: Insight
    limits: WorkerLimits

    @classmethod
    def of(  # noqa: PLR0913 - what both interfaces have in common
        cls,
        workers: int,
        context: BaseContext | str | None,
        initializer: object,
        initargs: Iterable[Any],
        tasks_per_worker: int | None,
        common: CommonOptions,
    ) -> PoolOptions:
        """Options as a caller has given them, checked and with the defaults."""
        _refuse_unknown(common, CommonOptions)
        if initializer is not None and not callable(initializer):
            message = "initializer must be a callable"
            raise TypeError(message)
        return cls(
            workers,
            context,
            initializer,
            () if initializer is None else tuple(initargs),
            tasks_per_worker,
            common.get("backend", "processes"),
            common.get("state"),
            TaskRules(
                common.get("task_timeout"), common.get("retries", 0), common.get("retry_on", ())
            ),
            checked_progress(common.get("progress", False)),
            Insight(
                common.get("ledger", "chunks"),
                common.get("on_event"),
                common.get("worker_output", "off"),
            ),
            WorkerLimits.of(common),
        )


def checked_chunksize(chunksize: int | None) -> int | None:
    """``chunksize`` as the standard pools take it, or None to choose.

    :raises ValueError: it is less than 1, or not whole.
    :raises TypeError: it is no number.
    """
    if chunksize is None:
        return None
    if chunksize < 1 or isinstance(chunksize, float):
        message = (
            f"chunksize must be >= 1 and whole, not {chunksize!r}; leave it out to let the pool "
            "choose"
        )
        raise ValueError(message)
    return index(chunksize)


def checked_buffersize(size: object) -> int | None:
    """``buffersize`` as Python 3.14 takes it, or None for as much as keeps the workers busy.

    :raises TypeError: it is not an integer.
    :raises ValueError: it is less than 1.
    """
    if size is None:
        return None
    if not isinstance(size, int):
        message = "buffersize must be an integer or None"
        raise TypeError(message)
    if size < 1:
        message = "buffersize must be None or > 0"
        raise ValueError(message)
    return size
