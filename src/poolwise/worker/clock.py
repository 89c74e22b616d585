"""Clock of a worker's main thread, read at the seams of its loop.

What the clock says is cumulative since the worker began, so that an answer which is lost takes
nothing with it. It rides at the head of every ANSWER.
"""

from __future__ import annotations

from time import perf_counter_ns, thread_time_ns

from poolwise.system.run_queue import RunQueue
from poolwise.wire.codec import Reading, Times
from poolwise.worker.stopwatch import Stopwatch, step_of

WAIT, RECEIVE, UNPICKLE, RUN, PICKLE, SEND = range(6)

_SHORT_NS = 50_000
"""While runs are shorter than this their CPU time is not asked for (two system calls, 1 us each):
they count as on CPU. Nor is the run queue asked after a run that was off its CPU for less; and
shorter steps are counted together (1 us a count)."""

_ASLEEP_NS = 200_000
"""The run queue is asked again before a run when the last answer is older than this. So it costs
1 % at most, and what a chunk waited before it is not counted as the chunk's."""


class TaskTimes:
    """The times of the steps of one chunk: a histogram, and the slowest single item.

    :param is_exact: count even the shortest step by itself.
    """

    __slots__ = (
        "_histogram", "_least_ns", "_short_items", "_short_ns", "_slowest_at", "_slowest_end_ns",
        "_slowest_ns", "has_parts", "steps",
    )  # fmt: skip

    def __init__(self, *, is_exact: bool = False) -> None:
        self.steps = 0
        self.has_parts = False
        self._least_ns = 0 if is_exact else _SHORT_NS
        self._histogram: dict[int, int] = {}
        self._short_ns = self._short_items = 0
        self._slowest_at = self._slowest_ns = self._slowest_end_ns = 0

    def add(self, spent_ns: int, first: int, count: int, end_ns: int) -> None:
        """``count`` items, from position ``first`` in the chunk, have taken ``spent_ns``."""
        self.steps += 1
        if spent_ns < self._least_ns:
            self._short_ns += spent_ns
            self._short_items += count
            if self._short_ns >= self._least_ns:
                self._count_short()
            return
        self._count(spent_ns, count)
        if count == 1 and spent_ns > self._slowest_ns:
            self._slowest_at, self._slowest_ns, self._slowest_end_ns = first, spent_ns, end_ns

    def _count(self, spent_ns: int, count: int) -> None:
        step = step_of(spent_ns / count)
        self._histogram[step] = self._histogram.get(step, 0) + count

    def _count_short(self) -> None:
        self._count(self._short_ns, self._short_items)
        self._short_ns = self._short_items = 0

    def plain(self) -> Times | None:
        """As they travel; nothing where the answer's own time says it all."""
        if self.steps == 1 and not self.has_parts:
            return None
        if self._short_items:
            self._count_short()
        return self._slowest_at, self._slowest_ns, self._slowest_end_ns, self._histogram


class NoTimes(TaskTimes):
    """Keeps nothing: the ledger is off."""

    __slots__ = ()

    def add(self, spent_ns: int, first: int, count: int, end_ns: int) -> None:
        pass

    def plain(self) -> None:
        return None


class WorkerClock(Stopwatch):
    """The stopwatch of a worker: states, CPU time, and time without a CPU."""

    __slots__ = (
        "_asked_ns", "_cpu_mark_ns", "_queue", "_queue_mark_ns", "_run_mark_ns",
        "beside_ns", "cpu_ns", "is_long", "run_queued_ns", "wait_queued_ns",
    )  # fmt: skip

    times_of_chunk: type[TaskTimes] = TaskTimes
    """Made anew for each chunk."""

    def __init__(self) -> None:
        super().__init__(6, WAIT)
        self._queue = RunQueue()
        self.cpu_ns = self.run_queued_ns = self.wait_queued_ns = 0
        self.beside_ns = 0
        self.is_long = True
        self._asked_ns = self._queue_mark_ns = 0
        self._run_mark_ns = self._cpu_mark_ns = 0
        self._ask_queue()

    def restart(self, now_ns: int) -> None:
        """The worker is ready: what came before is not waiting."""
        self.totals[WAIT] = 0
        self.at_ns = now_ns

    def _ask_queue(self) -> int:
        """Time without a CPU since it was last asked."""
        before_ns = self._queue_mark_ns
        self._queue_mark_ns = self._queue.read_ns()
        self._asked_ns = perf_counter_ns()
        return max(0, self._queue_mark_ns - before_ns)

    def close(self) -> None:
        """Ask the kernel no more."""
        self._queue.close()

    def begin_run(self) -> None:
        """The function begins: take note of CPU time and run queue as they are."""
        now_ns = self.to(RUN)
        self._run_mark_ns = self.totals[RUN]
        if self.is_long:
            self._cpu_mark_ns = thread_time_ns()
            if now_ns - self._asked_ns > _ASLEEP_NS:
                self.wait_queued_ns += self._ask_queue()

    def end_run(self) -> None:
        """The function is through, for good or until what it gave so far has been sent."""
        self.to(PICKLE)
        run_ns = self.totals[RUN] - self._run_mark_ns
        if not self.is_long:
            self.cpu_ns += run_ns
            self.is_long = run_ns > _SHORT_NS
            return
        cpu_ns = min(run_ns, thread_time_ns() - self._cpu_mark_ns)
        self.cpu_ns += cpu_ns
        if run_ns - cpu_ns > _SHORT_NS:
            self.run_queued_ns += min(run_ns - cpu_ns, self._ask_queue())
        self.is_long = run_ns > _SHORT_NS

    def shift_to_unpickling(self, spent_ns: int) -> None:
        """Part of the run just ended was unpickling: calls that travel as pickles of their own."""
        self.totals[RUN] -= spent_ns
        self.totals[UNPICKLE] += spent_ns
        self.cpu_ns -= min(spent_ns, self.cpu_ns)

    def read(self) -> Reading:
        """Reading that rides on a message which the main thread is about to send."""
        now_ns = self.to(SEND)
        queued = self.run_queued_ns, self.wait_queued_ns
        return Reading._make((now_ns, *self.totals, self.cpu_ns, *queued))

    def read_beside(self) -> Reading:
        """Reading while the function runs, for the thread that answers beside it.

        What the function has used of its CPU is not known here: all of it counts as on CPU until
        the next answer of the main thread says better.
        """
        now_ns = perf_counter_ns()
        totals = self.totals_at(now_ns)
        run_ns = totals[RUN] - self._run_mark_ns if self.state == RUN else 0
        cpu_ns = self.cpu_ns + max(0, run_ns)
        queued = self.run_queued_ns, self.wait_queued_ns
        return Reading._make((now_ns, *totals, cpu_ns, *queued))


NO_READING = Reading(*[0] * 10)


class StoppedClock(WorkerClock):
    """Measures nothing: the ledger is off."""

    __slots__ = ()

    times_of_chunk = NoTimes

    def to(self, state: int) -> int:
        return 0

    def begin_run(self) -> None:
        pass

    def end_run(self) -> None:
        pass

    def read(self) -> Reading:
        return NO_READING

    read_beside = read
