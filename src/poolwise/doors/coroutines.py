"""Coroutines: an event loop in a thread, and calls with a time limit that are tried again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from typing import Any

from poolwise.errors import TaskTimeout


class EventLoop:
    """An event loop that other threads hand work to.

    :param loop: one that runs already; None makes one, in a thread of its own.
    :param context: of the thread (None: the caller's).
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop | None = None, context: Context | None = None
    ) -> None:
        self._loop = loop or asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self.ident = threading.get_ident()
        if loop is None:
            run = (context or copy_context()).copy().run
            self._thread = threading.Thread(
                target=run, args=(self._serve,), name="poolwise-loop", daemon=True
            )
            try:
                self._thread.start()
            except RuntimeError:  # the system grants no more threads
                self._loop.close()
                raise
            self.ident = self._thread.ident or 0

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            try:
                self._loop.run_until_complete(_cancel_rest())
                self._loop.run_until_complete(self._loop.shutdown_asyncgens())
                self._loop.run_until_complete(self._loop.shutdown_default_executor())
            finally:
                asyncio.set_event_loop(None)
                self._loop.close()

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function on the loop, soon; nothing where the loop has ended."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)

    def spawn(self, work: Coroutine[Any, Any, None]) -> Spawned:
        """Run a coroutine as a task."""
        spawned = Spawned()
        self.call(spawned.start, self._loop, work)
        return spawned

    def wait_for(self, spawned: Spawned, patience_s: float | None) -> None:
        """Wait for a task's end, from a thread that is not the loop's."""
        if threading.get_ident() != self.ident:
            spawned.is_over.wait(patience_s)

    def close(self, patience_s: float | None = None) -> None:
        """End the loop, if it was made here."""
        if self._thread is not None and not self._loop.is_closed():
            self.call(self._loop.stop)
            if self._thread is not threading.current_thread():
                self._thread.join(patience_s)


async def _cancel_rest() -> None:
    """Cancel tasks that are left, as ``asyncio.run`` does at its end."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


class Spawned:
    """A task that was started from another thread."""

    def __init__(self) -> None:
        self.is_over = threading.Event()
        self.task: asyncio.Task[None] | None = None
        self._is_cancelled = False

    def start(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
        """Begin; on the loop."""
        if self._is_cancelled:
            work.close()
            self.is_over.set()
            return
        self.task = loop.create_task(work)
        self.task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()
        self.is_over.set()

    def cancel(self) -> None:
        """Cancel it; on the loop."""
        self._is_cancelled = True
        if self.task is not None:
            self.task.cancel()


async def tried(
    attempt: Callable[[], Awaitable[Any]],
    limit_s: float | None,
    wants: Callable[[BaseException, int], bool],
    pause_s: Callable[[int], float] = lambda _: 0.0,
) -> Any:
    """Value of a coroutine, tried again while that is wanted of its errors.

    :param wants: asked with the error and the number of tries so far.
    :param pause_s: seconds to wait after so many.
    :raises TaskTimeout: a try took longer than ``limit_s``, and was cancelled.
    """
    count = 0
    while True:
        try:
            return await in_time(attempt(), limit_s)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            count += 1
            if not wants(error, count):
                raise
        await asyncio.sleep(pause_s(count))


async def in_time(work: Awaitable[Any], limit_s: float | None) -> Any:
    """Value of an awaitable; one that takes too long is cancelled, and waited for.

    :raises TaskTimeout: it took longer than ``limit_s``.
    """
    if limit_s is None:
        return await work
    task = asyncio.ensure_future(_outcome(work))
    try:
        done, _ = await asyncio.wait([task], timeout=limit_s)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if done:
        value, error = task.result()
        if error is not None:
            raise error
        return value
    task.cancel()
    await asyncio.wait([task])
    message = f"the item took longer than timeout={limit_s:g} s; its coroutine was cancelled"
    raise TaskTimeout(message)


async def _outcome(work: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """Value or error: a KeyboardInterrupt that a task raises would end the loop."""
    try:
        return await work, None
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return None, error
