"""Futures that cost little until somebody needs all they can do.

A standard future makes a Condition and two lists when it is made, which is most of its cost
(0.6 of 0.9 us); here they are made when somebody first waits through them. Who calls ``result()``
does not: it helps the engine along until the value is there.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from poolwise.core.contract import TaskDropped

if TYPE_CHECKING:
    from poolwise.core.engine import Engine
    from poolwise.core.job import Callback, Chunk, Job, News

T = TypeVar("T")
Call = tuple[Callable[..., T], tuple[Any, ...], dict[str, Any]]

_PENDING, _RUNNING, _FINISHED = "PENDING", "RUNNING", "FINISHED"
_CANCELLED = ("CANCELLED", "CANCELLED_AND_NOTIFIED")
_OVER = (_FINISHED, *_CANCELLED)

_changing = threading.Lock()
"""Held while a future changes state without its Condition, or is given one."""


class TaskFuture(Future[T]):
    """A ``concurrent.futures.Future`` for one submitted call.

    Everything of the standard class works, from any thread, and :func:`concurrent.futures.wait`,
    ``as_completed`` and ``asyncio.wrap_future`` with it.
    """

    # The standard attributes that are cheap stand here; ``_condition``, ``_waiters`` and
    # ``_done_callbacks`` are made by __getattr__.
    _state = _PENDING
    _result: T | None = None
    _exception: BaseException | None = None
    kept: Any = None

    def __init__(
        self,
        engine: Engine,
        job: Job,
        call: tuple[Callable[..., T], tuple[Any, ...], dict[str, Any]],
    ) -> None:
        self._engine: Engine | None = engine
        self._job = job
        self.call: tuple[Callable[..., T], tuple[Any, ...], dict[str, Any]] | None = call

    def __getattr__(self, name: str) -> Any:
        if name not in {"_condition", "_waiters", "_done_callbacks"}:
            raise AttributeError(name)
        with _changing:
            if "_condition" not in self.__dict__:
                self._waiters: list[Any] = []
                self._done_callbacks: list[Any] = []
                self._condition = threading.Condition()
        from poolwise.core.interrupts import rouse_loop  # here: few programs need it

        rouse_loop()
        if (engine := self._engine) is not None:
            engine.ensure_background()  # whoever waits this way cannot lead
        return self.__dict__[name]

    # -- questions, without the Condition

    def done(self) -> bool:
        """True when the call was cancelled or has finished."""
        return self._state in _OVER

    def running(self) -> bool:
        """True when the call is on its way to a worker, or runs."""
        return self._state == _RUNNING

    def cancelled(self) -> bool:
        """True when the call was cancelled."""
        return self._state in _CANCELLED

    # -- waiting

    def result(self, timeout: float | None = None) -> T:
        """The call's value; helps the pool along while it waits.

        :param timeout: seconds to wait at most (None: for ever).
        :raises TimeoutError: it was not there in time.
        :raises concurrent.futures.CancelledError: the call was cancelled.
        """
        error = self.exception(timeout)
        if error is not None:
            try:
                raise error
            finally:
                del self, error  # the traceback refers to this frame
        return self._result  # type: ignore[return-value]

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Exception that the call raised, or None; waits and raises as :meth:`result` does."""
        engine = self._engine
        if engine is not None and self._state not in _OVER and not engine.wait(self.done, timeout):
            raise FutureTimeoutError
        if self._state in _CANCELLED:
            raise CancelledError
        return self._exception

    # -- changing

    def begin(self) -> bool:
        """The call is about to be sent; False when it has been cancelled."""
        with _changing:
            if self._state != _PENDING:
                return self._state == _RUNNING  # sent before, to a worker that died
            self._state = _RUNNING
            return True

    def cancel(self, *, force: bool = False) -> bool:
        """Cancel the call; returns whether it is cancelled.

        :param force: also when it runs: its worker is stopped and replaced, other tasks that
            travelled with it are run again elsewhere.
        """
        with _changing:
            was = self._state
            if was == _PENDING or (force and was == _RUNNING):
                self._state = _CANCELLED[0]
        from poolwise.core.interrupts import note

        note(sys.exc_info()[1])  # asyncio cancels what runs when a signal ends it
        if was in {_PENDING, _RUNNING} and self._state in _CANCELLED:
            self._tell_cancelled()
            engine, self._engine = self._engine, None
            if was == _RUNNING and engine is not None:
                engine.post(TaskDropped(self._job, self))
        return self._state in _CANCELLED

    def _tell_cancelled(self) -> None:
        with self._condition:
            self._condition.notify_all()
        self._invoke_callbacks()
        self.set_running_or_notify_cancel()


def settle_all(
    futures: Sequence[TaskFuture[Any]], values: Sequence[Any], errors: dict[int, BaseException]
) -> list[Callable[[], Callback | None]]:
    """Give futures their values; what must be said to waiting threads is returned, for later.

    Plain stores for those that nobody waits for through a Condition (nearly all): a batch of
    them costs one lock and no wake-ups.
    """
    news: list[Callable[[], Callback | None]] = []
    with _changing:
        for at, future in enumerate(futures):
            future.call = None
            if future.kept is not None:
                future.kept = None
            if "_condition" in future.__dict__:
                news.append(partial(_settle, future, values[at], errors.get(at)))
            elif future._state == _RUNNING:  # noqa: SLF001 - one class with the function
                future._result = values[at]  # noqa: SLF001
                future._exception = errors.get(at)  # noqa: SLF001
                future._state = _FINISHED  # noqa: SLF001
                future._engine = None  # noqa: SLF001 - nobody will ask it any more
    return news


def _settle(future: TaskFuture[Any], value: Any, error: BaseException | None) -> Callback | None:
    """Publish a result to those who wait through the future; its callbacks are run later."""
    with future._condition:  # noqa: SLF001 - one class with the function
        future._engine = None  # noqa: SLF001
        if future._state != _RUNNING:  # noqa: SLF001 - cancelled while it ran
            return None
        future._result, future._exception = value, error  # noqa: SLF001
        future._state = _FINISHED  # noqa: SLF001
        for waiter in future._waiters:  # noqa: SLF001
            (waiter.add_result if error is None else waiter.add_exception)(future)
        future._condition.notify_all()  # noqa: SLF001
    return future._invoke_callbacks if future._done_callbacks else None  # noqa: SLF001


def _settle_cancelled(future: TaskFuture[Any]) -> Callback | None:
    with future._condition:  # noqa: SLF001 - one class with the function
        future._condition.notify_all()  # noqa: SLF001
    future.set_running_or_notify_cancel()
    return future._invoke_callbacks if future._done_callbacks else None  # noqa: SLF001


def cancel_all(futures: Sequence[TaskFuture[Any]]) -> list[Callable[[], Callback | None]]:
    """Cancel futures, also those that run; returns what must be said, as :func:`settle_all`."""
    news: list[Callable[[], Callback | None]] = []
    with _changing:
        for future in futures:
            future.call = future.kept = None
            if future._state in {_PENDING, _RUNNING}:  # noqa: SLF001 - one class with the function
                is_awaited = "_condition" in future.__dict__
                future._state = _CANCELLED[not is_awaited]  # noqa: SLF001
                future._engine = None  # noqa: SLF001
                if is_awaited:
                    news.append(partial(_settle_cancelled, future))
    return news


class FutureSink:
    """The sink of a job whose items are futures."""

    is_interrupted = False
    """A signal ends the program: what is not done is cancelled. Errors that nobody asks for would
    be printed, by asyncio for each call that it has waited for."""

    def deliver(
        self, chunk: Chunk, first: int, values: Sequence[Any], errors: dict[int, BaseException]
    ) -> News:
        futures = chunk.items[first : first + len(values)]
        return cancel_all(futures) if self.is_interrupted else settle_all(futures, values, errors)

    def end(self, error: BaseException | None) -> News:
        return ()

    def room(self, job: Job) -> None:
        return None
