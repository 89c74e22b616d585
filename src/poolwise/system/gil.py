"""Share of its time for which a running function holds the GIL, seen from another thread.

A thread that sleeps for a moment and wants to go on has to wait for the lock as long as somebody
holds it: the switch interval (5 ms) beside Python code, not at all beside C code that let it go.
Python code that often lets it go for a moment, to read small files for instance, does not have it
wait long either. So the thread then keeps the lock for a moment itself: C code computes on
meanwhile, Python code stands still at its next step.
What the kernel says that threads waited for a CPU is taken off, so other programs do not disturb
this. The function need not run in a second thread, or twice, to find out.
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
    """Longest time between two: with little CPU the other thread takes longer to go on."""

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

    kept_ns: int = 50_000
    """While the lock is kept for so long, opening and reading a small file (10 us each) is over,
    and an array operation that is worth a thread is not (measured with small files, sqrt of 200,000
    numbers, sha256 and zlib of 200 kB)."""

    most_still: float = 0.5
    """A thread that stood still for less of that moment did not need the lock for the rest."""


KNOCKS = Knocks()


def look(
    is_running: Callable[[], bool],
    is_over: Callable[[], bool],
    cpu_ns: Callable[[], int],
    queued_ns: Callable[[], int],
    sleep: Callable[[float], object] = time.sleep,
) -> float | None:
    """The part of its time that the lock is needed; None if there was no time to find out.

    :param is_running: whether the function runs in the other thread at the moment.
    :param is_over: whether it is worth no more knocks.
    :param cpu_ns: CPU time of that thread. If it got no CPU since the last knock, as happens on a
        busy machine, it has not yet taken the lock back, and this knock says nothing.
    :param queued_ns: its waiting for a CPU. If it wanted none, it waits for something.
    """
    queue = RunQueue()
    waits: list[float] = []
    kept: list[float] = []
    idle = 0
    sleep_s = KNOCKS.sleep_s
    try:
        for _ in range(KNOCKS.tries):
            if idle == KNOCKS.idle:
                return None
            was_running, before_ns, queued_before_ns = is_running(), cpu_ns(), queued_ns()
            wait = _knock(queue, sleep, sleep_s)
            if is_over():
                return None
            spent_ns = cpu_ns() - before_ns
            if (was_running or is_running()) and spent_ns > KNOCKS.progress_ns:
                waits.append(wait)
                share = None if _was_held(wait) else _keep_lock(cpu_ns, queued_ns, sleep)
                kept += [] if share is None else [share]
            elif spent_ns + queued_ns() - queued_before_ns < KNOCKS.progress_ns:
                idle += 1
            else:
                sleep_s = min(2 * sleep_s, KNOCKS.longest_sleep_s)
            held = sum(map(_was_held, waits))
            if held + len(kept) >= KNOCKS.enough or len(waits) >= 3 * KNOCKS.enough:
                # With no CPU to compute on while the lock was kept, only the waits are known.
                share = sum(kept) / len(kept) if kept else 0.0
                return (held + (len(waits) - held) * share) / len(waits)
    finally:
        queue.close()
    return None


def _was_held(wait_s: float) -> bool:
    return wait_s > KNOCKS.held_s


def _keep_lock(
    cpu_ns: Callable[[], int], queued_ns: Callable[[], int], sleep: Callable[[float], object]
) -> float | None:
    """Part of a moment for which the function stood still while this thread had the lock.

    None: it may have stood still for want of a CPU.
    """
    queued_before_ns, before_ns = queued_ns(), cpu_ns()
    begun_ns = time.perf_counter_ns()
    until_ns = begun_ns + KNOCKS.kept_ns
    while time.perf_counter_ns() < until_ns:
        pass
    after_ns, ended_ns = cpu_ns(), time.perf_counter_ns()
    stood_still = 1.0 - (after_ns - before_ns) / (ended_ns - begun_ns)
    if stood_still < KNOCKS.most_still:
        return max(0.0, stood_still)
    for _ in range(KNOCKS.idle):
        sleep(KNOCKS.sleep_s)
        if cpu_ns() != after_ns:  # it runs again: now the kernel has counted its waiting
            waited_ns = queued_ns() - queued_before_ns
            return stood_still if waited_ns < KNOCKS.most_still * KNOCKS.kept_ns else None
    return None


def _knock(queue: RunQueue, sleep: Callable[[float], object], sleep_s: float) -> float:
    """Seconds that this thread waited for the lock, after a sleep."""
    queued_ns, begun_ns = queue.read_ns(), time.perf_counter_ns()
    sleep(sleep_s)
    late_ns = time.perf_counter_ns() - begun_ns - round(sleep_s * 1e9)
    return (late_ns - (queue.read_ns() - queued_ns)) / 1e9
