"""PW018: results pile up behind callbacks."""

from __future__ import annotations

from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures

LEAST_SHARE = 0.3
"""Least share of the time with work outstanding, in the thread that handles results."""


class SlowCallbacks(PoolRule):
    """The parent's one result thread spends its time in callbacks, and results pile up behind it.

    ## What it does

    Measures what the thread that takes results in spends between two of them: bookkeeping and your
    callbacks.

    ## Why it costs

    All callbacks of a pool run in one thread, one after the other. If a callback takes 6 ms and a
    task 4, two workers are three times as fast as the thread that stores what they did; and while
    it computes in Python, it holds the interpreter's lock against the thread that hands out.

    ## Example

    ```python
    pool.apply_async(simulate, (run,), callback=store)  # store() takes 6 ms
    ```

    ## Use instead

    ```python
    def simulate_and_store(run):                        # the worker does it
        store(simulate(run))

    pool.apply_async(simulate, (run,), callback=results.append)  # or keep the callback short
    ```

    ## What is measured

    Time between reading a result and reading the next, over 30 % of the time with work outstanding
    and over 0.2 ms a result; results themselves are light (else PW005).

    ## What would prove it wrong

    With an empty callback the program takes as long as before.
    """

    code = "PW018"
    name = "slow-callbacks"
    explains = frozenset(
        {
            "slower-than-serial", "imbalance-chunks", "imbalance-item", "serial-parent",
            "tasks-too-small",
        }
    )  # fmt: skip

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """See what the result thread does."""
        if pool.is_threads or pool.parent is None or measures.is_of_joblib(pool):
            return None
        handle_s = pool.parent.handle_s
        each_s = measures.per_message(pool, handle_s)
        share = handle_s / max(pool.active_s, 1e-9)
        heavy = measures.per_message(pool, pool.bytes_in) > measures.BIG_MESSAGE_BYTES
        if share < LEAST_SHARE or each_s < measures.SLOW_S or heavy:
            return None
        ideal_s = measures.parallel_work_s(pool, seen)
        seconds = min(handle_s, max(0.0, pool.active_s - ideal_s))
        prediction = remedies.predict(pool, pool, seen, pool.active_s - seconds, band=0.4)
        text = "do it in the task, or keep the callback to an append and work when all is done"
        return self.found(
            pool,
            pool.sites[0].place if len(pool.sites) == 1 else pool.place,
            seconds,
            f"Callbacks take {figures.seconds(each_s)} a result in the parent's one result thread, "
            f"{figures.seconds(handle_s)} of {figures.seconds(pool.active_s)}",
            [
                Fact("handle_s", handle_s, f"{figures.seconds(handle_s)} in callbacks"),
                Fact("share", share, f"{figures.share(share)} of the time with work outstanding"),
                Fact(
                    "work_per_message_s",
                    measures.per_message(pool, pool.work_s),
                    f"{figures.seconds(measures.per_message(pool, pool.work_s))} of work a result",
                ),
            ],
            [Remedy("code", text, prediction)],
        )
