"""PW005: results so heavy that carrying them back is the work."""

from __future__ import annotations

from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Place, Pool, Site
from poolwise.doctor.evidence.measures import RESULTS, Flow
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import SiteRule
from poolwise.report import figures

LEAST_SHARE = 0.08
"""Least share of the usable worker time, as for arguments (PW004)."""

LEAST_CALM_SHARE = 0.05
"""Least share in the calmest quarter of the messages (PW004): beside other programs, sending
includes waiting for a CPU, one's own and the parent's."""

LEAST_PARENT_SHARE = 0.4
"""Share of the time with work outstanding in the parent's reading thread: beyond that it is
the bottleneck, although no worker waits for it visibly."""

LEAST_ITEM_BYTES = 4096


class PayloadResults(SiteRule):
    """Results are heavy, and bringing them back takes a good part of the time.

    ## What it does

    Weighs what workers return, and adds up what they spend on pickling and writing it and what the
    parent spends on reading and unpickling.

    ## Why it costs

    All results pass one thread of the parent, one after the other. A worker that writes more than
    the pipe holds waits until the parent has read it, with the pipe locked for the others. Four
    megabytes take about 10 ms for the worker and as long again for the parent.

    ## Example

    ```python
    for field in pool.imap_unordered(simulate, range(80)):  # returns 4 MB, of which
        energy.append(field.mean())                         # one number is used
    ```

    ## Use instead

    ```python
    for mean in pool.imap_unordered(simulate_mean, range(80)):  # reduce in the worker
        energy.append(mean)
    # or have the worker write into shared memory or a file, and return where it lies
    ```

    ## What is measured

    Bytes per message on the way back (over 64 KiB), and the share of the usable worker time spent
    on pickling results, waiting for the pipe and writing (over 8 %), or the parent's time in
    reading and unpickling (over 40 % of the time with work outstanding).

    ## What would prove it wrong

    With a function that returns None instead, the call takes as long as before.
    """

    code = "PW005"
    name = "payload-results"
    explains = frozenset(
        {"slower-than-serial", "not-worth-a-pool", "slow-callbacks", "oversubscribed-processes"}
    )

    def judge(self, flow: Flow, where: Place | None, pool: Pool, seen: Evidence) -> Answer | None:
        """Weigh what comes back."""
        message_bytes = measures.per_message(flow, flow.bytes_in)
        item_bytes = measures.per_item(flow, flow.bytes_in)
        if message_bytes < measures.BIG_MESSAGE_BYTES or item_bytes < LEAST_ITEM_BYTES:
            return None
        cost_s, parent_s = measures.spent_s(flow, *RESULTS), self._parent_s(flow, pool)
        share = cost_s / measures.usable_s(flow)
        call_s = max(remedies.call_wall_s(flow, pool), 1e-9)
        is_heavy = share > LEAST_SHARE and not is_cheap_when_calm(flow, pool)
        if not is_heavy and parent_s / call_s < LEAST_PARENT_SHARE:
            return None
        ideal_s = flow.work_s / measures.cpus_for(pool, seen)
        seconds = min(max(cost_s / pool.slots, parent_s), max(0.0, call_s - ideal_s))
        lighter = remedies.predict(flow, pool, seen, call_s - seconds, 0.5)
        type_name = (flow.result_type if isinstance(flow, Site) else None) or "result"
        return self.found(
            pool,
            where,
            seconds,
            f"Results are heavy: each message brings back {figures.size(message_bytes)}; workers "
            f"spend {figures.seconds(cost_s)} on sending, the parent {figures.seconds(parent_s)} "
            "on reading",
            [
                Fact("bytes_in", flow.bytes_in, f"{figures.size(flow.bytes_in)} came back in all"),
                Fact("item_bytes", item_bytes, f"{type_name}: {figures.size(item_bytes)} each"),
                Fact("share", share, f"{figures.share(share)} of the usable worker time"),
                Fact(
                    "parent_s", parent_s, f"{figures.seconds(parent_s)} in the parent's one thread"
                ),
            ],
            [
                Remedy("code", "return less: reduce in the worker", lighter),
                Remedy("share", "write into poolwise.share(...) or a file, return where it lies"),
                *remedies.use_threads_if_free(pool, flow, round(measures.cpus_for(pool, seen))),
            ],
        )

    def _parent_s(self, flow: Flow, pool: Pool) -> float:
        """Reading and unpickling in the parent; a call has its share by bytes."""
        if pool.parent is None:
            return 0.0
        whole_s = pool.parent.read_s + pool.parent.unpickle_s
        return whole_s * (flow.bytes_in / pool.bytes_in if pool.bytes_in else 0.0)


def is_cheap_when_calm(flow: Flow, pool: Pool) -> bool:
    """True if sending results costs little in the calmest quarter of the messages."""
    if pool.costs is None:
        return False
    fixed_s, slope_s = pool.costs.reply_s
    calm_s = fixed_s * flow.messages + slope_s * flow.items
    if pool.costs.calm_reply_bytes_per_s:
        calm_s += flow.bytes_in / pool.costs.calm_reply_bytes_per_s
    return calm_s < LEAST_CALM_SHARE * (calm_s + flow.work_s)
