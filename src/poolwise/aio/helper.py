"""A thread that does for a loop what takes long: submit, pickle, start workers, end them.

What comes back goes to the loop in batches: one wake-up for many results, and no more of them in
one turn of the loop than a moment's work.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

_TURN_S = 0.0005
"""Results are handed out, and calls submitted, so long before the loop has its turn again."""

_PAUSE_S = 1e-4
_FEW = 8
"""The clock is looked at after so many."""


class Pacer:
    """Lets go of the GIL now and then, in a thread that does many small things on end.

    The loop, which wants it for a moment, would else wait 5 ms (the switch interval) for it.
    """

    def __init__(self) -> None:
        self._count = 0
        self._begun_s = 0.0

    def breathe(self) -> None:
        """One thing more was done."""
        self._count += 1
        if self._count % _FEW:
            return
        now_s = time.monotonic()
        if now_s - self._begun_s > _TURN_S:
            time.sleep(_PAUSE_S)
            now_s = time.monotonic()
        self._begun_s = now_s


class Helper:
    """The thread, and the way back to the loop.

    :param loop: the loop that it works for.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._todo: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._back: deque[Callable[[], object]] = deque()
        self._is_called = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="poolwise-aio", daemon=True)
        self._thread.start()

    def do(self, act: Callable[[], object]) -> None:
        """Call this in the thread, after what was given before."""
        self._todo.put(act)

    async def result_of(self, act: Callable[[], Any]) -> Any:
        """Call a function in the thread; its value or its exception."""
        future = self.loop.create_future()

        def call() -> None:
            try:
                value = act()
            except BaseException as error:
                self.tell(set_error, future, error)
            else:
                self.tell(set_value, future, value)

        self.do(call)
        return await future

    def tell(self, act: Callable[..., object], *args: Any) -> None:
        """Call this on the loop, soon; from any thread."""
        self._back.append(lambda: act(*args))
        with self._lock:
            if self._is_called:
                return
            self._is_called = True
        try:
            self.loop.call_soon_threadsafe(self._hand_out)
        except RuntimeError:
            pass  # the loop has ended, and with it whoever waited

    def _hand_out(self) -> None:
        until = time.monotonic() + _TURN_S
        with self._lock:
            self._is_called = False
        while self._back:
            self._back.popleft()()
            if time.monotonic() > until:
                self._go_on()
                return

    def _go_on(self) -> None:
        with self._lock:
            if self._is_called or not self._back:
                return
            self._is_called = True
        self.loop.call_soon(self._hand_out)

    async def end(self) -> None:
        """End the thread, after what it was given."""
        await self.result_of(lambda: None)
        self._todo.put(None)
        self._thread.join()  # it has nothing more to do

    def end_soon(self) -> None:
        """End the thread, whether the loop lives or not."""
        self._todo.put(None)

    def _run(self) -> None:
        pacer = Pacer()
        while (act := self._todo.get()) is not None:
            act()
            del act
            pacer.breathe()


def set_value(future: asyncio.Future[Any], value: Any) -> None:
    """Settle a future that may have been cancelled."""
    if not future.done():
        future.set_result(value)


def set_error(future: asyncio.Future[Any], error: BaseException) -> None:
    """Settle it with an error."""
    if future.done():
        return
    if isinstance(error, StopIteration):  # which a future does not take
        error = RuntimeError(f"the call raised {error!r}")
    future.set_exception(error)
