"""PW014: a native library starts a thread for every CPU, in every worker."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures

LEAST_HELPERS = 0.25
"""CPU time of helper threads, as a share of the CPU time of the task's own thread."""

LEAST_WORK = 0.05
"""Share of the worker time on a CPU: of next to nothing, any helper is a large share."""

TOO_MANY = 1.2
"""Workers x threads, as a multiple of the CPUs."""

LEAST_LOSS = 0.1
"""Least share of the time with work outstanding that is at stake where waiting for a CPU is hidden,
because helper threads that spin use the CPU they keep from others."""


class OversubscribedThreads(PoolRule):
    """Every worker runs a native library's threads, and together they want more CPUs than exist.

    ## What it does

    Counts the threads of each worker, and the CPU time that threads other than the task's own use
    while a task runs: those of a linear algebra or OpenMP library.

    ## Why it costs

    Such a library starts a thread for each CPU and does not know of its neighbours. Eight workers
    with eight threads each make 64 threads for 8 CPUs, which push one another off the CPUs and
    wait at barriers for one that was pushed off.

    ## Example

    ```python
    with Pool() as pool:                    # a worker for every CPU,
        pool.map(multiply, matrices)        # and numpy a thread for every CPU in each
    ```

    ## Use instead

    ```python
    def alone():
        threadpoolctl.threadpool_limits(1)

    with Pool(initializer=alone) as pool:
        pool.map(multiply, matrices)
    ```

    Or set OMP_NUM_THREADS, OPENBLAS_NUM_THREADS, MKL_NUM_THREADS to 1 before the program starts.
    Or let one process use all the threads, and no pool.

    ## What is measured

    Helper threads use more than 25 % of the CPU time of the tasks' own threads, and workers times
    their threads exceed the CPUs by 20 %.

    ## What would prove it wrong

    With OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 the program takes as long.
    """

    code = "PW014"
    name = "oversubscribed-threads"
    is_always_said = True
    explains = frozenset({"oversubscribed-processes", "mixed-cpu-io", "lock-serialised"})

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Compare threads with CPUs."""
        if measures.inner_pools(pool, seen):
            return None
        if pool.is_threads:
            return self._threads(pool, seen)
        threads = max((worker.threads or 1 for worker in pool.workers), default=1)
        cpu_s = measures.spent_s(pool, "run_cpu")
        helpers = pool.helper_cpu_s / max(cpu_s, 1e-9)
        wanted = pool.slots * threads
        if threads < 2 or wanted < TOO_MANY * seen.program.cpus:
            return None
        if helpers < LEAST_HELPERS or cpu_s < LEAST_WORK * pool.worker_seconds:
            return None
        queued_s = measures.spent_s(pool, "run_queued") / pool.slots
        text = "one thread in each worker: threadpoolctl.threadpool_limits(1) in the initializer"
        unset = "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 around the program"
        return self.found(
            pool,
            pool.place,
            max(queued_s, LEAST_LOSS * pool.active_s),
            f"Each of {words.count(pool.slots, 'worker')} runs {threads} threads of a native "
            f"library: {wanted} for {seen.program.cpus:g} CPUs",
            [
                Fact("threads", threads, f"{threads} threads in a worker"),
                Fact("helper_share", helpers, f"helpers add {figures.share(helpers)} of CPU time"),
                Fact("queued_s", queued_s, f"{figures.seconds(queued_s)} ready, without a CPU"),
            ],
            [remedies.limit_threads(pool, text), Remedy("code", unset)],
        )

    def _threads(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Judge a pool of threads: all of them call into one library, which has its own."""
        native = max(seen.program.native_threads.values(), default=0) - pool.slots
        cpu_s, helped_s = measures.spent_s(pool, "run_cpu"), measures.helpers_s(pool, seen)
        helpers = helped_s / max(cpu_s, 1e-9)
        is_full = min(pool.slots, pool.mean_running) * 1.5 >= seen.program.cpus
        if helpers < measures.HELPING or native < 1 or not is_full:
            return None
        lost_s = measures.spent_s(pool, "run_queued", "run_blocked") / pool.slots
        text = "threadpoolctl.threadpool_limits(1) around the pool: one thread a task"
        names = " and ".join(sorted(seen.program.native_threads))
        return self.found(
            pool,
            pool.place,
            max(LEAST_LOSS * pool.active_s, min(lost_s, pool.active_s - cpu_s / pool.slots)),
            f"{words.count(pool.slots, 'thread')} compute with {names}, which has threads of its "
            f"own: all together wait for {seen.program.cpus:g} CPUs, and for each other",
            [
                Fact("threads", native, words.count(native, "more thread") + " in the process"),
                Fact("helper_share", helpers, f"helpers add {figures.share(helpers)} of CPU time"),
                Fact("lost_s", lost_s, f"{figures.seconds(lost_s)} at locks or without a CPU"),
            ],
            [Remedy("code", text)],
        )
