"""Measuring of items while they are run as real work, in the thread that runs them."""

from __future__ import annotations

from time import clock_gettime_ns, perf_counter_ns, process_time_ns, thread_time_ns
from typing import TYPE_CHECKING

from poolwise.choose.limits import LIMITS
from poolwise.choose.model import Measured
from poolwise.system.run_queue import RunQueue
from poolwise.wire.cost import Sending

if TYPE_CHECKING:
    from poolwise.system.clocks import Reading


class Meter:
    """Costs of items, added up over blocks of them; recent blocks weigh more.

    The first item is left out as soon as it turns out to have been the slow one.
    """

    def __init__(self) -> None:
        self._queue: RunQueue | None = None
        self._last_queued_ns = 0
        self.is_quiet = False
        """Call nothing that lets the GIL go (reading a file does): somebody looks who holds it."""
        self._first: tuple[float, ...] | None = None
        self.is_disturbed = False
        """True if all that was measured was disturbed by a thread of ours."""
        self._sums: tuple[float, ...] = (0.0,) * 5
        self.items = 0
        self.sending = Sending()
        self.gil: float | None = None

    def start(self) -> None:
        """From now on items are run in the thread that calls this."""
        self._queue = RunQueue()

    def read(self) -> Reading:
        """The clocks of this thread, now."""
        return perf_counter_ns(), thread_time_ns(), process_time_ns(), self._queued_ns()

    def _queued_ns(self) -> int:
        if self._queue is not None and not self.is_quiet:
            self._last_queued_ns = self._queue.read_ns()
        return self._last_queued_ns

    def read_beside(self, clock: int, *, is_fresh: bool = False) -> Reading:
        """The clocks of the thread that made this, from another one.

        :param clock: of that thread's CPU time (``time.pthread_getcpuclockid``).
        """
        queue = self._queue
        queued_ns = queue.read_ns() if is_fresh and queue is not None else self._queued_ns()
        return perf_counter_ns(), clock_gettime_ns(clock), process_time_ns(), queued_ns

    def add(
        self, items: int, before: Reading, after: Reading, *, is_disturbed: bool = False
    ) -> None:
        """A block of items has been run between two readings.

        :param is_disturbed: a thread of ours was at work beside it; what it waited for the GIL
            would look as if the items waited.
        """
        spent = spent_between(items, before, after)
        self.items += items
        if is_disturbed and self._first is not None:
            return
        if self._first is None or self.is_disturbed:
            self._first, self.is_disturbed = spent, is_disturbed
            return
        kept = (LIMITS.recent_weight * total for total in self._sums) if items else self._sums
        self._sums = tuple(old + new for old, new in zip(kept, spent, strict=True))

    @property
    def is_first(self) -> bool:
        """True if only the first item was measured."""
        return not self._sums[0]

    def measured(self) -> Measured:
        """Costs of one item by all that was seen."""
        first = self._first or (0.0,) * 5
        items, wall, *_ = self._sums
        is_slow = items and first[1] > LIMITS.slow_first * wall / items * first[0]
        is_spent = items and self.items > 2 * first[0]
        sums = self._sums if is_slow or is_spent else self._with_first(first)
        return measured_of(sums, self.items, self.sending.send_s, self.gil)

    def _with_first(self, first: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(a + b for a, b in zip(self._sums, first, strict=True))

    def close(self) -> None:
        """Ask the kernel no more."""
        if self._queue is not None:
            self._queue.close()


def spent_between(items: int, before: Reading, after: Reading) -> tuple[float, ...]:
    """Items, wall without waiting for a CPU, CPU of thread and process; waiting. Seconds."""
    wall, cpu, process, queued = ((b - a) / 1e9 for a, b in zip(before, after, strict=True))
    return float(items), max(wall - queued, cpu, 1e-9), cpu, max(process, cpu), queued


def measured_of(
    sums: tuple[float, ...], count: int, send_s: float | None, gil: float | None
) -> Measured:
    """Costs of one item of sums over some."""
    items, wall, cpu, process, _ = sums
    each = max(1.0, items)
    if gil is not None and gil > LIMITS.gil_is_held:
        wall = min(wall, max(cpu, process) / gil)
    return Measured(count, wall / each, cpu / each, process / each, send_s, gil)
