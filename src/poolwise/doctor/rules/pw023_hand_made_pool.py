"""PW023: a pool made by hand of processes and queues."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.gather.sites import library_of
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures


class HandMadePool(PoolRule):
    """Processes and queues make up a pool that the standard library, or we, have ready.

    ## What it does

    Recognises processes with the same target that take work from a queue or a pipe and put results
    into another, and measures how long they wait for work.

    ## Why it costs

    A pool by hand lacks what pools have learnt: a worker that dies leaves its task unanswered and
    the parent waiting for ever; an exception in a task ends a worker or is lost; items travel one
    to a message; handing out in turns lets fast workers wait for slow ones.

    ## Example

    ```python
    workers = [Process(target=serve, args=(requests, answers)) for _ in range(4)]
    ```

    ## Use instead

    ```python
    with poolwise.Pool(4) as pool:                       # or multiprocessing.Pool
        for answer in pool.imap_unordered(handle, jobs): # chunks, errors, dead workers: done
            ...
    ```

    ## What is measured

    Two or more processes with one target and a channel to them. The seconds at stake are those the
    workers waited, outside the work, while there was some.

    ## What would prove it wrong

    The processes keep state between tasks that a pool's initializer could not give them.
    """

    code = "PW023"
    name = "hand-made-pool"
    kind = "advice"
    is_always_said = True
    explains = frozenset(
        {
            "imbalance-chunks", "imbalance-item", "serial-submission", "slower-than-serial",
            "not-worth-a-pool", "slow-producer", "tasks-too-small",
        }
    )  # fmt: skip

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """See whether the pool is one of the program's own making."""
        if pool.kind != "hand-made" or pool.slots < 2 or is_of_a_library(pool):
            return None
        idle_s = measures.spent_s(pool, *measures.SUPPLY, "tail", "parent_decide", "hand_over")
        moving_s = measures.spent_s(pool, *measures.ARGUMENTS, *measures.RESULTS)
        ways = sorted({channel.kind for channel in seen.channels}) or ["channel"]
        text = "poolwise.Pool().imap_unordered(function, jobs): chunks, errors, dead workers"
        return self.found(
            pool,
            pool.place,
            (idle_s + moving_s) / pool.slots,
            f"{words.count(pool.slots, 'process')} and a {' and a '.join(ways)} make a pool by "
            f"hand; its workers wait {figures.share(measures.share_s(pool, *measures.SUPPLY))} of "
            "the time",
            [
                Fact("messages", pool.messages, words.count(pool.messages, "message")),
                Fact("idle_s", idle_s, f"{figures.seconds(idle_s)} of worker time waiting"),
                Fact("moving_s", moving_s, f"{figures.seconds(moving_s)} moving messages"),
            ],
            [Remedy("poolwise", text)],
        )


def is_of_a_library(pool: Pool) -> bool:
    """True if the workers run a library's code: then nobody made this pool by hand."""
    return any(library_of(site.function) for site in pool.sites)
