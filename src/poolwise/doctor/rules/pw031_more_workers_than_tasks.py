"""PW031: workers were started for which there was no task."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures


class MoreWorkersThanTasks(PoolRule):
    """A pool starts more workers than it ever gets tasks.

    ## What it does

    Compares the workers that a pool started with the items that it got in its whole life.

    ## Why it costs

    An item is never divided: workers beyond the number of items have nothing to do. Each of them
    costs a start all the same, with its imports and its initializer, on CPUs that the others want
    for theirs, and memory for as long as the pool lives. `multiprocessing.Pool` starts all of them
    at once, however little there is to do.

    ## Example

    ```python
    with Pool(16) as pool:
        pool.map(simulate, ["north", "east", "south", "west"])
    ```

    ## Use instead

    ```python
    regions = ["north", "east", "south", "west"]
    with Pool(min(len(regions), os.cpu_count())) as pool:
        pool.map(simulate, regions)
    ```

    `ProcessPoolExecutor` starts workers when there are tasks for them. If there are fewer tasks
    than CPUs, smaller ones use what is left: 16 half regions in place of 4.

    ## What is measured

    Workers that were started, without those that replaced others, and items of all calls. At stake
    is the part of starting the workers that those without an item made up.

    ## What would prove it wrong

    With as many workers as items the pool takes longer to be ready.
    """

    code = "PW031"
    name = "more-workers-than-tasks"
    explains = frozenset(
        {"startup", "imports-repeated", "oversubscribed-processes", "slower-than-serial"}
    )

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Compare workers with items."""
        workers = min(pool.startup.starts, pool.slots)
        if pool.is_threads or pool.deaths or not 0 < pool.items < workers:
            return None
        surplus = (workers - pool.items) / workers
        start_s = measures.having_s(pool) / measures.crowding(seen)
        count = max(1, min(pool.items, int(seen.program.cpus)))
        return self.found(
            pool,
            pool.place,
            surplus * start_s,
            f"{workers} workers were started for {words.count(pool.items, 'item')}: "
            f"{workers - pool.items} of them never had one",
            [
                Fact("workers", workers, words.count(workers, "worker")),
                Fact("items", pool.items, words.count(pool.items, "item")),
                Fact("start_s", start_s, f"{figures.seconds(start_s)} to start and stop them"),
            ],
            [remedies.set_workers(pool, count, None, why=": as many as there is work for")],
        )
