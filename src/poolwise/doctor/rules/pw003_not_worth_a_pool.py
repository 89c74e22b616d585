"""PW003: so little work that making a pool costs more than it can save."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures

CHEAPEST_POOL_S = 0.03
"""Time to make and stop a small pool of forked workers (15 to 30 ms were measured).
More than that is start-up that can be cured: PW012."""

FEW_MESSAGES = 200


class NotWorthAPool(PoolRule):
    """The whole job is shorter than making and stopping the pool that does it.

    ## What it does

    Compares all the work a pool was given with what it cost to make the pool, start its workers
    and stop them again.

    ## Why it costs

    Even a small pool of forked workers takes 15 to 30 ms from the first line to the last, one of
    spawned workers ten times that. Work of a few milliseconds is done before the first worker is
    ready.

    ## Example

    ```python
    with Pool(4) as pool:
        squares = pool.map(square, range(60))  # 10 microseconds of work
    ```

    ## Use instead

    ```python
    squares = [square(number) for number in range(60)]
    ```

    Or `poolwise.map(square, range(60))`, which measures the first items and takes a pool only if
    it pays. If this is a test with little data, look again with the real amount.

    ## What is measured

    What the pool can save at best (the function's time, less its share on the CPUs there are)
    against what making and stopping a pool takes: what it took here, but 30 ms at most, because a
    slow start is a finding of its own (PW012). Pools made again and again at one place count as
    one that does all their work: if that pays, keeping the pool is the remedy (PW012).

    ## What would prove it wrong

    The plain loop, timed, takes longer than the program's part with the pool.
    """

    code = "PW003"
    name = "not-worth-a-pool"
    explains = frozenset({"startup", "slower-than-serial", "imbalance-chunks", "imbalance-item"})

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Compare what the pool can save with what it costs to have one."""
        if pool.is_threads or pool.messages > FEW_MESSAGES or measures.inner_pools(pool, seen):
            return None
        loop_s, whole_s = measures.plain_loop_s(pool), measures.whole_s(pool)
        overhead_s = measures.having_s(pool)
        if saved_at_best_s(pool, seen) > min(overhead_s, CHEAPEST_POOL_S):
            return None
        if loop_s > 0.5 * whole_s:
            return None  # it pays
        if whole_s > CHEAPEST_POOL_S and overhead_s < 0.5 * (whole_s - loop_s):
            return None  # something else takes the time
        return self.found(
            pool,
            pool.place,
            whole_s - loop_s,
            f"The whole job is {figures.seconds(loop_s)} of work; making, filling and stopping a "
            f"pool for it took {figures.seconds(whole_s)}",
            [
                Fact("loop_s", loop_s, f"{figures.seconds(loop_s)} of work"),
                Fact("overhead_s", overhead_s, f"{figures.seconds(overhead_s)} to start and stop"),
                Fact("items", pool.items, words.count(pool.items, "item")),
            ],
            [remedies.use_plain_loop(pool, pool, seen, loop_s)],
        )


def saved_at_best_s(pool: Pool, seen: Evidence) -> float:
    """Seconds that workers can save: the work of all pools made here, which one could do."""
    pools = [other for other in measures.process_pools(seen) if other.place == pool.place]
    beside = pools if pool.place else [pool]
    return sum(
        measures.plain_loop_s(other) - measures.parallel_work_s(other, seen) for other in beside
    )
