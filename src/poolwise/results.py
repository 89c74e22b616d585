"""Results that the calls of a :class:`poolwise.Pool` return, and the sinks of their values."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from poolwise.core.contract import InputEnded, JobDropped
from poolwise.core.job import Fed
from poolwise.core.sinks import Raised
from poolwise.standard import offers

if TYPE_CHECKING:
    from poolwise.core.engine import Engine
    from poolwise.core.job import Callback, Chunk, Job, News
    from poolwise.core.sinks import Stream
    from poolwise.report.live.board import Shown

T = TypeVar("T")


@offers("results", "_cache", "_event", "_job", "_success")
class AsyncResult(Generic[T]):
    """Result of :meth:`Pool.apply_async`: as ``multiprocessing.pool.AsyncResult``."""

    def __init__(
        self,
        pool: Any,
        engine: Engine,
        callback: Callable[[T], object] | None,
        error_callback: Callable[[BaseException], object] | None,
        call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] | None = None,
    ) -> None:
        self._pool: Any = pool  # it lives until its results are there
        self._engine: Engine | None = engine
        self._callback = callback
        self._error_callback = error_callback
        self.call = call
        self._value: T | None = None
        self._error: BaseException | None = None
        self._has_value = False
        self._is_ready = False

    kept: Any = None
    """The call as it was when it was submitted, for who sends it; None: as it is."""

    def begin(self) -> bool:
        """The call is about to be sent."""
        return True

    def ready(self) -> bool:
        """The value (or exception) is there, and its callback has run.

        A callback that asks for another result need not wait for that one's own callback, which
        cannot run before it returns.
        """
        engine = self._engine
        return self._is_ready or (self._has_value and engine is not None and engine.is_in_callback)

    def successful(self) -> bool:
        """The call raised no exception.

        :raises ValueError: it is not ready.
        """
        if not self.ready():
            message = f"{self!r} not ready"
            raise ValueError(message)
        return self._error is None

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it is ready, for ``timeout`` seconds at most."""
        engine = self._engine
        if engine is not None and not self._is_ready:
            engine.wait(self.ready, timeout)

    def get(self, timeout: float | None = None) -> T:
        """The value, when it is there.

        :raises multiprocessing.TimeoutError: it was not there within ``timeout`` seconds.
        :raises Exception: what the call raised.
        """
        self.wait(timeout)
        if not self._is_ready and not self.ready():
            raise multiprocessing.TimeoutError
        if self._error is not None:
            try:
                raise self._error
            finally:
                del self  # the traceback refers to this frame
        return self._value  # type: ignore[return-value]

    def settle(self, value: T | None, error: BaseException | None) -> News:
        """Take the value; it is ready when its callback, if there is one, has run.

        No callback is called for what is dropped when the pool is terminated.
        """
        self.call = self.kept = None
        self._value, self._error = value if error is None else error, error  # type: ignore[assignment]
        self._has_value = True
        callback: Callable[[Any], object] | None = (
            self._callback if error is None else self._error_callback
        )
        self._callback = self._error_callback = None
        if callback is None or (self._engine is not None and self._engine.dropped(error)):
            self._finish()
            return ()
        self._pool._in_callbacks.add(self)  # noqa: SLF001 - one mechanism
        return (lambda: partial(self._call_back, callback),)

    def _call_back(self, callback: Callable[[Any], object]) -> None:
        try:
            callback(self._value)
        finally:
            self._pool._in_callbacks.discard(self)  # noqa: SLF001
            self._finish()

    def _finish(self) -> None:
        self._is_ready = True
        self._pool = self._engine = None


ApplyResult = AsyncResult


@offers("results", "_chunksize", "_number_left")
class MapResult(AsyncResult[list[T]]):
    """Result of :meth:`Pool.map_async`, and the sink of its job's values.

    Of several errors the first by position counts.

    :param size: the number of values, if it is known.
    """

    job: Job | None = None
    unit: int | None = None
    shown: Shown | None = None

    def __init__(
        self,
        pool: object,
        engine: Engine,
        callback: Callable[[list[T]], object] | None,
        error_callback: Callable[[BaseException], object] | None,
        size: int | None,
    ) -> None:
        super().__init__(pool, engine, callback, error_callback)
        self.lanes: int = getattr(pool, "_processes", 1)
        self._values: list[Any] = [None] * (size or 0)
        self._value = self._values
        self._first_error: tuple[int, BaseException] | None = None
        self.count_delivered = 0

    def finish_empty(self) -> None:
        """There is nothing to map: be ready, without a callback, as the standard's is."""
        self._callback = None
        self.settle(self._values, None)

    def deliver(
        self, chunk: Chunk, first: int, values: Sequence[Any], errors: dict[int, BaseException]
    ) -> News:
        """Put values in their places."""
        self.count_delivered += len(values)
        start = chunk.start + first
        end = start + len(values)
        if end > len(self._values):
            self._values.extend([None] * (end - len(self._values)))
        self._values[start:end] = values
        if errors:
            at = min(errors)
            if self._first_error is None or start + at < self._first_error[0]:
                self._first_error = (start + at, errors[at])
        return ()

    def end(self, error: BaseException | None) -> News:
        """All is there, or nothing more will come because of ``error``."""
        if error is None and self._first_error is not None:
            error = self._first_error[1]
        self.job = None  # the job has us: what it was given goes now, not when cycles are sought
        return self.settle(self._values, error)

    def room(self, job: Job) -> None:
        """Any number of items may be handed out: all values are kept."""

    def drop(self) -> None:
        """Begin nothing more of it: the values are not wanted any more."""
        job, engine = self.job, self._engine
        if job is not None and engine is not None and not engine.is_closed:
            engine.post(JobDropped(job))


class CallSink:
    """The sink of the job whose items are :class:`AsyncResult`."""

    def deliver(
        self, chunk: Chunk, first: int, values: Sequence[Any], errors: dict[int, BaseException]
    ) -> News:
        """Give each its value."""
        news: list[Callable[[], Callback | None]] = []
        for at, value in enumerate(values):
            news.extend(chunk.items[first + at].settle(value, errors.get(at)))
        return news

    def end(self, error: BaseException | None) -> News:
        """Do nothing: no caller waits for the end of all calls."""
        return ()

    def room(self, job: Job) -> None:
        """Any number of calls may be handed out."""


@offers("results", "_cache", "_cond", "_index", "_items", "_length")
class ResultIterator(Iterator[T]):
    """Result of the imaps: as ``multiprocessing.pool.IMapIterator``, and it can be closed.

    Dropped half-read (``break``), it stops the input and what has not begun. Dropped before it
    was ever read, everything runs all the same: programs do that for the side effects.
    """

    def __init__(self, pool: object, engine: Engine, job: Job, stream: Stream[T]) -> None:
        self._engine = engine
        self._job = job
        self._stream = stream
        self._pool = pool
        self._is_begun = False

    @property
    def _pool(self) -> object:
        """The pool, while it has something to do for this, where programs look for it."""
        return self._stream.owner

    @_pool.setter
    def _pool(self, pool: object) -> None:
        self._stream.owner = pool

    def __iter__(self) -> ResultIterator[T]:
        return self

    def __next__(self) -> T:
        return self.next()

    def next(self, timeout: float | None = None) -> T:
        """The next value.

        :raises multiprocessing.TimeoutError: it was not there within ``timeout`` seconds.
        :raises StopIteration: there are no more.
        :raises Exception: what this item raised; later items can still be read.
        """
        stream = self._stream
        if not stream.ready:
            self._wait_for_news(timeout)
        try:
            value = stream.ready.popleft()
        except IndexError:
            raise StopIteration from None
        stream.count_read += 1
        if stream.count_read >= stream.tell_at:
            self._tell_of_room()
        if type(value) is Raised:
            stream.item_raised = value.item
            try:
                raise value.error
            finally:
                del self, stream, value  # the traceback refers to this frame
        return value  # type: ignore[return-value]

    def _wait_for_news(self, timeout: float | None) -> None:
        self._is_begun = True
        if not self._engine.wait(self._stream.has_news, timeout):
            raise multiprocessing.TimeoutError

    def _tell_of_room(self) -> None:
        self._stream.told()
        if isinstance(self._job.source, Fed):
            self._job.source.ring()
        self._engine.kick_if_idle()

    def lift(self) -> None:
        """Read the input on, whether results are read or not: a caller waits for the end of all."""
        self._stream.lift()
        self._tell_of_room()

    def close(self) -> None:
        """Stop: the input is read no further, and what has not begun is not run."""
        if not self._stream.is_over:
            self._job.source.stop()
            self._engine.post_from_finalizer(JobDropped(self._job))
            self._stream.is_over = True

    def __del__(self) -> None:
        if self._stream.is_over:
            return
        if self._is_begun:
            self.close()
        else:
            self._stream.ignore()
            if isinstance(self._job.source, Fed):
                self._job.source.is_ignored = True
                self._job.source.ring()
            self._engine.post_from_finalizer(InputEnded(self._job))  # limits are lifted
            self._stream.owner = None  # the pool may go
