"""PW002: a plain loop would be faster than the pool."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures

CLEARLY = 0.9
"""The loop must win by a tenth: its time is estimated from functions that ran beside others."""

BY_FAR, LIKELY = 0.5, 0.75
"""Shares of the pool's time: a loop below the first one, no load of others explains; below the
second, and the program is not called healthy either."""

LEAST_S = 0.05

MOST_QUEUED = 0.4
"""Share of worker time without a CPU beyond which times in the pool say nothing about a loop."""


class SlowerThanSerial(PoolRule):
    """A plain loop over the same input would be done sooner than the pool is.

    ## What it does

    Adds up the time inside your function over all workers, with the time your input iterator and
    your callbacks take. That is what a plain loop would need. If the pool, with all its workers,
    takes longer, it costs time instead of saving any.

    ## Why it costs

    Every item travels: pickled, written to a pipe, read, unpickled, and its result the same way
    back. Where computing an item takes less time than moving it, no number of workers, no chunk
    size and no faster transport makes up for the journey.

    ## Example

    ```python
    rows = [{"price": 3, "tax": 1} for _ in range(400_000)]
    with Pool() as pool:
        total = sum(pool.map(sum_of_row, rows))  # an addition each, and a dict to carry
    ```

    ## Use instead

    ```python
    total = sum(map(sum_of_row, rows))           # the loop
    # or let workers read their part themselves, and send only where it lies:
    pool.map(sum_of_part, [(path, start, stop) for start, stop in parts])
    ```

    ## What is measured

    The time with work outstanding, without what tasks waited for a CPU, against the sum of the
    function's own time, the iterator's and the callbacks'. Yes, if the loop would take less than
    nine tenths, and another finding does not explain it: tasks too small (PW001), arguments or
    results too heavy (PW004, PW005, PW006), start-up (PW012) each bring their own remedy.

    ## What would prove it wrong

    The plain loop, timed, takes longer than the pool.
    """

    code = "PW002"
    name = "slower-than-serial"

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Compare the pool with a loop."""
        if pool.is_threads or not pool.recorded or measures.inner_pools(pool, seen):
            return None
        queued_s = measures.spent_s(pool, "run_queued")
        pool_s, loop_s = measures.undisturbed_s(pool), measures.plain_loop_s(pool)
        if queued_s > MOST_QUEUED * pool.worker_seconds and loop_s > BY_FAR * pool_s:
            why = (
                f"a plain loop would take {figures.seconds(loop_s)} alone on its CPU, the pool "
                f"took {figures.seconds(pool.active_s)}, but its tasks had no CPU for "
                f"{figures.seconds(queued_s / pool.slots)} of that, and a loop might have had none"
            )
            is_likely = loop_s < LIKELY * pool_s
            return self.cannot_tell(pool.place, why, pool.active_s - loop_s if is_likely else 0.0)
        if pool_s < LEAST_S or loop_s > CLEARLY * pool_s:
            return None
        moving_s = measures.moving_s(pool)
        return self.found(
            pool,
            pool.sites[0].place if len(pool.sites) == 1 else pool.place,
            pool_s - loop_s,
            f"A plain loop would take about {figures.seconds(loop_s)}, the pool took "
            f"{figures.seconds(pool_s)}: moving an item costs more than computing it",
            [
                Fact(
                    "loop_s", loop_s, f"{figures.seconds(pool.work_s)} inside your function in all"
                ),
                Fact("pool_s", pool_s, f"{figures.seconds(pool_s)} with {pool.slots} workers"),
                Fact("moving_s", moving_s, f"{figures.seconds(moving_s)} of worker time to move"),
                Fact("items", pool.items, words.count(pool.items, "item")),
            ],
            [remedies.use_plain_loop(pool, pool, seen, loop_s)],
        )
