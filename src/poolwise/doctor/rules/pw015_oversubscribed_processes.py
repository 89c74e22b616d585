"""PW015: more computing workers than CPUs."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures

TOO_MANY = 1.25
"""Workers as a multiple of the CPUs: one more than there are CPUs does no harm."""

LEAST_QUEUED = 0.25
"""Share of all worker-seconds spent ready to run without a CPU."""

LEAST_CPU = 0.5
"""Share of the function's time on a CPU: workers that wait may well be many."""

SWITCHING = 0.03
"""Share of the time that switching and cold caches cost: an assumption; the finding is more about
memory and start-up than about time."""


class OversubscribedProcesses(PoolRule):
    """More workers compute than there are CPUs to compute on.

    ## What it does

    Compares the workers that want a CPU (of all pools that run at the same time) with the CPUs
    this program may use: its affinity and its control group's quota, not what the machine has.

    ## Why it costs

    Beyond the CPUs, more workers do not compute more: they take turns. Each needs memory, a start,
    its own copy of what the initializer loads, and takes caches from the others. And every timing
    inside a task is inflated, because it includes waiting for a turn.

    ## Example

    ```python
    with Pool(12) as pool:                  # on 2 CPUs
        pool.map(solve, puzzles)
    ```

    ## Use instead

    ```python
    with Pool(len(os.sched_getaffinity(0))) as pool:
        pool.map(solve, puzzles)
    with poolwise.Pool() as pool:           # counts what affinity and quotas leave
        pool.map(solve, puzzles)
    ```

    ## What is measured

    Workers of pools that overlap in time exceed the CPUs by 25 %; more than 25 % of their time is
    spent ready to run without a CPU; the function computes rather than waits. Waiting for a CPU
    that other programs hold does not make this finding by itself.

    ## What would prove it wrong

    With as many workers as CPUs the call takes longer.
    """

    code = "PW015"
    name = "oversubscribed-processes"
    is_always_said = True

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Compare workers with CPUs."""
        if pool.is_threads or measures.inner_pools(pool, seen):
            return None
        cpus = seen.program.cpus
        workers = max(pool.slots, self._beside(pool, seen))
        queued_s = measures.spent_s(pool, "run_queued")
        share = queued_s / max(pool.worker_seconds, 1e-9)
        computing = measures.spent_s(pool, "run_cpu") > LEAST_CPU * pool.work_s
        if workers <= TOO_MANY * cpus or share < LEAST_QUEUED or not computing:
            return None
        count = max(1, int(cpus * pool.slots / workers))
        saved_s = measures.startup_wall_s(pool) * (1 - count / pool.slots)
        return self.found(
            pool,
            pool.place,
            saved_s + SWITCHING * pool.active_s,
            f"{workers} workers compute on {cpus:g} CPUs: {figures.share(share)} of their time "
            "they are ready and have none",
            [
                Fact("workers", workers, words.count(workers, "worker")),
                Fact("cpus", cpus, f"{cpus:g} CPUs for this program"),
                Fact("queued_share", share, f"{figures.share(share)} ready without a CPU"),
                Fact("forced", pool.switches_forced, f"{pool.switches_forced:,} forced switches"),
            ],
            [remedies.set_workers(pool, count, None, why=": as fast, with less memory")],
        )

    def _beside(self, pool: Pool, seen: Evidence) -> int:
        """Most workers of this and of computing pools that there were at any one time."""
        others = [
            other
            for other in measures.process_pools(seen)
            if other.id != pool.id
            and measures.overlaps(pool, other)
            and measures.blocked_share(other) < LEAST_CPU
            and not measures.inner_pools(other, seen)
        ]
        return measures.most_at_once(pool, others)
