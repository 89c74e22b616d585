"""How much of an item's time was CPU and how much was waiting, and what it would cost to send it.

Wall time alone cannot tell waiting for a server from waiting for a CPU or for the GIL. Linux says
per thread how long it ran and how long it stood in the run queue; what is left it was blocked.
"""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from typing import Any

from poolwise.pipeline.steps import size_of
from poolwise.record import record
from poolwise.system.run_queue import RunQueue

SEND_NS = 60_000
"""Cost of an item to a pool beside its bytes, there and back; ``benchmarks/pipelines``."""

_NS_A_BYTE = 1.0
"""Copying and pickling large data, both ways; no benchmark found more than its order."""

_TRIED_BYTES = 1 << 20
"""Larger values are not pickled to find what that costs."""

_FIRST_LOOK_NS = 8_000_000
_CLEARLY = 0.75
"""After so long it is asked whether the first item only waits: for this share of the time."""

_BEAT_S = 0.001


@record
class Reading:
    """Clocks of the calling thread, in ns; ``process`` is the CPU time of all threads."""

    wall: int
    cpu: int
    queued: int
    process: int = 0


def read_clocks(queue: RunQueue) -> Reading:
    """Wall time, CPU time and time in the run queue (0 where the system does not say).

    :param queue: made by the calling thread.
    """
    queued = queue.read_ns()
    return Reading(time.perf_counter_ns(), time.thread_time_ns(), queued, time.process_time_ns())


def read_demand() -> int:
    """CPU time of this process's living threads and what they stood in the run queue for, in ns.

    On a busy machine a process whose threads take turns for the GIL gets less than one CPU; it
    wants one all the same.
    """
    total = 0
    try:
        for thread_id in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread_id}/schedstat", "rb") as file:
                total += sum(map(int, file.read().split()[:2]))
    except (OSError, ValueError):
        return time.process_time_ns()  # a thread has just ended, or it is another system
    return total


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
        self.beat: Beat | None = None
        self._at = Reading(0, 0, 0)
        self._queue: RunQueue | None = None  # anew for each item: it is of one thread
        self._thread_id: int | None = None

    def begin(self) -> None:
        """An item is about to run."""
        if self.beat is not None:
            self.beat.runs += 1
        self._queue = RunQueue()
        self._at = read_clocks(self._queue)
        self._thread_id = threading.get_native_id()

    def has_blocked(self) -> bool:
        """The very first item runs for a while now, and has used next to no CPU; in any thread.

        Who waits for a server need not be waited for.
        """
        thread_id, at = self._thread_id, self._at
        passed = time.perf_counter_ns() - at.wall
        if self.items or thread_id is None or passed < _FIRST_LOOK_NS:
            return False
        try:
            with open(f"/proc/self/task/{thread_id}/schedstat", "rb") as file:
                cpu, queued = map(int, file.read().split()[:2])
        except (OSError, ValueError):
            return False
        cpu, queued = cpu - at.cpu, queued - at.queued
        blocked = passed - cpu - queued
        self.first_blocked_share = _share(blocked, cpu)
        self.first_ns = passed
        return self.first_blocked_share >= _CLEARLY and blocked >= _FIRST_LOOK_NS / 2

    def end(self, given: Any, value: Any, held_ns: int = 0) -> None:
        """It has run.

        :param held_ns: for so long of it there was no room for its results.
        """
        assert self._queue is not None  # noqa: S101 - begin() came before
        now = read_clocks(self._queue)
        self._queue.close()
        if self.beat is not None:
            self.beat.runs += 1
        wall = now.wall - self._at.wall - held_ns
        cpu = now.cpu - self._at.cpu
        blocked = max(0, wall - cpu - (now.queued - self._at.queued))
        if self.items == 0:
            self.first_ns = wall
        elif self.items == 1:
            self.wall_ns = self.cpu_ns = self.blocked_ns = self.idle_ns = 0
        self.items += 1
        self.wall_ns += wall
        self.cpu_ns += cpu
        self.blocked_ns += blocked
        self.idle_ns += max(0, blocked - (now.process - self._at.process - cpu))
        if cpu > SEND_NS:
            self.send_ns = SEND_NS + _cost_of(given) + _cost_of(value)
            if self.beat is None and cpu > 5 * _BEAT_S * 1e9:
                self.beat = Beat()

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
        if self.beat is not None:
            self.beat.stop()


def _share(blocked: int, cpu: int) -> float:
    return blocked / (blocked + cpu) if blocked > 0 else 0.0


class Beat:
    """A thread that wants the GIL every millisecond and notes how late it gets it.

    A function that holds the GIL lets go of it only when its switch interval (5 ms) is over; one
    that releases it does not make this thread wait.
    """

    def __init__(self) -> None:
        self._late = self._beats = 0
        self._is_over = False
        self.runs = 0
        """Counts the beginnings and the ends of items: odd while one runs."""
        self._thread = threading.Thread(target=self._run, name="poolwise-beat", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        limit_s = _BEAT_S + sys.getswitchinterval() / 2
        while not self._is_over:
            at, runs = time.perf_counter(), self.runs
            time.sleep(_BEAT_S)
            if runs % 2 and runs == self.runs:  # one item, all the time
                self._beats += 1
                self._late += time.perf_counter() - at > limit_s

    def stop(self) -> None:
        """End the thread; it takes a millisecond or two."""
        self._is_over = True

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join()

    @property
    def late_share(self) -> float | None:
        """Share of beats that came late; None before there were enough."""
        return self._late / self._beats if self._beats >= 8 else None  # noqa: PLR2004 - a few


def _cost_of(value: Any) -> int:
    """Nanoseconds to send a value to another process, or back."""
    nbytes = size_of(value)
    if nbytes > _TRIED_BYTES:
        return int(nbytes * _NS_A_BYTE)
    begun_ns = time.perf_counter_ns()
    try:
        pickle.dumps(value, protocol=5)
    except Exception:
        return 1 << 62  # it cannot be sent at all
    return 2 * (time.perf_counter_ns() - begun_ns)  # and it is unpickled
