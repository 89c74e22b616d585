"""PW001: tasks so short that handing them out costs more than doing them."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Place, Pool
from poolwise.doctor.evidence.measures import Flow
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import SiteRule
from poolwise.report import figures

SMALL_S = 1e-3
"""A message costs 20 to 300 us to hand out. With 1 ms of work in it, that is bearable."""

LEAST_SHARE = 0.2
"""Least share of the usable time that handing out must cost to be reported."""

LEAST_MESSAGES = 16

SUBMITTING_PACE_S = 0.5e-3
"""Faster than a message every 0.5 ms, workers that find nothing submitted wait for the handing
out itself; slower, for something else that the parent does."""


class TasksTooSmall(SiteRule):
    """Each message to a worker carries less work than it costs to send.

    ## What it does

    Looks at every place that gives work to a pool: how much of your function runs for one message,
    and what that message costs on its way (handing out, pickling, the pipe, waking the worker, the
    answer and its way back).

    ## Why it costs

    A message costs 20 to 300 microseconds of worker time, whatever is in it, and some of the
    parent's, which no number of workers makes shorter. If the function takes 5 microseconds, nearly
    all the time is spent moving tasks, and more workers only queue for the same parent.

    ## Example

    ```python
    pool.imap_unordered(check, numbers)            # chunksize is 1: a message for every number
    pool.map(check, numbers, chunksize=1)
    for number in numbers:
        executor.submit(check, number)
    ```

    ## Use instead

    ```python
    pool.imap_unordered(check, numbers, chunksize=2000)  # one message for 2000 numbers
    poolwise.Pool().map(check, numbers)                  # finds the chunk size by measuring
    [check(number) for number in numbers]                # if all of it takes a moment
    ```

    Let a message carry some milliseconds of work; less than a quarter of a worker's share, so that
    the work can still be spread evenly at the end.

    ## What is measured

    Work per message: the time inside your function, on a CPU or blocked. Cost per message: the
    worker-seconds that were spent waiting for the parent to hand out, moving and unpacking, divided
    by the messages. Yes, if work is under 1 ms, the cost is more than a fifth of the usable time,
    and messages are light (under 64 KiB; heavy ones are PW004 or PW005).

    ## What would prove it wrong

    With ten times the chunk size the call takes as long as before.

    Then something else holds the workers up at the same pace: a slow input iterator, or one lock.
    """

    code = "PW001"
    name = "tasks-too-small"
    explains = frozenset(
        {
            "slower-than-serial", "not-worth-a-pool", "payload-args", "payload-results",
            "imbalance-item", "imbalance-chunks", "slow-producer", "slow-callbacks",
            "oversubscribed-processes", "gil-bound-threads", "serial-submission", "io-bound",
            "mixed-cpu-io", "startup",
        }
    )  # fmt: skip

    def concerns(self, pool: Pool) -> bool:
        """Handing a task to a thread costs too, if less."""
        return bool(pool.messages)

    def judge(self, flow: Flow, where: Place | None, pool: Pool, seen: Evidence) -> Answer | None:
        """Compare a message's work with its cost."""
        if not is_small(flow) or is_about_something_else(flow, pool):
            return None
        overhead_s = handing_out_s(flow, pool)
        share = overhead_s / measures.usable_s(flow)
        if share < LEAST_SHARE:
            return None
        work_s = measures.per_message(flow, flow.work_s)
        cost_s = measures.per_message(flow, overhead_s)
        chunk = remedies.better_chunk(flow, pool, cost_s)
        fewer = 1 - min(1.0, flow.items / chunk / flow.messages)
        room_s = max(0.0, remedies.call_wall_s(flow, pool) - measures.parent_floor_s(pool))
        return self.found(
            pool,
            where,
            min(overhead_s / pool.slots * fewer, room_s),
            f"Tasks are too small: each message carries {figures.seconds(work_s)} of work and "
            f"costs {figures.seconds(cost_s)} of worker time on its way",
            [
                Fact("messages", flow.messages, words.count(flow.messages, "message")),
                Fact("work_per_message_s", work_s, f"{figures.seconds(work_s)} of work in each"),
                Fact("cost_per_message_s", cost_s, f"{figures.seconds(cost_s)} to hand out each"),
                Fact("share", share, f"{figures.share(share)} of the usable worker time"),
            ],
            self._remedies(flow, pool, seen, chunk, cost_s),
        )

    def _remedies(
        self, flow: Flow, pool: Pool, seen: Evidence, chunk: int, cost_s: float
    ) -> list[Remedy]:
        messages = flow.items / chunk
        at_once = 1.0 if pool.is_threads else measures.cpus_for(pool, seen)  # one has the GIL
        work_s = flow.work_s * measures.crowded(flow)
        spread_s = work_s / at_once
        chunked_s = spread_s + cost_s * messages / pool.slots
        prediction = remedies.predict(flow, pool, seen, chunked_s, band=0.4)
        chunked = remedies.set_chunksize(flow, chunk, prediction)
        if pool.kind == "ThreadPoolExecutor":  # its map() takes a chunksize, and ignores it
            chunked = remedies.loop_inside(chunk, prediction)
        loop = remedies.use_plain_loop(flow, pool, seen, work_s)
        ours = remedies.use_poolwise(pool, "which finds the chunk size by measuring")
        is_loop_better = work_s < chunked_s + measures.startup_wall_s(pool)
        return [loop, chunked, *ours] if is_loop_better else [chunked, *ours, loop]


def is_small(flow: Flow) -> bool:
    """True if there are many messages, light ones, with little work in each."""
    heaviest = max(flow.bytes_out, flow.bytes_in)
    return (
        flow.messages >= LEAST_MESSAGES
        and measures.per_message(flow, flow.work_s) < SMALL_S
        and measures.per_message(flow, heaviest) < measures.BIG_MESSAGE_BYTES
    )


def handing_out_s(flow: Flow, pool: Pool) -> float:
    """Worker-seconds that go into handing out: moving, and waiting for a parent busy with it."""
    moving_s = measures.moving_s(flow)
    pace_s = measures.per_message(flow, remedies.call_wall_s(flow, pool))
    if pace_s < SUBMITTING_PACE_S:
        moving_s += measures.spent_s(flow, *measures.NOTHING_SUBMITTED)
    return moving_s


def is_about_something_else(flow: Flow, pool: Pool) -> bool:
    """True if the input iterator, or waiting for each result, is what sets the pace."""
    slow_input = measures.share_s(flow, "input_slow") > 0.5
    one_by_one = pool.max_outstanding <= 1 and measures.per_message(flow, flow.work_s) > 2e-4
    return slow_input or one_by_one
