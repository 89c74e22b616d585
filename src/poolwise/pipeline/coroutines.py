"""Coroutine stages: tasks on one event loop, the run's own in a thread or the consumer's."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from poolwise.doors.coroutines import in_time, tried
from poolwise.pipeline.steps import DROPPED, FLAT_MAP, MAP, TAP, Visit, mark

if TYPE_CHECKING:
    from poolwise.pipeline.flow import Stage, Token
    from poolwise.pipeline.run import Run
    from poolwise.pipeline.spec import Spec


class Coroutines:
    """Executor of a stage: one task an item, as many as its width allows."""

    kind = "async"

    def __init__(self, run: Run, stage: Stage) -> None:
        self._run = run
        self._stage = stage
        self._loop = run.loop
        self._tasks: set[asyncio.Task[None]] = set()
        self._cancelled: set[asyncio.Task[None]] = set()
        self._is_stopped = self._is_called = False
        self._is_opening = self._is_open = False
        self._state: Any = None
        self._room = asyncio.Event()
        self._closed = threading.Event()
        self._closing: asyncio.Task[None] | None = None
        spec = stage.spec
        if spec is None:
            raise AssertionError
        self._spec: Spec = spec
        steps = run.make_visit(stage).steps
        self._rests: dict[int, Visit] = {}
        self._mode = steps[0].mode
        self._keeps_input = steps[0].keeps_input

    # -- under the run's lock, in any thread

    def notice(self) -> None:
        if not self._is_called and not self._is_stopped:
            self._is_called = True
            self._loop.call(self._feed)

    def end(self) -> None:
        self._loop.call(self._close_soon)

    def retire(self) -> None:
        """Refuse: nothing takes over from coroutines."""

    def stop(self) -> None:
        self._is_stopped = True
        self._loop.call(self._cancel_all)

    def join(self, patience_s: float | None) -> None:
        if threading.get_ident() != self._loop.ident:
            self._closed.wait(patience_s)

    async def wait_closed(self) -> None:
        """Wait for the end of all tasks, on their loop."""
        self._cancel_all()
        if self._closing is not None:
            await self._closing

    # -- on the loop

    def _feed(self) -> None:
        self._is_called = False
        self._room.set()
        if not self._is_open:
            self._open()
            return
        stage, now_ns = self._stage, time.perf_counter_ns()
        tokens: list[Token] = []
        with self._run as run:
            free = stage.width - stage.running
            if not self._is_stopped and free > 0:
                tokens = stage.take(1 if self._spec.rate else free, now_ns)
            if stage.waiting and stage.allowed_ns > now_ns:
                self._is_called = True
                run.loop_later(self._feed, (stage.allowed_ns - now_ns) / 1e9)
        for token in tokens:
            self._keep(asyncio.ensure_future(self._work(token)))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _open(self) -> None:
        if not self._is_opening:
            self._is_opening = True
            self._keep(asyncio.ensure_future(self._set_up()))

    async def _set_up(self) -> None:
        try:
            if self._spec.setup is not None:
                self._state = await _awaited(self._spec.setup())
            self._is_open = True
            self._feed()
        except BaseException as error:
            if not self._is_stopped:
                self._run.abort(error, self._stage)

    def _cancel_all(self) -> None:
        for task in self._tasks - self._cancelled:  # once each: they may wait as they clean up
            self._cancelled.add(task)
            task.cancel()
        self._close_soon()

    def _close_soon(self) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())

    async def _close(self) -> None:
        try:
            while self._tasks:
                await asyncio.wait(list(self._tasks))
            if self._is_open and self._spec.teardown is not None:
                arguments = (self._state,) if self._state is not None else ()
                await _awaited(self._spec.teardown(*arguments))
        except BaseException as error:
            self._run.abort(error, self._stage, is_teardown=True)
        finally:
            self._closed.set()

    async def _work(self, token: Token) -> None:
        try:
            await self._work_on(token)
        except BaseException as error:
            if not self._is_stopped:
                self._run.abort(error, self._stage)

    async def _work_on(self, token: Token) -> None:
        begun_ns = time.perf_counter_ns()
        stage = self._stage
        try:
            if self._mode == FLAT_MAP:
                await self._emit_all(token)
                value = DROPPED
            else:
                value = await self._try(token)
                value = self._follow(token, value)
        except BaseException as error:
            if self._is_stopped:
                return  # it was cancelled
            at, item = self._run.place_of(error, stage, token)
            value, raised = self._run.judge(at, token, error, item)
            if raised is not None:
                with self._run:
                    stage.fail(token, raised)
                    self.notice()
                return
        passed_ns = time.perf_counter_ns() - begun_ns
        self._run.measured(stage, [passed_ns], passed_ns, 0)
        with self._run:
            if self._mode == FLAT_MAP:
                stage.finish_many(token, [] if value is DROPPED else [value])
            else:
                stage.finish(token, value)
        if stage.waiting:
            self._feed()

    def _follow(self, token: Token, result: Any) -> Any:
        """Value that goes on: result or item, and what the stages that run here make of it."""
        if self._mode == MAP:
            value = (token.value, result) if self._keeps_input else result
        else:
            value = token.value if self._mode == TAP or result else DROPPED
        return value if value is DROPPED else self._ride(token, value)

    def _ride(self, token: Token, value: Any) -> Any:
        """Apply the stages that this one hosts to a value."""
        count = token.through - self._stage.index - 1
        if not count:
            return value
        rest = self._rests.get(count)
        if rest is None:
            steps = self._run.make_visit(self._stage).steps[1 : count + 1]
            rest = self._rests[count] = Visit(steps, self._run.seed)
        return rest.run(value, token.number)

    def _call(self, value: Any) -> Any:
        call: Any = self._spec.call
        return call(value, self._state) if self._spec.gets_state else call(value)

    async def _try(self, token: Token) -> Any:
        return await self._tried(token, partial(self._call, token.value))

    async def _tried(self, token: Token, attempt: Callable[[], Awaitable[Any]]) -> Any:
        retry = self._spec.retry
        try:
            return await tried(attempt, self._spec.timeout_s, retry.wants, retry.pause_s)
        except BaseException as error:
            mark(error, self._stage.index, token.value)
            raise

    async def _emit_all(self, token: Token) -> None:
        """Pass on what an item becomes; tried again as long as nothing of it was passed on."""
        members = _Members(self._spec.timeout_s)
        try:
            value = await self._tried(token, lambda: members.begin(self._call(token.value)))
            while value is not _END:
                await self._emit(token, value)
                value = await members.next()
        except BaseException as error:
            mark(error, self._stage.index, token.value)
            raise
        finally:
            await members.close()

    async def _emit(self, token: Token, value: Any) -> None:
        if self._keeps_input:
            value = (token.value, value)
        value = self._ride(token, value)
        if value is DROPPED:
            return
        while True:
            self._room.clear()
            with self._run:
                if self._stage.emit(token, value):
                    return
            await self._room.wait()


_END: Any = object()


class _Members:
    """Members of what an item becomes, one by one: of a coroutine's value or an async generator.

    :param limit_s: seconds that the generator may take for all of them.
    """

    def __init__(self, limit_s: float | None) -> None:
        self._left_s = limit_s
        self._values: Any = None
        self._is_async = False

    async def begin(self, values: Any) -> Any:
        """The first member, or ``_END``."""
        await self.close()
        self._is_async = hasattr(values, "__aiter__")
        self._values = values.__aiter__() if self._is_async else iter(await values)
        return await self._step()

    async def next(self) -> Any:
        """The next one, or ``_END``.

        :raises TaskTimeout: they have taken too long in all.
        """
        if self._left_s is None or not self._is_async:
            return await self._step()
        begun_s = time.perf_counter()
        value = await in_time(self._step(), self._left_s)
        self._left_s = max(1e-9, self._left_s - (time.perf_counter() - begun_s))
        return value

    async def _step(self) -> Any:
        if not self._is_async:
            return next(self._values, _END)
        try:
            return await self._values.__anext__()
        except StopAsyncIteration:
            return _END

    async def close(self) -> None:
        """Close the generator."""
        if hasattr(self._values, "aclose"):
            await self._values.aclose()


async def _awaited(value: Any) -> Any:
    return await value if hasattr(value, "__await__") else value
