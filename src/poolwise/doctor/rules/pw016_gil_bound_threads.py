"""PW016: threads that take turns at the interpreter's lock."""

from __future__ import annotations

from dataclasses import replace

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures

MOST_CORES = 1.2
"""CPUs in use by all threads together. With the interpreter's lock held all the time it is one; a
library that lets go of it in between gets further."""

LEAST_IN_LOCK = 0.15
"""Time in locks inside the function, as a multiple of its CPU time. With two threads in a task at a
time that take turns it is one; tasks of 5 ms, the interpreter's switch interval, were seen from
0.25 on; compiled code that lets go of the lock, at 0.07."""

LEAST_DEMAND, MOST_DEMAND = 0.7, 1.6
"""CPUs wanted (running or ready) where locks do not show: one thread at a time wants one."""

LEAST_IDLE = 0.4
"""CPUs that must lie idle, although tasks wait, before a lock that was not seen is suspected."""

ALONE = 1.2
"""Threads in a task at a time, on average, although tasks wait for the others as well."""

QUEUED = 3
"""Tasks that wait, as a multiple of those that run, from which on there is a queue."""

LEAST_RUNNING = 0.5
"""Share of the usable thread time inside the function: else threads wait for tasks."""


class GilBoundThreads(PoolRule):
    """Threads compute in Python, and only one of them can at a time.

    ## What it does

    Compares the number of threads that have a task with the CPUs they use together, and looks at
    what those without a CPU wait for.

    ## Why it costs

    An interpreter (other than a free-threaded one) runs one thread's Python code at a time. Four
    threads that compute take as long as one, and a little longer for passing the lock on. Threads
    help where a task waits, or computes in a library that lets go of the lock.

    ## Example

    ```python
    with ThreadPoolExecutor(4) as pool:
        pool.map(parse, documents)          # pure Python: one at a time
    ```

    ## Use instead

    ```python
    with ProcessPoolExecutor() as pool:     # or poolwise.ProcessPoolExecutor
        pool.map(parse, documents)
    ```

    ## What is measured

    At least two threads have a task or tasks wait in the queue, the function is on a CPU rather
    than waiting for I/O, and all threads together use at most 1.2 CPUs. Then, where the kernel's
    view is available: time in locks inside tasks is at least 15 % of their CPU time. Short tasks
    take turns between tasks instead: threads want about one CPU, and others lie idle, or only one
    thread at a time has a task although more wait in the queue.

    ## What would prove it wrong

    With processes the call takes as long, although arguments and results are light.
    """

    code = "PW016"
    name = "gil-bound-threads"
    explains = frozenset({"lock-serialised", "imbalance-chunks", "imbalance-item"})

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Compare threads with the CPUs they use, and see what the others wait for."""
        if not pool.is_threads or pool.slots < 2 or seen.program.cpus < 2 or pool.items < 2:
            return None
        cpu_s = measures.spent_s(pool, "run_cpu")
        if pool.cores_used > MOST_CORES or not wants_cpus(pool):
            return None
        if measures.waits_for_helpers(pool, seen):
            return None  # a native library computes, with threads of its own and its own locks
        lock = measures.blocked_by_share(pool, "lock")
        lock_s = (lock or 0.0) * measures.spent_s(pool, "run_blocked")
        if cpu_s < 0.7 * (pool.work_s - lock_s):
            return None  # what is blocked elsewhere is I/O, during which the lock is free
        gain_s = cpu_s * (1 - 1 / measures.cpus_for(pool, seen))
        if lock_s > LEAST_IN_LOCK * cpu_s:
            return self._found(pool, lock_s, gain_s, seen)
        return self._unseen(pool, seen, gain_s, lock)

    def _unseen(
        self, pool: Pool, seen: Evidence, gain_s: float, lock: float | None
    ) -> Answer | None:
        """Short tasks take turns between tasks: idle CPUs or threads without a task tell it."""
        idle = seen.program.cpus - (seen.program.other_cpus or 0.0) - pool.cores_used
        if not LEAST_DEMAND <= pool.demand_cpus <= MOST_DEMAND:
            return None
        if idle >= LEAST_IDLE or (is_backlogged(pool) and pool.mean_running < ALONE):
            return self._found(pool, 0.0, gain_s, seen)
        if lock is None:
            why = (
                f"other programs used {seen.program.other_cpus or 0:.1f} CPUs: whether the threads "
                "waited for them or for the interpreter's lock does not show"
            )
            return self.cannot_tell(pool.place, why, gain_s)
        return None

    def _found(self, pool: Pool, lock_s: float, gain_s: float, seen: Evidence) -> Answer:
        work_s = measures.parallel_work_s(pool, seen) * measures.crowded(pool)
        spread_s = max(work_s, pool.active_s - gain_s)
        prediction = remedies.predict(pool, pool, seen, spread_s, band=0.4)
        ours = replace(remedies.use_processes(pool), prediction=prediction)
        return self.found(
            pool,
            pool.place,
            gain_s,
            f"{words.count(pool.slots, 'thread')} make one CPU's worth of progress together "
            f"({pool.cores_used:.2f}): they take turns at the interpreter's lock",
            [
                Fact("cores_used", pool.cores_used, f"{pool.cores_used:.2f} CPUs in use"),
                Fact("demand_cpus", pool.demand_cpus, f"{pool.demand_cpus:.2f} wanted"),
                Fact("lock_s", lock_s, f"{figures.seconds(lock_s)} in locks, inside tasks"),
                Fact("mean_running", pool.mean_running, f"{pool.mean_running:.1f} in a task"),
            ],
            [
                ours,
                Remedy("code", "a library that lets go of the lock (numpy, compiled code)"),
            ],
        )


def wants_cpus(pool: Pool) -> bool:
    """True if several threads have tasks at once, or tasks wait in the queue."""
    is_full = pool.work_s >= LEAST_RUNNING * measures.usable_s(pool)
    return is_backlogged(pool) or (is_full and pool.mean_running >= 1.5)


def is_backlogged(pool: Pool) -> bool:
    """True if tasks wait in the queue for several times as long as one takes.

    Or, which is the same by Little's law, whether several times as many wait as run: a library that
    hands out a few tasks ahead keeps the queue short, and the time of each with it.
    """
    if pool.mean_outstanding > (1 + QUEUED) * pool.mean_running > 0:
        return True
    if pool.queue_wait is None or not pool.items:
        return False
    return pool.queue_wait.p50_s > QUEUED * pool.work_s / pool.items
