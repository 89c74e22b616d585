"""PW004: arguments so heavy that carrying them is the work."""

from __future__ import annotations

from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import kinds, measures
from poolwise.doctor.evidence.features import Evidence, Leaf, Place, Pool
from poolwise.doctor.evidence.measures import ARGUMENTS, Flow
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import SiteRule
from poolwise.report import figures

LEAST_SHARE = 0.08
"""Least share of the usable time. A healthy program that sends a megabyte for every 60 ms of work
is at 3 %."""

LEAST_CALM_SHARE = 0.05
"""Least share in the calmest quarter of the messages: beside other programs, reading
and unpickling include waiting for a CPU."""

LEAST_ITEM_BYTES = 4096
"""Smaller items are heavy together because they are many, and then no way of carrying them helps:
that is PW002."""


class PayloadArgs(SiteRule):
    """Arguments are heavy, and pickling, sending and unpickling them takes a good part of the time.

    ## What it does

    Weighs what is sent to the workers, and adds up what the parent pickles, what goes through the
    pipe, and what the workers read and unpickle.

    ## Why it costs

    Each argument is copied about four times: into the pickle, into the pipe, out of it, into a new
    object. A pipe moves half a gigabyte a second; one thread of the parent does all the pickling
    for all workers, so that more of them do not help.

    ## Example

    ```python
    frames = [load(path) for path in paths]      # 4 MB each
    with Pool() as pool:
        means = pool.map(mean_of_frame, frames)  # 1 ms of work for 4 MB of pickle
    ```

    ## Use instead

    ```python
    means = pool.map(mean_of_file, paths)        # the worker reads what it needs
    shared = poolwise.share(stack)               # one copy that every worker sees,
    means = pool.map(mean_of_row, [(shared, row) for row in range(len(stack))])  # and a number
    with ThreadPool() as pool:                   # if the work lets go of the interpreter's lock
        means = pool.map(mean_of_frame, frames)  # (numpy, zlib, hashlib): nothing to send
    ```

    ## What is measured

    Bytes per message (over 64 KiB) and per item (over 4 KiB), and the share of the usable worker
    time that went into waiting for the parent to pickle and write, reading, and unpickling: over
    8 %. A write that blocks while all workers are busy costs nothing and does not count.

    ## What would prove it wrong

    With the same number of arguments, each a few bytes, the call takes as long as before.
    """

    code = "PW004"
    name = "payload-args"
    explains = frozenset({"slower-than-serial", "not-worth-a-pool", "oversubscribed-processes"})

    def judge(self, flow: Flow, where: Place | None, pool: Pool, seen: Evidence) -> Answer | None:
        """Weigh what is sent."""
        message_bytes = measures.per_message(flow, flow.bytes_out)
        item_bytes = measures.per_item(flow, flow.bytes_out)
        cost_s = measures.spent_s(flow, *ARGUMENTS)
        share = cost_s / measures.usable_s(flow)
        if message_bytes < measures.BIG_MESSAGE_BYTES or share < LEAST_SHARE:
            return None
        if item_bytes < LEAST_ITEM_BYTES or is_cheap_when_calm(flow, pool):
            return None
        per_message_s = measures.per_message(flow, cost_s)
        work_s = measures.per_message(flow, flow.work_s)
        return self.found(
            pool,
            where,
            cost_s / pool.slots,
            f"Arguments are heavy: each message carries {figures.size(message_bytes)}, which takes "
            f"{figures.seconds(per_message_s)} to bring over for {figures.seconds(work_s)} of work",
            [
                Fact("bytes_out", flow.bytes_out, f"{figures.size(flow.bytes_out)} sent in all"),
                Fact("item_bytes", item_bytes, f"{figures.size(item_bytes)} an item"),
                Fact("share", share, f"{figures.share(share)} of the usable worker time"),
                *heaviest(flow),
            ],
            self._remedies(flow, pool, seen, cost_s),
        )

    def _remedies(self, flow: Flow, pool: Pool, seen: Evidence, cost_s: float) -> list[Remedy]:
        now_s = remedies.call_wall_s(flow, pool)
        lighter = remedies.predict(flow, pool, seen, max(0.0, now_s - cost_s / pool.slots), 0.5)
        what = "send where the data lies (a path, a row number) and let the worker read it"
        found = [Remedy("code", what, lighter)]
        leaf = max(flow.leaves, key=lambda each: each.size_bytes, default=None)
        if leaf is None or kinds.is_big_data(leaf.type):
            text = "poolwise.share(...): one copy in shared memory, of which tasks get a name"
            found.append(Remedy("share", text, lighter))
        count = round(measures.cpus_for(pool, seen))
        found += remedies.use_threads_if_free(pool, flow, count)
        if flow.work_s < now_s:
            found.append(remedies.use_plain_loop(flow, pool, seen, flow.work_s))
        return found


def heaviest(flow: Flow) -> list[Fact]:
    """The part of the arguments that weighs most, as a fact."""
    leaf: Leaf | None = max(flow.leaves, key=lambda each: each.size_bytes, default=None)
    if leaf is None:
        return []
    title = leaf.parameter or leaf.name
    text = f"{title} is a {leaf.type} of {figures.size(leaf.size_bytes)}"
    return [Fact("heaviest", leaf.name, text)]


def is_cheap_when_calm(flow: Flow, pool: Pool) -> bool:
    """True if bringing arguments over costs little in the calmest quarter of the messages."""
    if pool.costs is None:
        return False
    items = flow.items / max(1, flow.messages)
    steps = (pool.costs.dispatch_s, pool.costs.fetch_s)
    calm_s = sum(fixed_s + slope_s * items for fixed_s, slope_s in steps) * flow.messages
    if pool.costs.calm_send_bytes_per_s:
        calm_s += flow.bytes_out / pool.costs.calm_send_bytes_per_s
    return calm_s < LEAST_CALM_SHARE * (calm_s + flow.work_s)
