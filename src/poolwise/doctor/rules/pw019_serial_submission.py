"""PW019: the program waits for each result before it hands out the next task."""

from __future__ import annotations

from dataclasses import replace

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures

LEAST_MESSAGES = 8

ONE_CALL_S = 80e-6
"""Time from the call of our pool to its answer, beside the function (`benchmarks/apply_one.py`)."""

ONE_BY_ONE = ("apply", "submit", "run_in_executor", "to_thread")
"""Calls that hand out a single task."""

AWAITED = ("run_in_executor", "to_thread")

ALONE = 1.05
"""Mean number of tasks outstanding while any was, up to which they count as one at a time."""


class SerialSubmission(PoolRule):
    """Never more than one task is under way: the program waits for each before the next.

    ## What it does

    Counts the tasks that were handed out and not yet answered, at every moment.

    ## Why it costs

    With one task outstanding, one worker works and the others wait: the speed of one process, and
    the cost of sending everything to it.

    ## Example

    ```python
    for option in options:
        prices.append(pool.apply(price, (option,)))          # waits
    for sentence in text:
        out.append(executor.submit(translate, sentence).result())  # waits too
    ```

    ## Use instead

    ```python
    prices = pool.map(price, options)
    out = list(executor.map(translate, text))
    ```

    With asyncio, `await loop.run_in_executor(...)` in a loop waits for each as well; `await
    asyncio.gather(*calls)` starts all of them first.

    If the next task needs the result of the last, there is nothing to run in parallel, and no pool
    is needed.

    ## What is measured

    At least 8 tasks, more than one worker, and never (or in 5 % of the time at most) two tasks
    outstanding.

    ## What would prove it wrong

    The tasks depend on one another, so that they cannot be handed out together.
    """

    code = "PW019"
    name = "serial-submission"
    explains = frozenset(
        {
            "slower-than-serial", "not-worth-a-pool", "io-bound", "mixed-cpu-io",
            "imbalance-chunks", "imbalance-item", "slow-producer", "tasks-too-small",
            "serial-parent",
        }
    )  # fmt: skip

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Count what is outstanding."""
        if pool.messages < LEAST_MESSAGES or pool.slots < 2 or pool.kind == "hand-made":
            return None
        if pool.max_outstanding > 1 and pool.mean_outstanding > ALONE:
            return None
        if any(not each.api.startswith(ONE_BY_ONE) for each in pool.sites):
            return None  # a map hands out all it can: then its input is what is slow
        if pool.is_threads and pool.cores_used > 0.7:
            return None  # one after the other or side by side: the interpreter's lock decides
        ideal_s = measures.parallel_work_s(pool, seen)
        seconds = max(0.0, measures.undisturbed_s(pool) - ideal_s)
        prediction = remedies.predict(pool, pool, seen, pool.active_s - seconds, band=0.4)
        api = pool.sites[0].api if len(pool.sites) == 1 else "apply()"
        text = "hand all tasks out first, then take the results: map(), or imap() as they come"
        if any(each.api.startswith(AWAITED) for each in pool.sites):
            text = "start all calls first and await them together: asyncio.gather(*calls)"
        return self.found(
            pool,
            pool.sites[0].place if len(pool.sites) == 1 else pool.place,
            seconds,
            f"Never more than one task is under way: {api} waits for each result, and "
            f"{pool.slots - 1} of {words.count(pool.slots, 'worker')} are idle",
            [
                Fact("max_outstanding", pool.max_outstanding, "1 task outstanding at most"),
                Fact("messages", pool.messages, words.count(pool.messages, "task")),
                Fact("ideal_s", ideal_s, f"{figures.seconds(ideal_s)} if all workers had tasks"),
            ],
            [remedies.hand_out_first(pool, text, prediction), *self._ours(pool, seen)],
        )

    def _ours(self, pool: Pool, seen: Evidence) -> list[Remedy]:
        """Our pool brings a single answer sooner: that counts where tasks are tiny."""
        then_s = (pool.work_s + pool.messages * ONE_CALL_S) * measures.crowded(pool)
        prediction = remedies.predict(pool, pool, seen, then_s, band=0.4)
        ours = remedies.use_poolwise(pool, "which brings a single answer back sooner")
        return [replace(each, prediction=prediction) for each in ours]
