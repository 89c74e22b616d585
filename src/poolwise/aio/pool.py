"""A pool of workers for asyncio programs: nothing of it holds up the loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from poolwise.aio.coroutines import run_group
from poolwise.aio.helper import Helper, Pacer, set_error, set_value
from poolwise.doors.functions import is_coroutine_function
from poolwise.executor import ProcessPoolExecutor
from poolwise.options import checked_buffersize

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from poolwise.doors.future import TaskFuture
    from poolwise.options import CommonOptions
    from poolwise.report.pool import Report

T = TypeVar("T")

_AHEAD = 32
"""Items for each worker that an imap is ahead of its reader. No benchmark found it."""

_AT_ONCE = 256
"""Coroutines that run at a time in a worker; aiomultiprocess has 16."""

_HELD = (list, tuple, range, dict, set, frozenset, str, bytes)


class Pool:
    """Worker processes for a program that runs on an event loop.

    ``async with poolwise.aio.Pool() as pool`` waits for all that was submitted; left by an
    exception, or when its task is cancelled, it ends the workers at once. Coroutine functions run
    in the workers, many at a time.

    :param workers: how many; None takes the CPUs this process may use.
    :param context: a multiprocessing context or a start method's name.
    :param initializer: called as ``initializer(*initargs)`` in each worker.
    :param kill: cancelling a call that runs stops its worker (else it runs to its end, unread).
    :param at_once: coroutines that run at a time in one worker.
    :param options: as for :class:`poolwise.Pool`; ``backend="threads"`` runs calls in threads, in
        the context (``contextvars``) of whoever submitted them.
    :raises ValueError: a number is out of range.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        context: BaseContext | str | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        kill: bool = False,
        at_once: int = _AT_ONCE,
        **options: Unpack[CommonOptions],
    ) -> None:
        if type(at_once) is not int or at_once < 1:
            message = f"at_once must be a number of coroutines, 1 or more, not {at_once!r}"
            raise ValueError(message)
        self._kill = kill
        self._at_once = at_once
        self._has_threads = options.get("backend") == "threads"
        self._make = partial(
            ProcessPoolExecutor,
            workers,
            context,
            initializer,
            tuple(initargs),
            **options,
        )
        self._executor: ProcessPoolExecutor | None = None
        self._helper: Helper | None = None
        self._is_over = False
        self._open: set[asyncio.Future[Any]] = set()
        self._pacer = Pacer()
        self._tasks: dict[asyncio.Future[Any], TaskFuture[Any]] = {}
        self._group: list[tuple[asyncio.Future[Any], Any]] = []

    # -- the block

    async def __aenter__(self) -> Self:
        if self._helper is not None:
            message = "this pool was entered before; make a new one"
            raise RuntimeError(message)
        self._helper = helper = Helper(asyncio.get_running_loop())
        try:
            self._executor = await helper.result_of(self._make)
        except BaseException:
            self._is_over = True
            helper.end_soon()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            await self.close()
        else:
            await self.terminate()

    async def close(self) -> None:
        """No more calls; wait until all that were submitted are done and the workers have ended."""
        self._is_over = True
        try:
            while self._open:
                await asyncio.wait(list(self._open))
        except asyncio.CancelledError:
            await self.terminate()
            raise
        await self._end(lambda executor: executor.shutdown(wait=True))

    async def terminate(self) -> None:
        """End the workers at once; calls that are not done are cancelled."""
        self._is_over = True
        for future in list(self._open):
            future.cancel()
        await self._end(_terminate)

    async def _end(self, act: Callable[[ProcessPoolExecutor], object]) -> None:
        """End the executor in the helper's thread, whatever happens to the calling task."""
        helper, executor, self._executor = self._helper, self._executor, None
        if helper is None or executor is None:
            return
        await asyncio.shield(self._end_all(helper, partial(act, executor)))

    async def _end_all(self, helper: Helper, act: Callable[[], object]) -> None:
        await helper.result_of(act)
        await helper.end()

    # -- calls

    def submit(
        self, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> asyncio.Future[Any]:
        """Call ``function(*args, **kwargs)`` in a worker; await what this returns.

        Cancelling that, or the task that awaits it, cancels the call.

        :raises RuntimeError: the pool is not open.
        """
        helper = self._check_open()
        future: asyncio.Future[Any] = helper.loop.create_future()
        self._open.add(future)
        future.add_done_callback(self._finish)
        if not self._has_threads and is_coroutine_function(function):
            self._gather(future, (function, args, kwargs))
            return future
        if self._has_threads:
            function, args = self._in_context(function, args)
        helper.do(partial(self._start, future, function, args, kwargs))
        return future

    async def apply(
        self,
        function: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: dict[str, Any] | None = None,
    ) -> Any:
        """The value of ``function(*args, **kwds)``, called in a worker."""
        return await self.submit(function, *args, **(kwds or {}))

    async def map(
        self, function: Callable[..., T], iterable: Iterable[Any] | AsyncIterable[Any]
    ) -> list[T]:
        """``[function(x) for x in iterable]``, spread over the workers.

        :raises Exception: what the first failing item raised; the rest is cancelled.
        """
        results = self.imap(function, iterable)
        try:
            return [value async for value in results]
        finally:
            await results.aclose()  # type: ignore[attr-defined] # an async generator

    async def starmap(
        self, function: Callable[..., T], iterable: Iterable[Any] | AsyncIterable[Any]
    ) -> list[T]:
        """``[function(*x) for x in iterable]``; see :meth:`map`."""
        results = self._stream(function, iterable, None, is_ordered=True, is_star=True)
        try:
            return [value async for value in results]
        finally:
            await results.aclose()  # type: ignore[attr-defined] # an async generator

    def imap(
        self,
        function: Callable[..., T],
        iterable: Iterable[Any] | AsyncIterable[Any],
        *,
        buffersize: int | None = None,
    ) -> AsyncIterator[T]:
        """An async iterator over ``function(x)`` in order, computed ahead.

        An input that is no list is read in the pool's helper thread, an async one on the loop.

        :param buffersize: at most so many items are read whose results are not.
        """
        return self._stream(function, iterable, buffersize, is_ordered=True)

    def imap_unordered(
        self,
        function: Callable[..., T],
        iterable: Iterable[Any] | AsyncIterable[Any],
        *,
        buffersize: int | None = None,
    ) -> AsyncIterator[T]:
        """:meth:`imap` with the values as they come."""
        return self._stream(function, iterable, buffersize, is_ordered=False)

    def report(self) -> Report:
        """Account of the workers' time, as :meth:`poolwise.Pool.report`."""
        if self._executor is None:
            message = "the pool is not open"
            raise RuntimeError(message)
        return self._executor.report()

    def __repr__(self) -> str:
        state = "open" if self._executor is not None and not self._is_over else "not open"
        return f"<poolwise.aio.Pool {state}, {len(self._open)} calls under way>"

    # -- inside

    def _check_open(self) -> Helper:
        if self._helper is None or self._executor is None or self._is_over:
            message = (
                "this pool is not open: use it inside `async with poolwise.aio.Pool() as pool`"
            )
            raise RuntimeError(message)
        if asyncio.get_running_loop() is not self._helper.loop:
            message = "this pool belongs to another event loop; make one in each"
            raise RuntimeError(message)
        return self._helper

    def _in_context(
        self, function: Callable[..., Any], args: tuple[Any, ...]
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        context = contextvars.copy_context()
        if is_coroutine_function(function):
            return context.run, (_run_coroutine, function, *args)
        return context.run, (function, *args)

    # The helper's thread

    def _start(
        self, future: asyncio.Future[Any], function: Any, args: tuple[Any, ...], kwargs: Any
    ) -> None:
        helper, executor = self._helper, self._executor
        if future.cancelled() or helper is None or executor is None:
            return
        try:
            task = executor.submit(function, *args, **kwargs)
        except BaseException as error:
            helper.tell(set_error, future, error)
            return
        self._tasks[future] = task
        if future.cancelled():  # meanwhile: then nobody else does this
            self._tasks.pop(future, None)
            task.cancel(force=self._kill)
        task.add_done_callback(lambda task: self._done(helper, future, task))

    def _done(self, helper: Helper, future: asyncio.Future[Any], task: Any) -> None:
        if task.cancelled():
            helper.tell(future.cancel)
        elif (error := task.exception()) is not None:
            helper.tell(set_error, future, error)
        else:
            helper.tell(set_value, future, task.result())
        self._pacer.breathe()

    # The loop

    def _finish(self, future: asyncio.Future[Any]) -> None:
        """A call is over for whoever waits; if it was cancelled, cancel it where it runs."""
        self._open.discard(future)
        task, helper = self._tasks.pop(future, None), self._helper
        if task is not None and helper is not None and future.cancelled() and not task.done():
            helper.do(partial(task.cancel, force=self._kill))

    def _gather(self, future: asyncio.Future[Any], call: Any) -> None:
        """Coroutines that are submitted in one turn of the loop travel together."""
        if not self._group and self._helper is not None:
            self._helper.loop.call_soon(self._send_group)
        self._group.append((future, call))

    def _send_group(self) -> None:
        helper, executor = self._helper, self._executor
        group = [each for each in self._group if not each[0].done()]
        self._group = []
        if helper is None or executor is None:
            return
        size = max(1, min(-(-len(group) // _workers_of(executor)), 4 * self._at_once))
        for first in range(0, len(group), size):
            part = group[first : first + size]
            whole = helper.loop.create_future()
            whole.add_done_callback(self._finish)
            whole.add_done_callback(partial(_settle_group, [future for future, _ in part]))
            calls = [call for _, call in part]
            helper.do(partial(self._start, whole, run_group, (calls, self._at_once), {}))
            _cancel_together(whole, [future for future, _ in part])

    async def _stream(
        self,
        function: Callable[..., Any],
        iterable: Any,
        buffersize: int | None,
        *,
        is_ordered: bool,
        is_star: bool = False,
    ) -> AsyncIterator[Any]:
        helper = self._check_open()
        window = checked_buffersize(buffersize) or self._window_for(function)
        items = _Input(helper, iterable)
        waiting: deque[asyncio.Future[Any]] = deque()
        ready: deque[asyncio.Future[Any]] = deque()
        try:
            while True:
                async for item in items.read(window - len(waiting) - len(ready)):
                    waiting.append(
                        self.submit(function, *item) if is_star else self.submit(function, item)
                    )
                if not (waiting or ready):
                    return
                if is_ordered:
                    yield await waiting.popleft()
                    continue
                if not ready:
                    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    ready.extend(done)
                    waiting = deque(each for each in waiting if each not in done)
                yield ready.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            await items.close()

    def _window_for(self, function: Callable[..., Any]) -> int:
        executor = self._executor
        each = self._at_once if is_coroutine_function(function) else _AHEAD
        return each * (1 if executor is None else _workers_of(executor))


class _Input:
    """An iterable that is read without holding up the loop."""

    def __init__(self, helper: Helper, items: Any) -> None:
        self._helper = helper
        self._is_held = isinstance(items, _HELD)
        self._is_async = hasattr(items, "__aiter__")
        self._items: Any = items.__aiter__() if self._is_async else iter(items)
        self._is_over = False

    async def read(self, most: int) -> AsyncIterator[Any]:
        """The next items, ``most`` at most."""
        if self._is_over or most <= 0:
            return
        if not self._is_async:
            for item in await self._read_some(most):
                yield item
            return
        for _ in range(most):
            try:
                item = await self._items.__anext__()
            except StopAsyncIteration:
                self._is_over = True
                return
            yield item

    async def _read_some(self, most: int) -> list[Any]:
        read: list[Any]
        if self._is_held:
            read = list(islice(self._items, most))
        else:
            read = await self._helper.result_of(lambda: list(islice(self._items, most)))
        self._is_over = len(read) < most
        return read

    async def close(self) -> None:
        """End generators."""
        if self._is_async and hasattr(self._items, "aclose"):
            await self._items.aclose()
        elif isinstance(self._items, Iterator) and hasattr(self._items, "send"):
            await asyncio.shield(self._helper.result_of(self._items.close))  # type: ignore[attr-defined] # a generator


def _workers_of(executor: ProcessPoolExecutor) -> int:
    return executor._max_workers  # noqa: SLF001 - as the standard executor has it


def _terminate(executor: ProcessPoolExecutor) -> None:
    executor.kill_workers()
    executor.shutdown(wait=True)


def _run_coroutine(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A coroutine function in a worker thread, on a loop of its own."""
    return asyncio.run(function(*args, **kwargs))


def _settle_group(futures: list[asyncio.Future[Any]], whole: asyncio.Future[Any]) -> None:
    if whole.cancelled():
        for future in futures:
            future.cancel()
    elif (error := whole.exception()) is not None:
        for future in futures:
            set_error(future, error)
    else:
        for future, (is_good, value) in zip(futures, whole.result()):  # noqa: B905 - equally long
            (set_value if is_good else set_error)(future, value)


def _cancel_together(whole: asyncio.Future[Any], parts: list[asyncio.Future[Any]]) -> None:
    """Cancel a group once nobody waits for any of it."""

    def look(_: asyncio.Future[Any]) -> None:
        if not whole.done() and all(part.cancelled() for part in parts):
            whole.cancel()

    for part in parts:
        part.add_done_callback(look)
