"""Measuring of first items: CPU time, waiting, and what it would cost to send them.

Wall time alone cannot tell waiting for a server from waiting for a CPU or for the GIL. Linux says
per thread how long it ran and how long it stood in the run queue; what is left it was blocked.
"""

from __future__ import annotations

import threading
from time import clock_gettime_ns, perf_counter_ns
from typing import Any

from poolwise.system import gil
from poolwise.system.clocks import Reading, read_clocks, thread_clock
from poolwise.system.run_queue import RunQueue
from poolwise.wire.cost import Sending

SEND_NS = 60_000
"""Cost of an item to a pool beside its bytes, there and back; ``benchmarks/pipelines``."""

_FIRST_LOOK_NS = 8_000_000
_CLEARLY = 0.75
"""After so long it is asked whether the first item only waits: for this share of the time."""

_LONG_NS = 5_000_000
"""Items that compute for longer are worth a look at whether they hold the GIL."""


class Gauge:
    """Measures the first items of a stage, which are real work. Used by one thread.

    The first item is left out of the estimate, unless it is all there is: it pays for imports and
    caches.
    """

    def __init__(self) -> None:
        self.items = 0
        self.first_ns = 0
        self.first_blocked_share = 0.0
        self.wall_ns = self.cpu_ns = self.blocked_ns = self.idle_ns = 0
        self.send_ns = 0
        self.look: Look | None = None
        self.is_running = False
        self.clock = 0
        self._sending = Sending()
        self._at: Reading = (0, 0, 0, 0)
        self._queue: RunQueue | None = None  # anew for each item: it is of one thread
        self._thread_id: int | None = None

    def begin(self) -> None:
        """An item is about to run."""
        self._queue = RunQueue()
        self.clock = thread_clock()
        self._at = read_clocks(self._queue)
        self._thread_id = threading.get_native_id()
        self.is_running = True

    def has_blocked(self) -> bool:
        """The very first item runs for a while now, and has used next to no CPU; in any thread.

        Who waits for a server need not be waited for.
        """
        thread_id, at = self._thread_id, self._at
        passed = perf_counter_ns() - at[0]
        if self.items or thread_id is None or passed < _FIRST_LOOK_NS:
            return False
        queue = RunQueue(thread_id)
        cpu, queued = queue.read()
        if not queue.is_known or not cpu:
            return False
        cpu, queued = cpu - at[1], queued - at[3]
        blocked = passed - cpu - queued
        self.first_blocked_share = _share(blocked, cpu)
        self.first_ns = passed
        return self.first_blocked_share >= _CLEARLY and blocked >= _FIRST_LOOK_NS / 2

    def end(self, given: Any, value: Any, held_ns: int = 0) -> None:
        """True once it has run.

        :param held_ns: for so long of it there was no room for its results.
        """
        assert self._queue is not None  # noqa: S101 - begin() came before
        now = read_clocks(self._queue)
        self._queue.close()
        self.is_running = False
        wall, cpu, process, queued = (b - a for a, b in zip(self._at, now, strict=True))
        wall -= held_ns
        blocked = max(0, wall - cpu - queued)
        if self.items == 0:
            self.first_ns = wall
        elif self.items == 1:
            self.wall_ns = self.cpu_ns = self.blocked_ns = self.idle_ns = 0
        self.items += 1
        self.wall_ns += wall
        self.cpu_ns += cpu
        self.blocked_ns += blocked
        self.idle_ns += max(0, blocked - (process - cpu))
        if cpu > SEND_NS:
            self.send_ns = self._cost_of(given, value)
            if self.look is None and cpu > _LONG_NS:
                self.look = Look(self)

    def _cost_of(self, given: Any, value: Any) -> int:
        """Nanoseconds to send items to another process, and results back; by samples."""
        sending = self._sending
        if sending.refused is None:
            sending.sample(given, value)
        if sending.refused is not None:
            return 1 << 62  # it cannot be sent at all
        return SEND_NS + int(1e9 * (sending.send_s or 0.0))

    @property
    def measured(self) -> int:
        """Items that the sums are of."""
        return max(1, self.items - 1)

    @property
    def item_ns(self) -> float:
        """Mean wall time of an item."""
        return self.wall_ns / self.measured

    @property
    def item_cpu_ns(self) -> float:
        """Mean CPU time of an item."""
        return self.cpu_ns / self.measured

    @property
    def blocked_share(self) -> float:
        """Share of the time in which it was blocked; standing in a queue for a CPU does not count.

        So a busy machine does not make what waits look like work.
        """
        return _share(self.blocked_ns, self.cpu_ns)

    @property
    def idle_share(self) -> float:
        """Share of the time in which it was blocked and no other thread of this process ran.

        The rest of what it was blocked it may have waited for the GIL.
        """
        return _share(self.idle_ns, self.cpu_ns)

    def close(self) -> None:
        """End what was begun for measuring."""
        if self.look is not None:
            self.look.is_over = True


def _share(blocked: int, cpu: int) -> float:
    return blocked / (blocked + cpu) if blocked > 0 else 0.0


class Look:
    """A thread that looks whether a stage's items hold the GIL.

    ``held`` is the share of its knocks at which they did (None: not found out yet).
    """

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self.is_over = False
        self.held: float | None = None
        self._thread = threading.Thread(target=self._run, name="poolwise-look", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.held = gil.look(
                lambda: self._gauge.is_running, lambda: self.is_over, self._cpu_ns, self._queued_ns
            )
        except OSError:
            pass  # the thread that ran items has ended

    def _cpu_ns(self) -> int:
        return clock_gettime_ns(self._gauge.clock)

    def _queued_ns(self) -> int:
        return RunQueue(self._gauge._thread_id).read_ns()  # noqa: SLF001 - one module

    def join(self) -> None:
        """Wait for its end, which takes some milliseconds."""
        self._thread.join()
