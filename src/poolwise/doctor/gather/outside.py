"""The time in which no pool had work, as far as samples of the threads tell. Pure."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from poolwise.doctor.gather import sums
from poolwise.doctor.gather.causes import classify
from poolwise.doctor.records.run import SAMPLE_INTERVAL_S

if TYPE_CHECKING:
    from poolwise.doctor.gather.sums import Span
    from poolwise.doctor.records.run import Run, Sample

NOT_AT_IT = {"lock", "poll"}
"""Causes by which a thread waits for another one, or to be called."""


def idle_s(run: Run, within: list[Span]) -> float | None:
    """Seconds of these intervals in which the program waited for nothing but itself, or a call.

    Its first thread was at a lock or in an event loop, and no other thread of that process ran,
    read, slept or waited for a child: a server that is told to stop and looks twice a second, say,
    or one that has nothing to do. None where the kernel did not tell what threads wait for.
    """
    root = run.launch.get("root", 0)
    threads = run.samples.get(root, {})
    others = [samples for thread, samples in threads.items() if thread != root]
    looks = [sample for sample in threads.get(root, []) if _is_in(sample.at, within)]
    hidden = sum(classify(look) == "hidden" for look in looks)  # single ones: it was just waking up
    if not looks or hidden > len(looks) / 2:
        return None
    idle = [look for look in looks if _is_waiting(look) and _is_still(look.at, others)]
    return len(idle) / len(looks) * sums.length(within) / 1e9


def complement(spans: list[Span], began: int, ended: int) -> list[Span]:
    """The gaps between two times beside intervals, which are in order and do not overlap."""
    edges = [began, *(min(max(edge, began), ended) for span in spans for edge in span), ended]
    gaps = zip(edges[::2], edges[1::2], strict=True)
    return [(begin, end) for begin, end in gaps if end > begin]


def _is_waiting(look: Sample) -> bool:
    """True if it is at a lock or in an event loop: those use epoll, and reads with a limit poll."""
    return classify(look) == "lock" or any(part in look.channel for part in LOOPS)


LOOPS = ("ep_poll", "epoll")


def _is_in(at: int, spans: list[Span]) -> bool:
    return any(begin <= at <= end for begin, end in spans)


def _is_still(at: int, threads: list[list[Sample]]) -> bool:
    near = (_nearest(at, samples) for samples in threads)
    return all(sample is None or classify(sample) in NOT_AT_IT for sample in near)


def _nearest(at: int, samples: list[Sample]) -> Sample | None:
    """The sample of the same look; None if the thread was not there."""
    index = bisect_left(samples, at, key=lambda sample: sample.at)
    around = samples[max(0, index - 1) : index + 1]
    half_step_ns = SAMPLE_INTERVAL_S * 1e9 / 2  # what lies nearer is of one look
    near = [sample for sample in around if abs(sample.at - at) < half_step_ns]
    return min(near, key=lambda sample: abs(sample.at - at), default=None)
