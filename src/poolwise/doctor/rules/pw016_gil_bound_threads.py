"""PW016: threads that take turns at the interpreter's lock."""

from __future__ import annotations

from poolwise.doctor import measures, words
from poolwise.doctor.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import PoolRule

MOST_CORES = 1.2
"""CPUs in use by all threads together. With the interpreter's lock held all the time it is one; a
library that lets go of it in between gets further."""

LEAST_DEMAND, MOST_DEMAND = 0.7, 1.75
"""CPUs wanted (running or ready): one thread at a time wants one. Beside other programs a thread
that has just released the lock still waits for its CPU, which adds up to half of one."""

LEAST_RUNNING = 0.5
"""Share of the usable thread time inside the function: else threads wait for tasks."""

BUSY_CPUS = 0.5
"""Other programs' load beyond which a demand above the limit says nothing."""


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
    than waiting for I/O, and all threads together use at most 1.2 CPUs and want about one. Where
    the kernel's view is available: those that stand still wait in a lock.

    ## What would prove it wrong

    With processes the call takes as long, although arguments and results are light.
    """

    code = "PW016"
    name = "gil-bound-threads"
    explains = frozenset({"lock-serialised", "imbalance-chunks", "imbalance-item"})

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Compare threads with the CPUs they use."""
        if not pool.is_threads or pool.slots < 2 or seen.program.cpus < 2 or pool.items < 2:
            return None
        cpu_s, queued_s = (measures.spent_s(pool, name) for name in ("run_cpu", "run_queued"))
        if not self._computes(pool, cpu_s) or pool.cores_used > MOST_CORES:
            return None
        demand = (cpu_s + queued_s) / max(pool.active_s, 1e-9)
        gain_s = cpu_s * (1 - 1 / measures.cpus_for(pool, seen))
        if demand > MOST_DEMAND and (seen.program.other_cpus or 0) > BUSY_CPUS:
            why = (
                f"other programs used {seen.program.other_cpus:.1f} CPUs: whether the threads "
                "waited for them or for the interpreter's lock does not show"
            )
            return self.cannot_tell(pool.place, why, gain_s)
        if not LEAST_DEMAND <= demand <= MOST_DEMAND:
            return None
        return self._found(pool, demand, gain_s)

    def _computes(self, pool: Pool, cpu_s: float) -> bool:
        """Whether several threads want to compute at once, and it is a lock that keeps them."""
        if pool.work_s < LEAST_RUNNING * measures.usable_s(pool) and not is_backlogged(pool):
            return False
        lock = measures.blocked_by_share(pool, "lock")
        blocked_s = measures.spent_s(pool, "run_blocked")
        if lock is not None:
            # What is blocked elsewhere is I/O, during which the lock is free.
            return cpu_s > 0.7 * (pool.work_s - lock * blocked_s)
        return pool.mean_running >= 1.5 or cpu_s > 0.7 * pool.work_s

    def _found(self, pool: Pool, demand: float, gain_s: float) -> Answer:
        return self.found(
            pool,
            pool.place,
            gain_s,
            f"{words.count(pool.slots, 'thread')} make one CPU's worth of progress together "
            f"({pool.cores_used:.2f}): they take turns at the interpreter's lock",
            [
                Fact("cores_used", pool.cores_used, f"{pool.cores_used:.2f} CPUs in use"),
                Fact("demand", demand, f"{demand:.2f} wanted"),
                Fact("mean_running", pool.mean_running, f"{pool.mean_running:.1f} in a task"),
            ],
            [
                Remedy("code", "processes: poolwise.ProcessPoolExecutor has the same interface"),
                Remedy("code", "a library that lets go of the lock (numpy, compiled code)"),
            ],
        )


def is_backlogged(pool: Pool) -> bool:
    """Whether tasks wait in the queue for several times as long as one takes."""
    if pool.queue_wait is None or not pool.items:
        return False
    return pool.queue_wait.p50_s > 3 * pool.work_s / pool.items
