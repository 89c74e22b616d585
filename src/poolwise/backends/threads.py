"""Lanes that are threads of this process, and one that is the calling thread itself.

Both run chunks as a worker process does (``worker/run.py``); nothing is pickled.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from poolwise.core import contract as c
from poolwise.core.bell import Bell
from poolwise.core.contract import DECIDE
from poolwise.errors import Death
from poolwise.shared import preload
from poolwise.worker.clock import WAIT, StoppedClock, WorkerClock
from poolwise.worker.run import ChunkRun

if TYPE_CHECKING:
    from poolwise.core.job import Chunk


class _Events:
    """An inbox that any thread may put events into."""

    def __init__(self) -> None:
        self._events: deque[c.Event] = deque()
        self._bell = Bell()
        self.phases = c.Phases()

    def put(self, event: c.Event) -> None:
        self._events.append(event)
        self._bell.ring()

    def wait(self, timeout_s: float | None) -> list[c.Event]:
        if not self._events and timeout_s != 0:
            self.phases.rest()
            self._bell.wait(timeout_s)
            self.phases.to(DECIDE)
        self._bell.clear()
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def wake(self) -> None:
        self._bell.ring()


def _as_raised(error: BaseException) -> BaseException:
    return error


def _unless_interrupted(error: BaseException) -> BaseException:
    if isinstance(error, KeyboardInterrupt):
        raise error
    return error


class _Lane:
    """One thread and the chunks it was handed."""

    def __init__(
        self,
        lane_id: int,
        events: _Events,
        describe: Callable[[BaseException], BaseException] = _as_raised,
        *,
        level: str = "chunks",
    ) -> None:
        self.id = lane_id
        self._level = level
        self._events = events
        self._describe = describe
        self._tasks: SimpleQueue[Chunk | None] = SimpleQueue()
        self._state: Mapping[str, Any] | None = None
        self.running: ChunkRun | None = None
        self._is_asked = False
        self.is_left = False

    def serve(self, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
        if not self.initialize(initializer, initargs):
            return
        while (chunk := self._tasks.get()) is not None:
            self.run(chunk)
            del chunk
        self._tell(c.LaneDied(self.id, Death(None, 0), None, self._clock.read()))
        self._clock.close()

    def initialize(
        self, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]
    ) -> bool:
        """Run the initializer and say how it went; the state it leaves is this lane's."""
        served_ns = time.perf_counter_ns()
        try:
            if initializer is not None:
                with preload.used(None):
                    initializer(*initargs)
                    self._state = preload.current()
        except BaseException as error:
            self._tell(c.LaneDied(self.id, Death(None, None), error))
            return False
        self._thread = threading.get_ident()
        ready_ns = time.perf_counter_ns()
        self._clock = StoppedClock() if self._level == "off" else WorkerClock()
        name = threading.current_thread().name
        self._tell(c.LaneReady(self.id, name, os.getpid(), served_ns, served_ns, ready_ns))
        return True

    def run(self, chunk: Chunk) -> None:
        with preload.used(self._state):
            self._run(chunk)

    def _run(self, chunk: Chunk) -> None:
        job = chunk.job
        items = [task.call for task in chunk.items] if job.has_calls else list(chunk.items)
        self.running = ChunkRun(
            chunk.id,
            job.function.call,
            job.mode,
            items,
            job.prompt_ns,
            self._answer,
            self._clock,
            self._describe,
            one_by_one=self._level == "items",
        )
        if self._is_asked or self.is_left:
            self._is_asked = False
            self.running.give_back()
        self.running.run()
        self.running = None
        self._clock.to(WAIT)

    def put(self, chunk: Chunk | None) -> None:
        self._tasks.put(chunk)

    def leave(self) -> None:
        """End after the task that runs: nobody listens any more, a thread cannot be ended."""
        self.is_left = True
        while not self._tasks.empty():
            try:
                self._tasks.get_nowait()
            except Empty:
                break
        if (running := self.running) is not None:
            running.give_back()
        self._tasks.put(None)

    def give_back(self) -> None:
        """Return what has not begun: the rest of the chunk that runs, and those behind it.

        A lane that has yet to begin keeps its first chunk, and cuts it when it does: chunks would
        travel between lanes for as long as the thread that hands them out is faster.
        """
        waiting: list[Chunk | None] = []
        while not self._tasks.empty():
            try:
                waiting.append(self._tasks.get_nowait())
            except Empty:
                break
        running = self.running
        if running is not None:
            running.give_back()
        elif waiting:
            self._is_asked = True
            self._tasks.put(waiting.pop(0))
        for chunk in waiting:
            if chunk is None:
                self._tasks.put(None)
            else:
                self._answer(chunk.id, 0, [], {}, 0, -1, None, last=True)

    def _answer(  # noqa: PLR0913 - one message, unpacked
        self,
        chunk_id: int,
        first: int,
        values: list[Any],
        errors: dict[int, Any],
        run_ns: int,
        returned: int,
        times: tuple[int, int, int, dict[int, int]] | None,
        *,
        last: bool,
    ) -> None:
        is_own = threading.get_ident() == self._thread
        reading = self._clock.read() if is_own else self._clock.read_beside()
        outcome = c.Outcome(first, values, errors, run_ns, 0, returned, last, reading, times)
        self._tell(c.ChunkDone(self.id, chunk_id, outcome))

    def _tell(self, event: c.Event) -> None:
        if not self.is_left:
            self._events.put(event)


class Threads(c.Backend):
    """The back end of thread pools: for work that waits, or releases the GIL.

    A thread cannot be stopped from outside. A lane that is killed (time limit, terminate) is left
    to end by itself, and nobody listens to it any more.
    """

    name = "threads"
    promises = c.Promises(limits_workers=False)
    shares_memory = starts_at_once = True

    def __init__(
        self,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        level: str = "chunks",
    ) -> None:
        self._initializer = initializer
        self._initargs = initargs
        self._level = level
        self._events = _Events()
        self._lanes: dict[int, _Lane] = {}
        self._threads: weakref.WeakValueDictionary[int, threading.Thread] = (
            weakref.WeakValueDictionary()
        )

    @property
    def processes(self) -> list[threading.Thread]:
        """The threads, where users of ``multiprocessing.pool.ThreadPool`` look for them."""
        return [thread for thread in list(self._threads.values()) if thread.is_alive()]

    def open(self, phases: c.Phases) -> _Events:
        self._events.phases = phases
        return self._events

    def start_lane(self, lane: int) -> None:
        made = self._lanes[lane] = _Lane(lane, self._events, level=self._level)
        thread = self._threads[lane] = threading.Thread(
            target=made.serve,
            args=(self._initializer, self._initargs),
            name=f"poolwise-lane-{lane}",
            daemon=True,
        )
        thread.start()

    def send(self, lane: int, chunk: Chunk | None) -> None:
        if chunk is None:
            self._lanes[lane].give_back()
        else:
            self._lanes[lane].put(chunk)

    def stop_lane(self, lane: int, *, kill: bool) -> None:
        held = self._lanes.get(lane)
        if held is None:
            return
        if kill:
            held.leave()
            self._events.put(c.LaneDied(lane, Death(None, None)))
        else:
            held.put(None)

    def close(self) -> None:
        for lane in self._lanes.values():
            lane.leave()
        self._lanes.clear()


class Serial(c.Backend):
    """The back end that runs everything in the thread that waits for it: one lane, no parallelism.

    For debugging (breakpoints work, tracebacks are whole) and for work too small to share. Ctrl-C
    strikes the task that runs, and ends the pool.
    """

    name = "serial"
    promises = c.Promises(limits_workers=False)
    most_lanes = 1
    runs_here = shares_memory = starts_at_once = True

    def __init__(
        self,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        level: str = "chunks",
    ) -> None:
        self._initializer = initializer
        self._initargs = initargs
        self._level = level
        self._events = _Events()
        self._lane = _Lane(0, self._events, _unless_interrupted)
        self._chunks: deque[Chunk] = deque()

    def open(self, phases: c.Phases) -> Serial:
        self._events.phases = phases
        return self

    def start_lane(self, lane: int) -> None:
        self._lane = _Lane(lane, self._events, _unless_interrupted, level=self._level)
        self._lane.initialize(self._initializer, self._initargs)

    def send(self, lane: int, chunk: Chunk | None) -> None:
        if chunk is not None:
            self._chunks.append(chunk)

    def stop_lane(self, lane: int, *, kill: bool) -> None:
        self._events.put(c.LaneDied(lane, Death(None, 0)))

    def close(self) -> None:
        self._chunks.clear()

    def wait(self, timeout_s: float | None) -> list[c.Event]:
        if self._chunks:
            self._events.phases.rest()
            self._lane.run(self._chunks.popleft())
            self._events.phases.to(DECIDE)
            timeout_s = 0
        return self._events.wait(timeout_s)

    def wake(self) -> None:
        self._events.wake()
