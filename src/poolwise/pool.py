"""Door 1: :class:`Pool`, the interface of ``multiprocessing.Pool``."""

from __future__ import annotations

import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from operator import index
from typing import TYPE_CHECKING, Any, TypeVar

from poolwise import errors
from poolwise.backends.choose import Style, find_backend
from poolwise.core.contract import InputEnded, JobPosted
from poolwise.core.job import (
    MAP,
    MAP_PROMPT_NS,
    STARMAP,
    Fed,
    Function,
    Job,
    Listed,
    Source,
    feed,
)
from poolwise.core.sinks import Stream
from poolwise.doors.base import Door
from poolwise.doors.rows import as_sequence, find_common, is_held
from poolwise.options import PoolOptions, checked_buffersize, checked_chunksize, progress_of
from poolwise.results import AsyncResult, CallSink, MapResult, ResultIterator
from poolwise.standard import Forwarded, offers
from poolwise.system.limits import unread_limit_bytes

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from poolwise.core.engine import Engine
    from poolwise.doors.profile import Profile
    from poolwise.options import CallOptions, CommonOptions

S = TypeVar("S")
T = TypeVar("T")
Call = tuple[Callable[..., T], tuple[Any, ...], dict[str, Any]]


def _as_cause(text: str) -> BaseException:
    """A traceback as the standard pool's users know it."""
    from multiprocessing import pool

    cause: BaseException = pool.RemoteTraceback(f'\n"""\n{text}"""')  # type: ignore[attr-defined]
    return cause


@offers(
    "pools", "_cache", "_change_notifier", "_ctx", "_result_handler", "_task_handler",
    "_taskqueue", "_terminate", "_worker_handler",
)  # fmt: skip
class Pool(Door):
    """A pool of worker processes with the interface of :class:`multiprocessing.pool.Pool`.

    It chooses chunk sizes by itself, sends a function once to each worker however many chunks
    follow, and a worker that dies costs the one task it ran.

    :param processes: number of workers; None takes the CPUs this process may use
        (:func:`poolwise.cpu_count`).
    :param initializer: called as ``initializer(*initargs)`` in each worker before its first task.
    :param maxtasksperchild: replace a worker after so many tasks (chunks, for the maps).
    :param context: a multiprocessing context or a start method's name.
    :param options: see :class:`poolwise.options.CommonOptions`: ``backend``, ``task_timeout``,
        ``retries``, ``retry_on``, ``progress``, ``state``, ``ledger``, ``on_event``,
        ``worker_output``, ``nice``, ``affinity``, ``max_memory``, ``recycle_above``,
        ``native_threads``.
    :raises ValueError: a number is out of range, or there is no such start method or back end.
    :raises TypeError: the initializer is not callable.
    """

    _status = "INIT"
    _initializer = Forwarded()
    _initargs = Forwarded()

    _async_result_class: type[AsyncResult[Any]] = AsyncResult
    _map_result_class: type[MapResult[Any]] = MapResult
    _ordered_class: type[ResultIterator[Any]] = ResultIterator
    _unordered_class: type[ResultIterator[Any]] = ResultIterator

    _style = Style(are_daemons=True, as_cause=_as_cause)
    _profile: Profile | None = None

    @classmethod
    def from_profile(cls, path: str | os.PathLike[str] | None = None, **options: Any) -> Self:
        """A pool as ``poolwise tune --save`` has found it best for a function.

        Calls of that function are given its chunk size, unless they name one. A profile of another
        machine is warned of, and gives the kind of workers only.

        :param path: the profile; None takes the first that ``POOLWISE_PROFILE`` names.
        :param options: as for the pool itself; they win over the profile.
        :raises ValueError: there is no profile, or it is of a kind that is no pool.
        """
        from poolwise.doors.profile import pool_options

        profile, found = pool_options(path)
        pool = cls(**{**found, **options})
        pool._profile = profile
        return pool

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: BaseContext | str | None = None,
        **options: Unpack[CommonOptions],
    ) -> None:
        given, self._processes = find_backend(options, _checked_processes(processes))
        _check_max_tasks(maxtasksperchild)
        self._maxtasksperchild = maxtasksperchild
        self._open(
            PoolOptions.of(
                self._processes, context, initializer, initargs, maxtasksperchild, given
            ),
            CallSink(),
        )
        self._streams: weakref.WeakSet[ResultIterator[Any]] = weakref.WeakSet()
        self._in_callbacks: set[AsyncResult[Any]] = set()
        self._is_terminated = False
        self._readers: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._engine.start_all()
        self._state = "RUN"

    # -- one call

    def apply(
        self, func: Callable[..., T], args: Iterable[Any] = (), kwds: dict[str, Any] | None = None
    ) -> T:
        """Call ``func(*args, **kwds)`` in a worker and wait for its value.

        :raises Exception: whatever the call raised.
        """
        if type(self).apply_async is not Pool.apply_async or "apply_async" in vars(self):
            result: AsyncResult[T] = self.apply_async(func, args, kwds or {})
            return result.get()  # somebody has put another one there, and the standard calls it
        self._check_running()
        self._show_calls()
        call = (func, _as_arguments(args), kwds or {})
        result = self._async_result_class(self, self._engine, None, None, call)
        self._submit(result)
        try:
            return result.get()
        finally:
            del self, result  # an error's traceback holds this frame; it shall not hold the pool

    def apply_async(
        self,
        func: Callable[..., T],
        args: Iterable[Any] = (),
        kwds: dict[str, Any] | None = None,
        callback: Callable[[T], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult[T]:
        """Call ``func(*args, **kwds)`` in a worker; the result's ``get()`` waits for its value.

        :param callback: called with the value, in some thread of this process.
        :param error_callback: called with the exception instead, if there is one.
        :raises ValueError: the pool is closed.
        """
        self._check_running()
        self._show_calls()
        call = (func, args if type(args) is tuple else _as_arguments(args), kwds or {})
        result = self._async_result_class(self, self._engine, callback, error_callback, call)
        # Before it is submitted: any thread that waits for a result may send it from then on.
        result.kept = self._intake.call(call, self._submitted.remaining)
        self._submit(result)
        self._engine.submitted()
        return result

    # -- a list of values

    def map(
        self,
        func: Callable[[S], T],
        iterable: Iterable[S],
        chunksize: int | None = None,
        **rules: Unpack[CallOptions],
    ) -> list[T]:
        """``[func(x) for x in iterable]``, spread over the workers.

        :param chunksize: items that are scheduled together; None lets the pool choose and adapt.
        :param rules: ``task_timeout``, ``retries``, ``retry_on``, ``progress`` for this call alone.
        :raises Exception: what the first failing item raised, after all others are done.
        """
        try:
            return self._map(func, iterable, MAP, chunksize, rules)
        finally:
            del self  # as in apply

    def starmap(
        self,
        func: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        **rules: Unpack[CallOptions],
    ) -> list[T]:
        """``[func(*x) for x in iterable]``; see :meth:`map`."""
        try:
            return self._map(func, iterable, STARMAP, chunksize, rules)
        finally:
            del self  # as in apply

    def map_async(
        self,
        func: Callable[[S], T],
        iterable: Iterable[S],
        chunksize: int | None = None,
        callback: Callable[[list[T]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        **rules: Unpack[CallOptions],
    ) -> MapResult[T]:
        """:meth:`map` without waiting; callbacks as for :meth:`apply_async`.

        Of no items it is ready at once, and calls nothing back.
        """
        self._check_running()
        items = Listed(self._intake.listed(as_sequence(iterable)))
        result = self._start_map(
            self._fixed(func), items, MAP, chunksize, rules, callback, error_callback
        )
        self._engine.kick()
        return result

    def starmap_async(
        self,
        func: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[list[T]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
        **rules: Unpack[CallOptions],
    ) -> MapResult[T]:
        """:meth:`starmap` without waiting; callbacks as for :meth:`map_async`."""
        self._check_running()
        items = Listed(self._intake.listed(as_sequence(iterable)))
        function = self._fixed(func)
        result = self._start_map(
            function, items, STARMAP, chunksize, rules, callback, error_callback
        )
        self._engine.kick()
        return result

    # -- values one by one

    def imap(
        self,
        func: Callable[[S], T],
        iterable: Iterable[S],
        chunksize: int | None = None,
        *,
        buffersize: int | None = None,
        **rules: Unpack[CallOptions],
    ) -> ResultIterator[T]:
        """An iterator over ``func(x)`` in order, computed ahead while the caller does other things.

        Each item is taken as it is when the input yields it. Unread results weigh no more than a
        sixteenth of the memory that this process may use (or ``POOLWISE_UNREAD_BYTES``): then the
        workers, and the input, wait for the reader.

        :param buffersize: at most so many items are read whose results are not.
        """
        return self._stream(func, iterable, MAP, chunksize, buffersize, rules, is_ordered=True)

    def imap_unordered(
        self,
        func: Callable[[S], T],
        iterable: Iterable[S],
        chunksize: int | None = None,
        *,
        buffersize: int | None = None,
        **rules: Unpack[CallOptions],
    ) -> ResultIterator[T]:
        """:meth:`imap` with the values as they come."""
        return self._stream(func, iterable, MAP, chunksize, buffersize, rules, is_ordered=False)

    def istarmap(
        self,
        func: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        *,
        buffersize: int | None = None,
        **rules: Unpack[CallOptions],
    ) -> ResultIterator[T]:
        """An iterator over ``func(*x)`` in order; see :meth:`imap`."""
        return self._stream(func, iterable, STARMAP, chunksize, buffersize, rules, is_ordered=True)

    def istarmap_unordered(
        self,
        func: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        *,
        buffersize: int | None = None,
        **rules: Unpack[CallOptions],
    ) -> ResultIterator[T]:
        """:meth:`istarmap` with the values as they come."""
        return self._stream(func, iterable, STARMAP, chunksize, buffersize, rules, is_ordered=False)

    # -- more workers

    def grow(self, processes: int) -> None:
        """Start workers until there are so many; calls that run make use of them at once.

        How many threads pay for items that wait is only known by trying. Fewer there never are.

        :raises ValueError: the pool is closed, or the number is less than 1.
        """
        self._check_running()
        self._processes = max(self._processes, _checked_processes(processes) or 1)
        self._engine.grow(self._processes)

    # -- the end

    def close(self) -> None:
        """No more tasks; workers end when all that were given are done."""
        if self._state == "RUN":
            self._state = "CLOSE"
        if not self._engine.is_closed:
            self._submitted.end()
            self._engine.close()

    def terminate(self) -> None:
        """End the workers at once; tasks that are not done fail with :class:`PoolTerminated`."""
        if not self._is_terminated:
            self._state = "TERMINATE"
            self._engine.terminate(
                errors.PoolTerminated("the pool was terminated before this task had ended")
            )
            self._is_terminated = True  # only now: Ctrl-C may have come before anything was done
            self._join_readers()

    def join(self) -> None:
        """Wait until the workers have ended; call :meth:`close` or :meth:`terminate` first.

        :raises ValueError: the pool is still running.
        :raises RuntimeError: an input that the pool reads has called this.
        """
        if not self._engine.is_closed:
            message = "Pool is still running"
            raise ValueError(message)
        if threading.current_thread() in self._readers:
            message = (
                "a pool cannot be joined by an input that it reads: it would wait for itself. "
                "Close it there, and join it where its results are used."
            )
            raise RuntimeError(message)
        for stream in list(self._streams):
            stream.lift()
        if not self._is_terminated:
            self._engine.join()
            self._join_readers()

    def _join_readers(self) -> None:
        """Wait for the threads that read inputs; one that its input holds up is left behind."""
        # An input that waits for something when its pool ends holds the program up no longer.
        until = time.monotonic() + 1.0
        for thread in list(self._readers):
            if thread is not threading.current_thread():  # an input may end its own pool
                thread.join(max(0.0, until - time.monotonic()))

    def __enter__(self) -> Self:
        self._check_running()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if os.getpid() == self._engine.pid:  # else in a forked child, which leaves the block too
            self.terminate()

    def __reduce__(self) -> Any:
        message = "pool objects cannot be passed between processes or pickled"
        raise NotImplementedError(message)

    # -- what is going on

    @property
    def _state(self) -> str:
        """RUN, CLOSE or TERMINATE, where programs look for it in the standard pool."""
        return self._status

    @_state.setter
    def _state(self, state: str) -> None:
        self._status = state
        # What is dropped in this state warns. No __del__ does so, but a callback of C alone as
        # long as nobody wants such warnings: what the handler of a signal raised in a finalizer
        # would be printed, and the program would go on.
        self._engine.unclosed = weakref.ref(self, _warning_of(self)) if state == "RUN" else None

    @property
    def _pool(self) -> list[BaseProcess]:
        """The worker processes, where programs look for them in the standard pool."""
        return self._engine.backend.processes

    def _repopulate_pool(self) -> None:
        """Start the workers that are missing, where programs look for it."""
        if not self._engine.is_closed:
            self._engine.start_all()

    def __repr__(self) -> str:
        counts = self.statistics()
        return (
            f"<poolwise.Pool state={self._state} pool_size={self._processes} "
            f"backend={self._engine.backend.name} tasks={counts['tasks']} "
            f"workers={counts['workers']}>"
        )

    # -- making jobs

    def _submit(self, result: AsyncResult[Any]) -> None:
        calls = self._submitted
        calls.items.append(result)
        if calls.is_ended and calls.take_back(result):
            message = "Pool not running"
            raise ValueError(message)

    def _check_running(self) -> None:
        if self._engine.is_closed:
            message = "Pool not running"
            raise ValueError(message)

    def _map(
        self,
        func: Callable[..., T],
        iterable: Iterable[Any],
        mode: int,
        chunksize: int | None,
        rules: CallOptions,
    ) -> list[T]:
        self._check_running()
        phases = self._engine.phases
        phases.begin_producing()
        listed, rest = _list_ahead(iterable)
        phases.end_producing()
        result: MapResult[T]
        if rest is None:
            result = self._start_map(Function(func), Listed(listed), mode, chunksize, rules)
            if result.job is not None:  # the caller waits, so nobody changes its items
                result.job.common = find_common(listed)
        else:
            source = Fed()
            source.items.extend(listed)
            try:
                result = self._start_map(Function(func), source, mode, chunksize, rules)
            except BaseException:
                source.end()  # the job may have been posted
                raise
        try:
            if rest is not None:
                self._engine.kick()
                self._engine.ensure_background()
                phases.begin_producing()
                try:
                    feed(source, rest, self._engine.kick)
                finally:
                    phases.end_producing()
                if result.job is not None:
                    self._engine.enqueue(InputEnded(result.job))
            return result.get()
        except BaseException:
            result.drop()
            raise
        finally:
            if result.shown is not None:
                result.shown.close()
            del self, result, phases  # as in apply

    def _start_map(
        self,
        function: Function,
        source: Source,
        mode: int,
        chunksize: int | None,
        rules: CallOptions,
        callback: Callable[[list[T]], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> MapResult[T]:
        if chunksize is None and self._profile is not None:
            chunksize = self._profile.chunksize_for(function.call)
        kind = progress_of(rules, self._options.progress)
        result: MapResult[T] = self._map_result_class(
            self, self._engine, callback, error_callback, source.remaining
        )
        if source.is_exhausted:
            result.finish_empty()
            return result
        result.unit = unit = None if chunksize is None else checked_chunksize(chunksize)
        result.job = job = self._make_job(
            function,
            mode,
            source,
            result,
            unit=unit,
            rules=self._options.rules.updated(rules),
            prompt_ns=MAP_PROMPT_NS,
        )
        result.shown = self._show(job, kind)
        self._engine.enqueue(JobPosted(job))
        return result

    def _stream(
        self,
        func: Callable[..., T],
        iterable: Iterable[Any],
        mode: int,
        chunksize: int | None,
        buffersize: int | None,
        rules: CallOptions,
        *,
        is_ordered: bool,
    ) -> ResultIterator[T]:
        self._check_running()
        if chunksize is None and self._profile is not None:
            chunksize = self._profile.chunksize_for(func)
        unit = checked_chunksize(1 if chunksize == 1 else chunksize)  # 1.0 is one for the standard
        kind = progress_of(rules, self._options.progress)
        stream: Stream[T] = Stream(
            is_ordered=is_ordered,
            buffer_size=checked_buffersize(buffersize),
            most_bytes=unread_limit_bytes(),
        )
        if is_held(iterable):
            source: Source = Listed(self._intake.listed(as_sequence(iterable)))
        else:
            source = self._intake.queue(min(unit or 1, buffersize or unit or 1))
        job = self._make_job(
            self._fixed(func),
            mode,
            source,
            stream,
            unit=unit,
            rules=self._options.rules.updated(rules),
            is_stream=True,
        )
        self._show(job, kind)
        kind_of_results = self._ordered_class if is_ordered else self._unordered_class
        results = kind_of_results(self, self._engine, job, stream)
        with self._engine.signals:  # a job that is posted has a thread that reads its input
            self._engine.post(JobPosted(job))
            if isinstance(source, Fed):
                reader = _Feeder(source, iterable, job, stream, self._engine).thread()
                self._readers.add(reader)  # before it runs: the input may ask for it
                reader.start()
        self._streams.add(results)
        return results


class ThreadPool(Pool):
    """:class:`Pool` on threads, with the interface of ``multiprocessing.pool.ThreadPool``."""

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        **options: Unpack[CommonOptions],
    ) -> None:
        options.setdefault("backend", "threads")
        super().__init__(processes, initializer, initargs, **options)


def _warning_of(pool: Pool) -> Callable[[object], object]:
    """Warns that this pool was dropped and nobody has closed it, as the standard one does."""
    return partial(
        warnings.warn, f"unclosed running multiprocessing pool {pool!r}", ResourceWarning, 2
    )


class _Feeder:
    """Reads an input in a thread of its own, as the standard pool does: it may block."""

    def __init__(
        self, source: Fed, items: Iterable[Any], job: Job, stream: Stream[Any], engine: Engine
    ) -> None:
        self._source = source
        self._items = items
        self._job = job
        self._stream = stream
        self._engine = engine

    def thread(self) -> threading.Thread:
        """The thread, to be started."""
        return threading.Thread(target=self._run, name="poolwise-input", daemon=True)

    def _run(self) -> None:
        items, self._items = self._items, ()
        try:
            feed(self._source, items, self._engine.kick, self._wait_for_room)
        except BaseException:  # noqa: S110 - the source has it, and raises it to the reader
            pass
        try:
            self._engine.post(InputEnded(self._job))
        except errors.PoolwiseError:
            pass  # the pool was terminated, and the job with it

    def _wait_for_room(self) -> int:
        return self._source.wait_for_room(self._room)

    def _room(self) -> int:
        return self._stream.room_in_input(self._job, self._source)


def _list_ahead(items: Iterable[Any]) -> tuple[Sequence[Any], Iterator[Any] | None]:
    """The items as a list if reading them takes no time; else those read so far and the rest."""
    if type(items) is list:  # the caller waits, so nobody fills it anew
        return items, None
    if hasattr(items, "__len__"):
        return as_sequence(items), None
    listed: list[Any] = []
    iterator, size = iter(items), 1
    # An input without a length is listed first if that takes no longer than this.
    until = time.monotonic() + 0.005
    while time.monotonic() < until:
        before = len(listed)
        listed.extend(islice(iterator, size))
        if len(listed) - before < size:
            return listed, None
        size *= 2
    return listed, iterator


def _as_arguments(args: Any) -> Any:
    """As a tuple, which an iterator does not stay; what is no iterable fails in the worker."""
    try:
        return tuple(args)
    except TypeError:
        return args


def _checked_processes(processes: int | None) -> int | None:
    if processes is None:
        return None
    number = index(processes)
    if number < 1:
        message = "Number of processes must be at least 1"
        raise ValueError(message)
    return number


def _check_max_tasks(number: object) -> None:
    if number is not None and (not isinstance(number, int) or number <= 0):
        message = "maxtasksperchild must be a positive int or None"
        raise ValueError(message)
