"""Door 2: :class:`ProcessPoolExecutor`, the interface of the standard one."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from concurrent.futures import TimeoutError as FutureTimeoutError
from itertools import islice
from operator import index
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from poolwise import errors
from poolwise.backends.choose import BackendName, open_engine
from poolwise.backends.kept import Keeper
from poolwise.core.contract import InputEnded, JobDropped, JobPosted
from poolwise.core.future import FutureSink, TaskFuture
from poolwise.core.job import (
    CALL_PROMPT_NS,
    CALLS,
    MAP,
    STARMAP,
    STREAM_PROMPT_NS,
    Fed,
    Function,
    Job,
    Listed,
    Source,
    Submitted,
    no_call,
)
from poolwise.core.rows import as_sequence, is_held
from poolwise.core.shield import UNTIL_ASSIGNED
from poolwise.core.sinks import Raised, Stream
from poolwise.options import (
    Insight,
    LedgerLevel,
    TaskRules,
    checked_buffersize,
    checked_chunksize,
    checked_progress,
    take_progress,
)
from poolwise.wire.cpus import cpu_count

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess
    from types import TracebackType

    from poolwise.core.engine import Engine
    from poolwise.core.live import LiveEvent
    from poolwise.options import OutputMode, ProgressKind
    from poolwise.report.live.board import Shown
    from poolwise.report.pool import Report

T = TypeVar("T")

_READS_PER_LOOK = 256
"""Items read between two looks at the workers, when an input is read to its end."""

_READ_S = 0.001
"""While results are there to be read, reading more of the input takes no longer than this."""


class ProcessPoolExecutor(Executor):
    """An executor with the interface of :class:`concurrent.futures.ProcessPoolExecutor`.

    Calls that gather while the workers are busy travel together, by themselves. A worker that
    dies costs the one task it ran; the executor goes on.

    :param max_workers: number of workers; None takes the CPUs this process may use
        (:func:`poolwise.cpu_count`).
    :param mp_context: a multiprocessing context or a start method's name.
    :param initializer: called as ``initializer(*initargs)`` in each worker before its first task.
    :param max_tasks_per_child: replace a worker after so many tasks (with any start method).
    :param backend: and all that follow are as for :class:`poolwise.Pool`; ``"serial"`` runs in the
        thread that waits.
    :raises ValueError: a number is out of range, or there is no such start method or back end.
    :raises TypeError: the initializer is not callable, or a number is not one.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | str | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        *,
        max_tasks_per_child: int | None = None,
        backend: BackendName = "processes",
        task_timeout: float | None = None,
        retries: int = 0,
        retry_on: tuple[type[BaseException], ...] = (),
        progress: bool | Literal["text"] = False,
        state: Mapping[str, Any] | None = None,
        ledger: LedgerLevel = "chunks",
        on_event: Callable[[LiveEvent], object] | None = None,
        worker_output: OutputMode = "off",
    ) -> None:
        self._max_workers = _checked_workers(max_workers)
        _check_max_tasks(max_tasks_per_child)
        self._rules = TaskRules(task_timeout, retries, retry_on)
        self._progress = checked_progress(progress)
        if mp_context is None and max_tasks_per_child is not None:
            mp_context = "spawn"  # as the standard one: workers are made while threads run
        self._calls = Submitted()
        with UNTIL_ASSIGNED:
            self._engine = open_engine(
                backend,
                self._max_workers,
                mp_context,
                initializer,
                tuple(initargs),
                tasks_per_lane=max_tasks_per_child,
                process_name="Process",
                state=state,
                insight=Insight(ledger, on_event, worker_output),
                as_cause=_as_cause,
            )
        self._sink = FutureSink()
        self._job = self._make_job(Function(no_call), CALLS, self._calls, self._sink, unit=1)
        self._maps: weakref.WeakSet[_Reading[Any]] = weakref.WeakSet()
        self._unread: list[_Reading[Any]] = []
        self._engine.leave(JobPosted(self._job))
        self._is_killed = False
        self._keeper = Keeper(self._engine.shield) if backend == "processes" else None
        self._are_calls_shown = self._progress is None
        self._engine.watch(self, self._calls)
        self._engine.drain_at_exit(self._drain)

    # -- the interface

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> TaskFuture[T]:
        """Call ``fn(*args, **kwargs)`` in a worker; returns its future.

        :raises RuntimeError: the executor was shut down.
        :raises InitializerFailed: no worker came through the initializer.
        """
        engine = self._engine
        if engine.is_closed or engine.state.start_failure is not None:
            self._refuse()
        if not self._are_calls_shown:
            self._are_calls_shown = True
            self._show(self._job, self._progress)
        call = (fn, args, kwargs)
        future: TaskFuture[T] = TaskFuture(engine, self._job, call)
        self._calls.items.append(future)
        if self._calls.is_ended and self._calls.take_back(future):
            self._refuse()
        engine.hint()
        if self._keeper is not None and not future.running():
            future.kept = self._keeper.keep(call, self._calls.remaining)
        return future

    def map(  # type: ignore[override]
        self,
        fn: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        **rules: Any,
    ) -> Iterator[T]:
        """An iterator over ``map(fn, *iterables)``, computed by the workers, in order.

        The input is read in the calling thread, as far as keeps the workers busy: at the call,
        then as results are read, and to its end by :meth:`shutdown`.

        :param timeout: seconds from now after which waiting for a result raises TimeoutError.
        :param chunksize: items that are scheduled together; None lets the pool choose and adapt.
        :param buffersize: at most so many items are read whose results are not.
        :param rules: ``task_timeout``, ``retries``, ``retry_on``, ``progress`` for this call alone.
        :raises RuntimeError: the executor was shut down.
        """
        if self._engine.is_closed or self._engine.state.start_failure is not None:
            self._refuse()
        until = None if timeout is None else time.monotonic() + timeout
        unit, size = checked_chunksize(chunksize), checked_buffersize(buffersize)
        kind = take_progress(rules, self._progress)
        stream: Stream[T] = Stream(is_ordered=True, buffer_size=size)
        source, unread = _source(iterables)
        mode = MAP if len(iterables) == 1 else STARMAP
        job = self._make_job(
            Function(fn), mode, source, stream, unit=unit, rules=self._rules.updated(rules)
        )
        reading = _Reading(self._engine, job, stream, unread)
        self._maps.add(reading)
        if unread is not None and size is None:
            self._unread.append(reading)
        reading.read_on()
        if source.error is not None:
            raise source.error
        shown = self._show(job, kind)
        self._engine.post(JobPosted(job))
        return reading.results(until, shown)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more calls; free the workers when all is done.

        :param wait: return when everything is done and the workers have ended.
        :param cancel_futures: cancel what has not been sent to a worker.
        """
        engine = self._engine
        if cancel_futures:
            self._cancel_waiting()
        elif not engine.is_closed:
            self._read_all()
        if not engine.is_closed:
            self._calls.end()
            engine.close()
        if wait and not self._is_killed:
            try:
                engine.join()
            except BaseException as error:
                if _is_interrupt(error):
                    self._interrupt()
                raise

    def terminate_workers(self) -> None:
        """End all workers at once (SIGTERM, then SIGKILL); unfinished futures fail.

        :raises Exception: nothing; the futures raise :class:`poolwise.PoolTerminated`.
        """
        self._kill("terminate_workers() was called before this task had ended")

    def kill_workers(self) -> None:
        """End all workers at once; unfinished futures raise :class:`poolwise.PoolTerminated`."""
        self._kill("kill_workers() was called before this task had ended")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        if os.getpid() != self._engine.pid:
            return None  # a forked child leaves the block too: nothing here is its own
        if _is_interrupt(error):
            self._interrupt()
        else:
            self.shutdown(wait=True)
        return None

    # -- what is going on

    @property
    def _mp_context(self) -> BaseContext:
        """The context that makes the workers, where programs look for it."""
        context: BaseContext = self._engine.context
        return context

    @property
    def _broken(self) -> str | bool:
        """Why no more calls are taken, where programs look for it; False if they are."""
        failure = self._engine.state.start_failure
        return False if failure is None else str(failure)

    @property
    def _processes(self) -> dict[int | None, BaseProcess]:
        """The worker processes by pid, where programs look for them in the standard executor."""
        return {process.pid: process for process in self._engine.processes}

    def statistics(self) -> dict[str, int]:
        """Counts since the executor was made; see :meth:`poolwise.Pool.statistics`."""
        return self._engine.statistics()

    def report(self) -> Report:
        """The account of its workers and of this process; see :meth:`poolwise.Pool.report`."""
        from poolwise.report.pool import Report

        return Report.of(self._engine.report())

    def __repr__(self) -> str:
        counts = self.statistics()
        state = "shut down" if self._engine.is_closed else "running"
        return (
            f"<poolwise.ProcessPoolExecutor {state} max_workers={self._max_workers} "
            f"waiting={len(self._calls.items)} tasks={counts['tasks']} workers={counts['workers']}>"
        )

    # -- inside

    def _make_job(
        self,
        function: Function,
        mode: int,
        source: Source,
        sink: Any,
        *,
        unit: int | None,
        rules: TaskRules | None = None,
    ) -> Job:
        prompt_ns = CALL_PROMPT_NS if mode == CALLS else STREAM_PROMPT_NS
        lanes = self._max_workers
        rules = rules or self._rules
        return Job(function, mode, source, sink, rules, lanes=lanes, prompt_ns=prompt_ns, unit=unit)

    def _show(self, job: Job, kind: ProgressKind | None) -> Shown | None:
        """Show how far the job is, if that is wanted; before the job is posted."""
        if kind is None:
            return None
        from poolwise.core.tally import Tally
        from poolwise.report.live.board import show

        return show(Tally(job, self._engine.state).look, kind)

    def _refuse(self) -> None:
        failure = self._engine.state.start_failure
        if failure is not None and not self._engine.is_closed:
            raise errors.InitializerFailed(*failure.args) from failure.__cause__
        message = "cannot schedule new futures after shutdown"
        raise RuntimeError(message)

    def _cancel_waiting(self) -> None:
        for reading in list(self._maps):
            reading.drop()
        self._unread.clear()
        # Idle workers, and those that are being started, had as good as begun the first ones.
        begun = max(0, self._max_workers - self._job.open_items)
        for future in list(self._calls.items)[begun:]:
            future.cancel()

    def _read_all(self) -> None:
        """Read what is left of the inputs of maps: the standard executor has read it long ago."""
        while self._unread:
            self._unread.pop().read_to_end()

    def _drain(self) -> None:
        self.shutdown(wait=True)

    def _interrupt(self) -> None:
        """A signal ends the program: what is under way is not waited for."""
        self._sink.is_interrupted = True
        self._kill("the program was interrupted before this task had ended")

    def _kill(self, message: str) -> None:
        self._is_killed = True
        self._engine.terminate(errors.PoolTerminated(message))


class _Reading(Generic[T]):
    """One ``map`` call while it is read: reads its input on, hands on its results.

    :param unread: the input that is left, if it must be read item by item.
    """

    def __init__(
        self, engine: Engine, job: Job, stream: Stream[T], unread: Iterator[Any] | None
    ) -> None:
        self._engine = engine
        self._job = job
        self._stream = stream
        self._unread = unread
        self._taken = 0

    def results(self, until: float | None, shown: Shown | None) -> Iterator[T]:
        """The values in order; stops the rest when it is closed before the end."""
        stream, ready = self._stream, self._stream.ready
        try:
            while self._wait_for_news(until):
                for _ in range((len(ready) + 1) // 2):  # then the input wants to be read on
                    value = [ready.popleft()]
                    stream.count_read += 1
                    if type(value[0]) is Raised:
                        raise value.pop().error  # type: ignore[union-attr]
                    yield value.pop()  # type: ignore[misc] # kept by nobody but the reader
        finally:
            self.drop()
            if shown is not None:
                shown.close()
            del self, stream, ready  # an error's traceback holds this frame

    def _wait_for_news(self, until: float | None) -> bool:
        """Read the input on, then wait for a value; False when none will come."""
        stream = self._stream
        if self._unread is not None:
            self.read_on()
        elif stream.count_read >= stream.tell_at:
            stream.told()
            self._engine.nudge_if_idle()
        if not stream.ready:
            left_s = None if until is None else max(0.0, until - time.monotonic())
            if not self._engine.wait(stream.has_news, left_s):
                raise FutureTimeoutError
        return bool(stream.ready)

    def read_on(self) -> None:
        """Read the input as far as there is room, in this thread; not long if results wait."""
        stream, until = self._stream, time.monotonic() + _READ_S
        self._engine.clock.begin_producing()
        size = 1
        while self._unread is not None and (room := self._room()) > 0:
            self._read(min(size, room))
            size *= 2
            if stream.ready and time.monotonic() > until:
                break
        self._engine.clock.end_producing()
        self._engine.nudge_if_idle()

    def _room(self) -> int:
        return self._stream.room_in_input(self._job, self._taken)

    def _read(self, size: int) -> None:
        source: Any = self._job.source
        try:
            for item in islice(self._unread, size):  # type: ignore[arg-type]
                source.items.append(item)
                self._taken += 1
                size -= 1
        except BaseException as error:
            self._engine.clock.end_producing()
            self._end_input(error)
            if not isinstance(error, Exception):
                raise
        else:
            if size:
                self._end_input(None)

    def _end_input(self, error: BaseException | None) -> None:
        self._unread = None
        source: Any = self._job.source
        source.end(error)
        self._engine.post(InputEnded(self._job))

    def read_to_end(self) -> None:
        """Read all that is left of the input, wanted or not."""
        self._stream.lift()
        self._engine.clock.begin_producing()
        while self._unread is not None:
            self._read(_READS_PER_LOOK)
            self._engine.nudge_if_idle()
        self._engine.clock.end_producing()

    def drop(self) -> None:
        """Nobody reads on: begin nothing more."""
        if not self._stream.is_over:
            self._unread = None
            if isinstance(self._job.source, Fed):
                self._job.source.end()
            self._engine.post_later(JobDropped(self._job))


def _is_interrupt(error: BaseException | None) -> bool:
    if error is None or isinstance(error, Exception):
        return False
    from poolwise.core.interrupts import is_interrupt  # here: a signal ends few programs

    return is_interrupt(error)


def _as_cause(text: str) -> BaseException:
    """A traceback as the standard executor's users know it."""
    from concurrent.futures.process import _RemoteTraceback

    return _RemoteTraceback(f'\n"""\n{text}"""')  # type: ignore[arg-type] # it is a text


def _source(iterables: tuple[Iterable[Any], ...]) -> tuple[Source, Iterator[Any] | None]:
    """Where a map's items come from, and what must be read on for it."""
    if len(iterables) == 1 and is_held(iterables[0]):
        return Listed(as_sequence(iterables[0])), None
    if iterables and all(map(is_held, iterables)):
        return Listed(list(zip(*iterables))), None  # noqa: B905 - the shortest ends it, as in map()
    items = iterables[0] if len(iterables) == 1 else zip(*iterables)  # noqa: B905
    return Fed(), iter(items)


def _checked_workers(number: int | None) -> int:
    if number is None:
        return cpu_count()
    workers = index(number)
    if workers <= 0:
        message = "max_workers must be greater than 0"
        raise ValueError(message)
    return workers


def _check_max_tasks(number: object) -> None:
    if number is None:
        return
    if not isinstance(number, int):
        message = "max_tasks_per_child must be an integer"
        raise TypeError(message)
    if number <= 0:
        message = "max_tasks_per_child must be >= 1"
        raise ValueError(message)
