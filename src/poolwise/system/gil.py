"""Share of its time for which a running function holds the GIL, seen from another thread.

A thread that sleeps for a moment and wants to go on has to wait for the lock as long as somebody
holds it: the switch interval (5 ms) beside Python code, not at all beside C code that let it go.
What the kernel says it waited for a CPU is taken off, so other programs do not disturb this. The
function need not run in a second thread, or twice, to find out.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from poolwise.record import record
from poolwise.system.run_queue import RunQueue


@record
class Knocks:
    """Numbers and times of the knocks; no benchmark has found them."""

    sleep_s: float = 0.001
    """Between two knocks."""

    longest_sleep_s: float = 0.016
    """Where the other thread gets little CPU, it takes longer until it has gone on."""

    enough: int = 5
    """Each makes the working thread hand over the lock once: five are seen in no total."""

    tries: int = 50
    """Knocks in all: between the items of a lazy call the caller does other things."""

    idle: int = 5
    """A thread that wanted no CPU in so many of them waits, and holds no lock meanwhile."""

    progress_ns: int = 300_000
    """CPU time of a thread that went on working between two knocks."""

    held_s: float = 0.00015
    """A wait longer than this is not the kernel's slowness (0.1 ms at most): somebody held it.
    Items that let it go for a moment, to write to a file, seem to hold it less the larger this
    is."""


KNOCKS = Knocks()


def look(
    is_running: Callable[[], bool],
    is_over: Callable[[], bool],
    cpu_ns: Callable[[], int],
    wanted_ns: Callable[[], int],
    sleep: Callable[[float], object] = time.sleep,
) -> float | None:
    """The part of the knocks at which the lock was held; None if there was no time to find out.

    :param is_running: whether the function runs in the other thread at the moment.
    :param is_over: whether it is worth no more knocks.
    :param cpu_ns: CPU time of that thread. If it got no CPU since the last knock, as happens on a
        busy machine, it has not yet taken the lock back, and this knock says nothing.
    :param wanted_ns: that, and its waiting for a CPU. If it wanted none, it waits for something.
    """
    queue = RunQueue()
    waits: list[float] = []
    idle = 0
    sleep_s = KNOCKS.sleep_s
    try:
        for _ in range(KNOCKS.tries):
            if idle == KNOCKS.idle:
                return None
            was_running, before_ns, wanted_before_ns = is_running(), cpu_ns(), wanted_ns()
            wait = _knock(queue, sleep, sleep_s)
            if is_over():
                return None
            if (was_running or is_running()) and cpu_ns() - before_ns > KNOCKS.progress_ns:
                waits.append(wait)
            elif wanted_ns() - wanted_before_ns < KNOCKS.progress_ns:
                idle += 1
            else:
                sleep_s = min(2 * sleep_s, KNOCKS.longest_sleep_s)
            if len(waits) == KNOCKS.enough:
                return sum(wait > KNOCKS.held_s for wait in waits) / KNOCKS.enough
    finally:
        queue.close()
    return None


def _knock(queue: RunQueue, sleep: Callable[[float], object], sleep_s: float) -> float:
    """Seconds that this thread waited for the lock, after a sleep."""
    queued_ns, begun_ns = queue.read_ns(), time.perf_counter_ns()
    sleep(sleep_s)
    late_ns = time.perf_counter_ns() - begun_ns - round(sleep_s * 1e9)
    return (late_ns - (queue.read_ns() - queued_ns)) / 1e9
