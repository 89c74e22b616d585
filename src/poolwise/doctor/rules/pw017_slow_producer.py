"""PW017: workers wait for the parent to produce their input."""

from __future__ import annotations

from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Place, Pool
from poolwise.doctor.evidence.measures import Flow
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import SiteRule
from poolwise.report import figures

LEAST_WAITING = 0.25
"""Share of the usable worker time spent waiting for the input iterator."""

LEAST_PRODUCING = 0.3
"""Share of the time with work outstanding that the iterator takes."""


class SlowProducer(SiteRule):
    """Workers wait while the parent makes the next item.

    ## What it does

    Lays the time in which workers found nothing to do over what the parent's handing-out thread
    did at that moment. If it was inside your iterator, the input is what is slow.

    ## Why it costs

    Items are made in one thread of one process. If making one takes 6 ms, no pool can do more than
    one in 6 ms, and its workers do the easy part.

    ## Example

    ```python
    def rows():
        for line in file:
            yield parse(line)                # 6 ms each, in the parent

    pool.imap(classify, rows())              # 2 ms each, in the workers
    ```

    ## Use instead

    ```python
    def parse_and_classify(line):            # the worker does both
        return classify(parse(line))

    pool.imap(parse_and_classify, file)
    ```

    ## What is measured

    Workers wait for the iterator more than 25 % of their usable time, and it is running more than
    30 % of the time with work outstanding, at 0.2 ms an item or more. An iterator that itself waits
    for another pool makes a pipeline of the two, and the slower pool is where to look.

    ## What would prove it wrong

    With the items made beforehand (in a list) the call takes as long as before.
    """

    code = "PW017"
    name = "slow-producer"
    explains = frozenset(
        {
            "serial-parent", "slower-than-serial", "imbalance-chunks", "not-worth-a-pool",
            "serial-submission", "tasks-too-small",
        }
    )  # fmt: skip

    def judge(self, flow: Flow, where: Place | None, pool: Pool, seen: Evidence) -> Answer | None:
        """Compare what workers wait for with what the iterator takes."""
        producing_s = pool.parent.generator_s if pool.parent else 0.0
        waiting = measures.share_s(flow, "input_slow")
        item_s = producing_s / max(1, pool.items)
        if waiting < LEAST_WAITING or item_s < measures.SLOW_S or is_a_pipeline(pool, seen):
            return None
        if producing_s < LEAST_PRODUCING * pool.active_s:
            return None
        now_s = remedies.call_wall_s(flow, pool)
        working_s = flow.work_s * measures.crowded(flow)
        moved_s = (working_s + producing_s) / measures.cpus_for(pool, seen)
        prediction = remedies.predict(flow, pool, seen, min(now_s, moved_s))
        text = "make the item in the task: send the line, path or key, and let the worker parse"
        return self.found(
            pool,
            where,
            max(now_s - moved_s, measures.spent_s(flow, "input_slow") / pool.slots / 2),
            f"Workers wait {figures.share(waiting)} of their time for your iterator, which takes "
            f"{figures.seconds(item_s)} an item in the parent",
            [
                Fact("producing_s", producing_s, f"{figures.seconds(producing_s)} in the iterator"),
                Fact("item_s", item_s, f"{figures.seconds(item_s)} to make an item"),
                Fact(
                    "work_per_item_s",
                    measures.per_item(flow, flow.work_s),
                    f"{figures.seconds(measures.per_item(flow, flow.work_s))} to work on it",
                ),
            ],
            [Remedy("code", text, prediction)],
        )


def is_a_pipeline(pool: Pool, seen: Evidence) -> bool:
    """True if another pool of the same process ran beside: the input may come out of it."""
    return any(
        other.id != pool.id and other.pid == pool.pid and measures.overlaps(pool, other)
        for other in seen.pools
        if other.messages
    )
