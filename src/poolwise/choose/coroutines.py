"""Coroutines of a call, in an event loop of their own, so many at once as throughput grows by."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from poolwise.choose.ended import Ended
from poolwise.choose.limits import LIMITS
from poolwise.choose.model import Growth, Kind
from poolwise.doors.coroutines import EventLoop, tried
from poolwise.errors import TaskTimeout

if TYPE_CHECKING:
    from poolwise.choose.run import Run

Said = tuple[int, Any, BaseException | None]
"""Position, value and error of an item; a position of -1 says that there are no more."""


class Coroutines:
    """Runs a coroutine function over the items of a call, in a thread with an event loop.

    A thread, because a loop may be running in the caller's, and because values are to be read while
    others are being waited for.
    """

    kind: Kind = "asyncio"

    def __init__(self, run: Run, workers: int | None) -> None:
        first, most = (
            (LIMITS.first_coroutines, LIMITS.most_coroutines)
            if workers is None
            else (workers, workers)
        )
        if workers is None and run.prior is not None and run.prior.kind == self.kind:
            first = min(most, run.prior.workers)
        self.workers = first
        self._run = run
        self._growth = Growth(first, most)
        self._said: SimpleQueue[Said] = SimpleQueue()
        self._early: dict[int, Said] = {}
        self._ready: deque[Said] = deque()
        self._next = self._begun = self._read = 0
        self._is_stopped = False
        self._done = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._loop = EventLoop()
        self._main_task = self._loop.spawn(self._serve())

    # -- the reader

    def next(self) -> Any:
        """The next value.

        :raises Ended: there are no more.
        """
        while not self._ready:
            self._sort_in(self._said.get())
        index, value, error = self._ready.popleft()
        if index < 0:
            self._end_loop()
            if error is not None:
                raise error
            raise Ended
        self._read += 1
        self._tell_of_room()
        return value if error is None else self._run.failed(error)

    def _sort_in(self, said: Said) -> None:
        index = said[0]
        if index < 0 or not self._run.is_ordered:
            self._ready.append(said)
            return
        self._early[index] = said
        while (following := self._early.pop(self._next, None)) is not None:
            self._next += 1
            self._ready.append(following)

    def _tell_of_room(self) -> None:
        if not self._room.is_set() and not self._is_full():
            self._loop.call(self._room.set)

    def review(self) -> None:
        """The loop looks after itself."""

    def close(self, *, kill: bool = False) -> None:
        """Cancel what runs: values are read no further."""
        self._run.plan.runs += self._begun
        self._run.plan.workers = self.workers
        self._is_stopped = True
        self._loop.call(self._cancel_all)
        self._end_loop()

    def _end_loop(self) -> None:
        self._main_task.is_over.wait()
        self._loop.close()

    # -- the loop

    async def _serve(self) -> None:
        error: BaseException | None = None
        try:
            await self._run_all()
        except asyncio.CancelledError:
            pass
        except BaseException as raised:  # the input's, or a fault of ours: the reader raises it
            error = raised
        self._said.put((-1, None, error))

    async def _run_all(self) -> None:
        self._room.set()
        self._growth.begin(0, time.perf_counter())
        self._start(self.workers)
        while self._tasks:
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
            self._tasks -= done
            for task in done:
                task.result()

    def _start(self, count: int) -> None:
        for _ in range(count):
            self._tasks.add(asyncio.ensure_future(self._work()))

    def _cancel_all(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _is_full(self) -> bool:
        return (
            self._run.is_lazy and self._begun - self._read >= LIMITS.coroutines_ahead * self.workers
        )

    async def _work(self) -> None:
        """Take an item, wait for its value, and so on, until there are no more."""
        while not self._is_stopped:
            if self._is_full():
                self._room.clear()
                await self._room.wait()
                continue
            try:
                item = self._run.intake.next()
            except StopIteration:
                return
            index, self._begun = self._begun, self._begun + 1
            await self._settle(index, item)
            self._grow()

    async def _settle(self, index: int, item: Any) -> None:
        try:
            self._said.put((index, await self._await_by_rules(item), None))
        except asyncio.CancelledError:
            if self._is_stopped:
                raise
            self._said.put((index, None, asyncio.CancelledError("the coroutine was cancelled")))
        except BaseException as error:
            self._said.put((index, None, error))

    async def _await_by_rules(self, item: Any) -> Any:
        rules = self._run.options.rules
        again: Any = (TaskTimeout, rules.retry_on)
        return await tried(
            lambda: self._run.call.awaited(item),
            rules.task_timeout_s,
            lambda error, count: count <= rules.retries and isinstance(error, again),
        )

    def _grow(self) -> None:
        self._done += 1
        size = self._growth.observe(self._done, time.perf_counter())
        if size is not None:
            self._start(size - self.workers)
            self.workers = size
