"""Door 2: :class:`ProcessPoolExecutor`, the interface of the standard one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor
from concurrent.futures import TimeoutError as FutureTimeoutError
from operator import index
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from poolwise import errors
from poolwise.backends.choose import Style, find_backend
from poolwise.core.contract import InputEnded, JobDropped, JobPosted
from poolwise.core.job import (
    MAP,
    STARMAP,
    Fed,
    Job,
    Listed,
    Source,
    close_generator,
)
from poolwise.core.sinks import Raised, Stream
from poolwise.doors.base import Door
from poolwise.doors.future import FutureSink, TaskFuture
from poolwise.doors.rows import as_sequence, is_held
from poolwise.options import PoolOptions, checked_buffersize, checked_chunksize, progress_of
from poolwise.standard import Forwarded, offers
from poolwise.system.limits import unread_limit_bytes

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from types import TracebackType

    from typing_extensions import Unpack

    from poolwise.core.engine import Engine
    from poolwise.options import CallOptions, CommonOptions
    from poolwise.report.live.board import Shown

T = TypeVar("T")

_READS_PER_LOOK = 256
"""Items read between two looks at the workers, when an input is read to its end."""

_SHUT_DOWN = "cannot schedule new futures after shutdown"

_FIRST_READ_S = 0.02
_FIRST_READ_BYTES = 64 << 20
"""A call of map reads its input for so long, and so much of it, also beyond what the workers need
for the moment: the caller may do other things before it reads results. The standard executor reads
all of it. No benchmark found them."""


def _as_cause(text: str) -> BaseException:
    """A traceback as the standard executor's users know it."""
    from concurrent.futures.process import _RemoteTraceback

    return _RemoteTraceback(f'\n"""\n{text}"""')  # type: ignore[arg-type] # it is a text


@offers(
    "executors", "_adjust_process_count", "_broken", "_call_queue", "_cancel_pending_futures",
    "_executor_manager_thread", "_executor_manager_thread_wakeup", "_launch_processes",
    "_mp_context", "_pending_work_items", "_processes", "_queue_count", "_result_queue",
    "_safe_to_dynamically_spawn_children", "_shutdown_lock", "_shutdown_thread", "_spawn_process",
    "_start_executor_manager_thread", "_work_ids",
)  # fmt: skip
class ProcessPoolExecutor(Door, Executor):
    """An executor with the interface of :class:`concurrent.futures.ProcessPoolExecutor`.

    Calls that gather while the workers are busy travel together, by themselves. A worker that
    dies costs the one task it ran; the executor goes on.

    :param max_workers: number of workers; None takes the CPUs this process may use
        (:func:`poolwise.cpu_count`).
    :param mp_context: a multiprocessing context or a start method's name.
    :param initializer: called as ``initializer(*initargs)`` in each worker before its first task.
    :param max_tasks_per_child: replace a worker after so many tasks (with any start method).
    :param options: as for :class:`poolwise.Pool`.
    :raises ValueError: a number is out of range, or there is no such start method or back end.
    :raises TypeError: the initializer is not callable, or a number is not one.
    """

    _initializer = Forwarded()
    _initargs = Forwarded()

    _style = Style(process_name="Process", as_cause=_as_cause)

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | str | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        *,
        max_tasks_per_child: int | None = None,
        **options: Unpack[CommonOptions],
    ) -> None:
        given, self._max_workers = find_backend(options, _checked_workers(max_workers))
        _check_max_tasks(max_tasks_per_child)
        self._max_tasks_per_child = max_tasks_per_child
        if mp_context is None and max_tasks_per_child is not None:
            mp_context = "spawn"  # as the standard one: workers are made while threads run
        self._sink = FutureSink()
        self._open(
            PoolOptions.of(
                self._max_workers,
                mp_context,
                initializer,
                initargs,
                max_tasks_per_child,
                given,
            ),
            self._sink,
        )
        self._maps: list[_MapInput[Any]] = []
        self._is_killed = False
        self._engine.drain_at_exit(self._drain)

    # -- the interface

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> TaskFuture[T]:
        """Call ``fn(*args, **kwargs)`` in a worker; returns its future.

        :raises RuntimeError: the executor was shut down.
        :raises InitializerFailed: no worker came through the initializer.
        """
        engine = self._engine
        if self._is_refusing():
            self._refuse()
        self._show_calls()
        call = (fn, args, kwargs)
        future: TaskFuture[T] = TaskFuture(engine, self._calls, call)
        # Before it is submitted: any thread that waits for a result may send it from then on.
        future.kept = self._intake.call(call, self._submitted.remaining)
        self._submitted.items.append(future)
        if self._submitted.is_ended and self._submitted.take_back(future):
            self._refuse()
        engine.submitted()
        return future

    def map(
        self,
        fn: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        **rules: Unpack[CallOptions],
    ) -> Iterator[T]:
        """An iterator over ``map(fn, *iterables)``, computed ahead by the workers, in order.

        The input is read in the calling thread: at the call, for a moment and as far as keeps the
        workers busy, then as results are read, and to its end by :meth:`shutdown`, unless there is
        a buffersize (what it leaves of a list is run all the same). Each item is taken as it is
        when the input yields it. Unread results weigh no more than a sixteenth of the memory that
        this process may use (or ``POOLWISE_UNREAD_BYTES``).

        :param timeout: seconds from now after which waiting for a result raises TimeoutError.
        :param chunksize: items that are scheduled together; None lets the pool choose and adapt.
        :param buffersize: at most so many items are read whose results are not.
        :param rules: ``task_timeout``, ``retries``, ``retry_on``, ``progress`` for this call alone.
        :raises RuntimeError: the executor was shut down.
        """
        unit, size = checked_chunksize(chunksize), checked_buffersize(buffersize)
        if not rules and self._is_submit_replaced():
            from poolwise.standard.executors import map_by_submit

            return map_by_submit(self, fn, iterables, timeout, unit or 1, size)
        if self._is_refusing():
            for _ in zip(*iterables):  # noqa: B905 - what is never submitted is not refused
                self._refuse()
            return iter(())
        until = None if timeout is None else time.monotonic() + timeout
        kind = progress_of(rules, self._options.progress)
        stream: Stream[T] = Stream(
            is_ordered=True, buffer_size=size, most_bytes=unread_limit_bytes()
        )
        source, unread = self._source(iterables)
        job = self._make_job(
            self._fixed(fn),
            MAP if len(iterables) == 1 else STARMAP,
            source,
            stream,
            unit=unit,
            rules=self._options.rules.updated(rules),
            is_stream=True,
        )
        reading = _MapInput(self._engine, job, stream, unread, is_buffered=size is not None)
        reading.read_on()
        if source.error is not None:
            raise source.error
        self._check_open()  # the input may have closed it, or another thread meanwhile
        shown = self._show(job, kind)
        self._maps = [one for one in self._maps if not one.is_over]
        self._maps.append(reading)
        self._engine.post(JobPosted(job))
        if size is None:
            reading.read_on(_FIRST_READ_S)
        return _results(reading, _Reader(reading), until, shown)

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
            self._submitted.end()
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
        """End all workers at once by SIGKILL; unfinished futures fail likewise."""
        self._kill("kill_workers() was called before this task had ended", kill=True)

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

    def __reduce__(self) -> Any:
        message = "an executor cannot be passed between processes or pickled"
        raise TypeError(message)

    def __repr__(self) -> str:
        counts = self.statistics()
        state = "shut down" if self._engine.is_closed else "running"
        return (
            f"<poolwise.ProcessPoolExecutor {state} max_workers={self._max_workers} "
            f"backend={self._engine.backend.name} waiting={len(self._submitted.items)} "
            f"tasks={counts['tasks']} workers={counts['workers']}>"
        )

    # -- inside

    def _is_submit_replaced(self) -> bool:
        """True if another `submit` was put on this executor: the standard's map calls that."""
        return type(self).submit is not ProcessPoolExecutor.submit or "submit" in vars(self)

    def _is_refusing(self) -> bool:
        return self._engine.is_closed or self._engine.state.start_failure is not None

    def _check_open(self) -> None:
        if self._engine.is_closed:
            self._refuse()

    def _refuse(self) -> None:
        failure = self._engine.state.start_failure
        if failure is not None and not self._engine.is_closed:
            raise errors.again(failure) from failure.__cause__
        raise RuntimeError(_SHUT_DOWN)

    def _source(self, iterables: tuple[Iterable[Any], ...]) -> tuple[Source, Iterator[Any] | None]:
        """Source of a map's items, and what must be read on for it."""
        if len(iterables) == 1 and is_held(iterables[0]):
            return Listed(self._intake.listed(as_sequence(iterables[0]))), None
        if iterables and all(map(is_held, iterables)):  # the shortest ends it, as in map()
            return Listed(self._intake.listed(list(zip(*iterables)))), None  # noqa: B905
        items = iterables[0] if len(iterables) == 1 else zip(*iterables)  # noqa: B905 - likewise
        return self._intake.queue(), iter(items)

    def _cancel_waiting(self) -> None:
        for reading in self._maps:
            reading.cancel()
        self._maps.clear()
        # Idle workers, and those that are being started, had as good as begun the first ones.
        begun = max(0, self._max_workers - self._calls.open_items)
        for future in list(self._submitted.items)[begun:]:
            future.cancel()

    def _read_all(self) -> None:
        """Read what is left of the inputs of maps: the standard executor has read it long ago.

        Nobody reads results while we wait for the end: so no limit on unread ones holds any more.
        An input with a buffersize is read no further, as in Python 3.14: it may have no end.
        """
        while self._maps:
            reading = self._maps.pop(0)
            if reading.is_buffered:
                reading.leave_input()
            else:
                reading.read_to_end()

    def _drain(self) -> None:
        self.shutdown(wait=True)

    def _interrupt(self) -> None:
        """A signal ends the program: what is under way is not waited for."""
        self._sink.is_interrupted = True
        self._kill("the program was interrupted before this task had ended")

    def _kill(self, message: str, *, kill: bool = False) -> None:
        self._is_killed = True
        self._engine.terminate(errors.PoolTerminated(message), kill=kill)


class _MapInput(Generic[T]):
    """Input of one ``map`` call, read on in the threads that use its results.

    :param unread: the input that is left, if it must be read item by item.
    :param is_buffered: it is read no further than its buffersize.
    """

    def __init__(
        self,
        engine: Engine,
        job: Job,
        stream: Stream[T],
        unread: Iterator[Any] | None,
        *,
        is_buffered: bool,
    ) -> None:
        self._engine = engine
        self._job = job
        self.stream = stream
        self._unread = unread
        self._left: Iterator[Any] = iter(())
        self._reading = threading.Lock()
        self._reader: int | None = None
        self.is_buffered = is_buffered

    @property
    def is_over(self) -> bool:
        """All results are here, or none will come."""
        return self.stream.is_over

    @property
    def has_input(self) -> bool:
        """There may be more to read."""
        return self._unread is not None

    def wait_for_news(self, until: float | None) -> bool:
        """Read the input on, then wait for a value; False when none will come."""
        stream = self.stream
        if self.has_input:
            self.read_on()
        elif stream.count_read >= stream.tell_at:
            stream.told()
            self._engine.kick_if_idle()
        if not stream.ready:
            left_s = None if until is None else max(0.0, until - time.monotonic())
            if not self._engine.wait(stream.has_news, left_s):
                raise FutureTimeoutError
        return bool(stream.ready)

    def read_on(self, for_s: float = 0.0) -> None:
        """Read the input as far as there is room, in this thread; not long if results wait.

        :param for_s: read so many seconds whether the workers need it or not.
        """
        if not self.has_input:
            return
        begun_s = time.monotonic()
        self._engine.phases.begin_producing()
        size = 1
        while (room := self._room(begun_s + for_s)) > 0:
            if self._reader is not None:
                break  # another thread reads it, to its end
            self._read(min(size, room))
            size *= 2
            if self.stream.ready and time.monotonic() > begun_s + max(0.001, for_s):
                break
        self._engine.phases.end_producing()
        self._engine.kick_if_idle()

    def _room(self, until: float) -> int:
        if not self.has_input:
            return 0
        source: Any = self._job.source
        room = self.stream.room_in_input(self._job, source)
        if room <= 0 and source.waiting_bytes < _FIRST_READ_BYTES and time.monotonic() < until:
            return _READS_PER_LOOK
        return room

    def _read(self, size: int) -> None:
        """Read so many items, when no other thread does: a generator has one reader at a time."""
        with self._reading:
            unread = self._unread
            if unread is None:
                return
            self._reader = threading.get_ident()
            try:
                self._read_from(unread, size)
            finally:
                self._reader = None
            if self._unread is None:
                close_generator(unread)

    def _read_from(self, unread: Iterator[Any], size: int) -> None:
        source: Any = self._job.source
        try:
            source.read(unread, size, _no_wake)
        except BaseException as error:
            self._engine.phases.end_producing()
            source.end(error)
            self._end_input()
            if not isinstance(error, Exception):
                raise
        else:
            if source.is_ended:
                self._end_input()

    def _end_input(self) -> None:
        self._unread = None
        self._engine.post(InputEnded(self._job))

    def read_to_end(self) -> None:
        """Read all that is left of the input, wanted or not, and work without limit."""
        self.stream.lift()
        if self._is_reading_here():
            self._refuse_rest()
            return
        self._engine.phases.begin_producing()
        while self.has_input:
            self._read(_READS_PER_LOOK)
            self._engine.kick_if_idle()
        self._engine.phases.end_producing()
        self._engine.kick_if_idle()

    def leave_input(self) -> None:
        """Run what was read; :meth:`check_left` finds what was not."""
        self.stream.lift()
        if self._is_reading_here():
            self._refuse_rest()
            return
        with self._reading:
            if self._unread is not None:
                self._left = self._unread
                self._job.source.end()  # type: ignore[attr-defined] # a queue: there is an input
                self._end_input()

    def _is_reading_here(self) -> bool:
        """The input itself calls us, in the middle of giving an item."""
        return self._reader == threading.get_ident()

    def _refuse_rest(self) -> None:
        """The input has shut down its executor: what it gives from now on comes too late."""
        self._job.source.end(RuntimeError(_SHUT_DOWN))  # type: ignore[attr-defined] # a queue
        self._engine.post(InputEnded(self._job))

    def check_left(self) -> None:
        """Refuse, in its place, an item that was not read before the executor was shut down.

        :raises RuntimeError: there is one.
        """
        for _ in self._left:
            raise RuntimeError(_SHUT_DOWN)

    def drop(self) -> None:
        """Begin nothing more: the results are read no further."""
        unread, self._unread = self._unread, None
        if not self.stream.is_over:
            self._job.source.stop()
            self._engine.post_from_finalizer(JobDropped(self._job))
        self._close(unread)

    def cancel(self) -> None:
        """Begin nothing more, and say so in the place of the first result that will be missing."""
        unread, self._unread = self._unread, None
        if not self.stream.is_over:
            self._engine.post(JobDropped(self._job, CancelledError()))
        self._close(unread)

    def _close(self, unread: Iterator[Any] | None) -> None:
        if self._reader is None:  # else whoever reads it does that
            close_generator(unread)

    def ignore(self) -> None:
        """Run everything all the same: the results were never asked for."""
        self.stream.ignore()
        source = self._job.source
        if isinstance(source, Fed):
            source.is_ignored = True
        self._engine.post_from_finalizer(InputEnded(self._job))  # limits are lifted


class _Reader:
    """Mark in the frame of a results generator: goes with it, also when it was never started."""

    def __init__(self, reading: _MapInput[Any]) -> None:
        self._reading = reading
        self.has_begun = False

    def __del__(self) -> None:
        if self.has_begun:
            self._reading.drop()
        elif not self._reading.is_over:
            self._reading.ignore()


def _results(
    reading: _MapInput[T], reader: _Reader, until: float | None, shown: Shown | None
) -> Iterator[T]:
    """The values in order; stops the rest when it is closed before the end."""
    stream, ready = reading.stream, reading.stream.ready
    reader.has_begun = True
    try:
        while reading.wait_for_news(until):
            for _ in range((len(ready) + 1) // 2):  # then the input wants to be read on
                value = [ready.popleft()]
                stream.count_read += 1
                if type(value[0]) is Raised:
                    raise value.pop().error  # type: ignore[union-attr]
                yield value.pop()  # type: ignore[misc] # kept by nobody but the reader
        reading.check_left()
    finally:
        reading.drop()
        if shown is not None:
            shown.close()
        del reading, reader, stream, ready  # an error's traceback holds this frame


def _no_wake() -> None:
    """Stands for a wake-up: who reads the input looks at the workers by itself."""


def _is_interrupt(error: BaseException | None) -> bool:
    if error is None or isinstance(error, Exception):
        return False
    from poolwise.core.interrupts import is_interrupt  # here: a signal ends few programs

    return is_interrupt(error)


def _checked_workers(number: int | None) -> int | None:
    if number is None:
        return None
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
