"""Sources: what a pipe reads its items from, and the threads that do so."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from poolwise.core.job import close_generator
from poolwise.doors.functions import is_coroutine_function
from poolwise.pipeline.failures import origin_of
from poolwise.pipeline.flow import Token
from poolwise.pipeline.steps import DROPPED, Visit

if TYPE_CHECKING:
    from poolwise.pipeline.run import Run

_READ_AT_ONCE = 64
"""Items of a list that are passed on under one lock. No benchmark found it."""

_QUEUE_LOOK_S = 0.05
"""A queue is looked at this often whether the run is over; it cannot be woken otherwise."""

_HELD = (list, tuple, range, dict, set, frozenset, str, bytes)
"""They never keep their reader waiting."""

_read_from: weakref.WeakSet[Any] = weakref.WeakSet()
_marking = threading.Lock()


class Source:
    """Source of the items of a pipe; shared by all pipes that were built on it.

    :param until: ends a queue.
    :raises TypeError: it is nothing that items can be read from.
    """

    def __init__(self, items: Any, until: Any) -> None:
        self.items = items
        self.until = until
        self.is_async = hasattr(items, "__aiter__")
        has_get = callable(getattr(items, "get", None)) and not hasattr(items, "__iter__")
        self.is_queue = has_get and not self.is_async
        if self.is_queue and is_coroutine_function(items.get):
            self.is_queue, self.is_async = False, True
            self.items = _AsyncQueue(items, until)
        is_iterable = hasattr(items, "__iter__") or hasattr(items, "__getitem__")
        if not (self.is_async or self.is_queue or is_iterable):
            message = (
                "pipe() needs something to read items from: a list, a generator, an async "
                f"generator, a queue, an open file or another pipe, not {items!r}"
            )
            raise TypeError(message)

    @property
    def is_held(self) -> bool:
        """True if it is all there, so that reading never waits."""
        return isinstance(self.items, _HELD)

    @property
    def length(self) -> int | None:
        """Number of items, if it is known."""
        return len(self.items) if self.is_held else None

    def mark_read(self) -> None:
        """A run begins to read.

        :raises RuntimeError: it can be read only once, and was.
        """
        items = self.items
        is_once = isinstance(items, (Iterator, AsyncIterator))
        if not is_once or isinstance(items, _AsyncQueue):
            return
        with _marking:
            try:
                was_read = items in _read_from
                _read_from.add(items)
            except TypeError:  # it cannot be referred to weakly, or has no hash
                was_read = getattr(self, "_was_read", False)
                self._was_read = True
        if was_read and not _is_file(items):
            message = (
                f"the source of this pipe is an iterator ({type(items).__name__}) that a pipe has "
                "already read: it can be read only once. Make a new one for each run, or give "
                "pipe() a list"
            )
            raise RuntimeError(message)

    def open(self) -> Iterator[Any]:
        """An iterator over the items, of a source that is not async."""
        return iter(self.items)


def _is_file(items: Any) -> bool:
    """True if it can be read again from the start, and says itself when it is closed."""
    return hasattr(items, "seek")


class _AsyncQueue:
    """An ``asyncio.Queue`` as an async iterator."""

    def __init__(self, items: Any, until: Any) -> None:
        self._queue, self._until = items, until

    def __aiter__(self) -> _AsyncQueue:
        return self

    async def __anext__(self) -> Any:
        item = await self._queue.get()
        if item is self._until:
            raise StopAsyncIteration
        return item


class _PolledQueue:
    """A queue as an iterator that ends when the run does."""

    def __init__(self, source: Source, run: Run) -> None:
        self._get, self._until, self._run = source.items.get, source.until, run

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while not self._run.is_stopped:
            try:
                item = self._get(timeout=_QUEUE_LOOK_S)
            except queue.Empty:
                continue
            except Exception as error:
                if type(error).__name__ == "ShutDown":  # Python 3.13 ends queues so
                    break
                raise
            if item is self._until:
                break
            return item
        raise StopIteration


class Reading:
    """Common part of both kinds of readers.

    :param run: the run that it is for.
    """

    kind = "source"

    def __init__(self, run: Run, source: Source) -> None:
        self._run = run
        self._source = source
        self._stage = run.flow.source
        self.count = 0
        self._is_stopped = False

    def _make_tokens(self, item: Any, visit: Visit | None) -> list[Token]:
        """The item, or what the stages that run here have made of it."""
        number, origin = self.count, origin_of(item)
        self.count += 1
        token = Token(item, origin, number, 0)
        if visit is None:
            token.through = 1
            return [token]
        token.through = 1 + len(visit.steps)
        try:
            value = visit.run(item, number)
        except BaseException as error:
            stage, given = self._run.place_of(error, self._stage.next, token)
            value, token.error = self._run.judge(stage, token, error, given)
            if token.error is not None:
                return [token]
        token.value = value
        return [] if value is DROPPED else [token]

    def _put(self, tokens: list[Token]) -> None:
        stage = self._stage
        for token in tokens:
            if token.error is not None:
                token.through = len(self._run.flow.stages)
                stage.next.push(token)
            else:
                stage.put(token)
        stage.counts.done += len(tokens)

    def stop(self) -> None:
        self._is_stopped = True
        self.notice()

    def end(self) -> None:
        """Nothing: it ends by itself."""

    def retire(self) -> None:
        """Refuse: nothing takes over from a reader."""

    def notice(self) -> None:
        raise NotImplementedError


class ThreadReader(Reading):
    """Reads a source in a thread of its own, since it may block."""

    def __init__(self, run: Run, source: Source) -> None:
        super().__init__(run, source)
        self._room = threading.Condition(run.lock)
        self._thread = run.make_thread(self._read, "poolwise-source")
        self._thread.start()

    def notice(self) -> None:
        self._room.notify()

    def join(self, patience_s: float | None) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join(patience_s)

    def _read(self) -> None:
        source, items = self._source, None
        error: BaseException | None = None
        try:
            items = _PolledQueue(source, self._run) if source.is_queue else source.open()
            self._read_all(items, _READ_AT_ONCE if source.is_held else 1)
        except BaseException as raised:
            error = raised
        try:
            close_generator(items)
        finally:
            self._run.source_ended(error)
            del items, error

    def _read_all(self, items: Iterator[Any], at_once: int) -> None:
        while (room := self._wait_for_room()) > 0:
            visit = self._run.visit_of_source()
            tokens: list[Token] = []
            for _ in range(min(room, at_once)):
                try:
                    item = next(items)
                except StopIteration:
                    room = 0
                    break
                tokens += self._make_tokens(item, visit)
                del item
            with self._run:
                self._put(tokens)
            if not room:
                return

    def _wait_for_room(self) -> int:
        while True:
            with self._run as run:
                if self._is_stopped:
                    return 0
                if (room := self._stage.room()) > 0:
                    return room
                self._stage.counts.was_full = True
                if not run.has_chores:
                    self._room.wait()


class LoopReader(Reading):
    """Reads an async source on the run's event loop."""

    def __init__(self, run: Run, source: Source) -> None:
        super().__init__(run, source)
        self._loop = run.loop
        self._room = asyncio.Event()
        self._is_reading = True
        self._task = self._loop.spawn(self._read())

    def notice(self) -> None:
        self._loop.call(self._room.set)

    def stop(self) -> None:
        self._is_stopped = True
        self._loop.call(self._cancel)

    def _cancel(self) -> None:
        if self._is_reading:  # not while the source is being closed, which may wait
            self._task.cancel()

    def join(self, patience_s: float | None) -> None:
        self._loop.wait_for(self._task, patience_s)

    async def _read(self) -> None:
        error: BaseException | None = None
        items: Any = None
        try:
            items = self._source.items.__aiter__()
            while await self._wait_for_room():
                try:
                    item = await items.__anext__()
                except StopAsyncIteration:
                    break
                tokens = self._make_tokens(item, self._run.visit_of_source())
                with self._run:
                    self._put(tokens)
                del item, tokens
        except BaseException as raised:
            if not (self._is_stopped and isinstance(raised, asyncio.CancelledError)):
                error = raised
        self._is_reading = False
        try:
            if hasattr(items, "aclose"):
                await items.aclose()
        except Exception:  # as core.job.close_generator: its items are wanted no more
            logging.getLogger("poolwise").exception("an input raised an exception as it was closed")
        finally:
            self._run.source_ended(error)

    async def _wait_for_room(self) -> bool:
        while not self._is_stopped:
            self._room.clear()
            with self._run:
                if self._stage.room() > 0:
                    return True
                self._stage.counts.was_full = True
            await self._room.wait()
        return False
