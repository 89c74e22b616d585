"""Causes of blocked time, from the kernel's wait channels that the launcher sampled."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poolwise.doctor.gather.sums import Span
    from poolwise.doctor.records.run import Run, Sample

CAUSES = (
    ("sleep", ("nanosleep",)),
    ("lock", ("futex",)),
    ("pipe", ("pipe", "fifo")),
    ("network", ("sk_", "sock", "tcp", "inet", "unix_", "skb", "udp", "connect", "accept")),
    ("poll", ("poll", "ep_", "select")),
    (
        "disk",
        ("io_schedule", "folio", "ext4", "xfs", "btrfs", "nfs", "jbd2", "wait_on_page", "blk"),
    ),
    ("child", ("do_wait", "wait4", "waitid")),
)
"""Cause -> what stands in the name of the kernel function in which a thread waits for it."""

HIDDEN = {"-", "0"}
"""Placeholders of the kernel for a wait channel that one may not see."""


def classify(sample: Sample) -> str:
    """The cause of one sample: "run" when it was running or ready to."""
    if sample.state == "R":
        return "run"
    if sample.channel in HIDDEN:
        return "hidden"
    for cause, parts in CAUSES:
        if any(part in sample.channel for part in parts):
            return cause
    return "disk" if sample.state == "D" else "other"


def are_visible(run: Run) -> bool:
    """True if the kernel told what sleeping threads wait for."""
    return any(
        sample.channel not in HIDDEN
        for threads in run.samples.values()
        for samples in threads.values()
        for sample in samples
    )


def count_causes(samples: list[Sample], spans: list[Span]) -> Counter[str]:
    """Counts each cause that was seen during intervals, which are in order and do not overlap."""
    begins = [begin for begin, _ in spans]
    found: Counter[str] = Counter()
    for sample in samples:
        index = bisect_right(begins, sample.at) - 1
        if index >= 0 and sample.at <= spans[index][1]:
            found[classify(sample)] += 1
    return found


def share_out(seen: Counter[str], blocked_s: float) -> dict[str, float]:
    """Blocked seconds by cause, in the proportion of the samples that saw a blocked task."""
    blocked = {cause: count for cause, count in seen.items() if cause not in {"run", "hidden"}}
    whole = sum(blocked.values())
    return {cause: blocked_s * count / whole for cause, count in blocked.items()}
