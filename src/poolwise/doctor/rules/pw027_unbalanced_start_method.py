"""PW027: a start method that does not fit the program."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import PoolRule

HANDLERS = 3
"""Threads that a pool of processes keeps in the parent. multiprocessing.Pool has three, and they
run already when its threads are counted; an executor has one, from its first task on."""


class UnbalancedStartMethod(PoolRule):
    """Workers are forked while threads of the program run.

    ## What it does

    Looks at how workers are started and at what the parent looks like at that moment: how many
    threads it runs that belong to no pool.

    ## Why it costs

    A fork copies the memory of a process but only the thread that called it. A lock that another
    thread holds at that moment (in logging, in an allocator, in a database client) stays locked in
    the child for ever: the program hangs once in a thousand runs. Spawn is free of that, but each
    worker imports the main module again (PW032).

    ## Example

    ```python
    reporter = threading.Thread(target=report)
    reporter.start()
    with get_context("fork").Pool() as pool:        # forked with the reporter in full flight
        pool.map(index, volumes)
    ```

    ## Use instead

    ```python
    with get_context("forkserver").Pool() as pool:  # forks from a clean, single-threaded server
        pool.map(index, volumes)
    ```

    Or make the pool before the threads. With spawn: keep the main module light.

    ## What is measured

    With fork: threads of the parent, beyond the main one and those of its pools, when workers were
    started.

    ## What would prove it wrong

    None of the threads ever holds a lock that a task needs.
    """

    code = "PW027"
    name = "unbalanced-start-method"
    kind = "advice"
    is_always_said = True

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Compare the way of starting with the parent."""
        if pool.is_threads or pool.method != "fork":
            return None
        strangers = threads_of_no_pool(pool, seen)
        if strangers < 1:
            return None
        run = "runs" if strangers == 1 else "run"
        text = 'multiprocessing.get_context("forkserver"), or make the pool before the threads'
        return self.found(
            pool,
            pool.place,
            0.0,
            f"Workers are forked while {words.count(strangers, 'other thread')} of the program "
            f"{run}: a lock that one of them holds stays locked in the worker, for ever",
            [
                Fact("threads", strangers, words.count(strangers, "thread") + " of no pool"),
                Fact("method", "fork", "start method: fork"),
            ],
            [Remedy("code", text)],
        )


def threads_of_no_pool(pool: Pool, seen: Evidence) -> int:
    """The parent's threads when it forked, less the main one and those of pools that ran then."""
    if pool.parent_threads is None:
        return 0
    of_pools = sum(
        other.slots if other.is_threads else HANDLERS
        for other in seen.pools
        if other.pid == pool.pid
        and (other.id != pool.id or other.kind == "multiprocessing.Pool")
        and other.created_s <= pool.created_s
        and measures.overlaps(pool, other)
    )
    return pool.parent_threads - 1 - of_pools
