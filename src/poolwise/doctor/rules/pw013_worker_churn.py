"""PW013: workers are replaced so often that replacing them is the work."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures

LEAST_SHARE = 0.1
"""Least share of worker-seconds in which a slot had no worker or one that was not ready."""

ENOUGH = 0.02
"""Share of the time that replacing may cost: the remedy's number of tasks is chosen for that."""


class WorkerChurn(PoolRule):
    """Workers are replaced after so few tasks that their slots stand empty much of the time.

    ## What it does

    Counts the workers that were started for each place in the pool, and how long a place had no
    worker that was ready.

    ## Why it costs

    `maxtasksperchild` ends a worker after that many messages and starts a new one: a fork, or a
    whole interpreter with its imports, and the initializer again. multiprocessing.Pool also looks
    for finished workers only every 0.1 s.

    ## Example

    ```python
    with Pool(2, maxtasksperchild=1) as pool:
        pool.map(convert, documents, chunksize=1)   # a new process for each
    ```

    ## Use instead

    ```python
    with Pool(2, maxtasksperchild=200) as pool:     # often enough against a slow leak
        pool.map(convert, documents)
    ```

    ## What is measured

    More than twice as many starts as places, a limit of tasks per worker, and over 10 % of all
    worker-seconds in replacing.

    ## What would prove it wrong

    Without the limit the call takes as long as before.
    """

    code = "PW013"
    name = "worker-churn"
    explains = frozenset(
        {
            "startup", "not-worth-a-pool", "slower-than-serial", "imbalance-chunks",
            "imbalance-item", "tasks-too-small", "oversubscribed-processes", "slow-callbacks",
            "imports-repeated",
        }
    )  # fmt: skip

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Compare starts with places."""
        if pool.is_threads or not pool.max_tasks_per_child:
            return None
        starts = pool.startup.starts
        lost_s = measures.spent_s(pool, "respawn", *measures.START)
        share = lost_s / max(pool.worker_seconds, 1e-9)
        if starts <= 2 * pool.slots or share < LEAST_SHARE:
            return None
        replaced = starts - pool.slots
        each_s = lost_s / starts
        work_s = measures.per_message(pool, pool.work_s)
        tasks = max(10, round(each_s / ENOUGH / max(work_s, 1e-5), -1))
        text = f"a limit of {tasks:,.0f} tasks or more, or none"
        return self.found(
            pool,
            pool.place,
            lost_s * replaced / starts / pool.slots,
            f"{starts} workers were started for {words.count(pool.slots, 'place')}: each ends "
            f"after {words.count(pool.max_tasks_per_child, 'task')}",
            [
                Fact("starts", starts, words.count(starts, "start")),
                Fact("each_s", each_s, f"{figures.seconds(each_s)} until a new one is ready"),
                Fact("work_per_message_s", work_s, f"{figures.seconds(work_s)} of work a task"),
                Fact("share", share, f"{figures.share(share)} of all worker time"),
            ],
            [remedies.limit_tasks(pool, int(tasks), text)],
        )
