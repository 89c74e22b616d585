"""A pool's chunks over time: the timeline, the arrows of its trace, bytes, times of tasks."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from poolwise.report import blocks as b
from poolwise.report import figures
from poolwise.report.account import meaning_of, name_of
from poolwise.report.trace import Counter, Flow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from poolwise.account.ledger import ChunkSpan, Distribution, Report
    from poolwise.account.states import Meaning


class _States:
    """Numbers for the states as they come up."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}

    def number(self, state: str) -> int:
        return self.found.setdefault(state, len(self.found))

    def listed(self) -> list[b.State]:
        return [b.State(name_of(state), meaning_of(state)) for state in self.found]


def draw_timeline(report: Report) -> b.Timeline:
    """The parent and each worker, state by state."""
    states = _States()
    lanes = [lane for lane in report.lanes if lane.lanes == 1]
    row = {lane.lane: at + 1 for at, lane in enumerate(lanes)}
    spans = [
        b.Span(0, span.begin_s, span.end_s, states.number(span.entry))
        for span in report.parent_spans
        if span.end_s > span.begin_s
    ]
    for lane in lanes:
        if lane.ready_s is not None and lane.ready_s > lane.born_s:
            start = states.number("start")
            spans.append(b.Span(row[lane.lane], lane.born_s, lane.ready_s, start))
    for chunk in report.spans:
        if chunk.lane in row:
            spans += _draw_chunk(chunk, row[chunk.lane], states)
    named = [b.Lane("parent", "parent"), *(b.Lane(lane.name, "workers") for lane in lanes)]
    return b.Timeline(named, states.listed(), spans, _title(report))


def _title(report: Report) -> str:
    title = "Who did what when"
    if report.spans_left_out:
        title += f" (the last {len(report.spans):,} chunks; {report.spans_left_out:,} before them)"
    return title


def _draw_chunk(chunk: ChunkSpan, lane: int, states: _States) -> Iterable[b.Span]:
    items = f"item {chunk.first}"
    if chunk.items > 1:
        items = f"items {chunk.first} to {chunk.first + chunk.items - 1}"
    label = f"{chunk.function}, {items}"
    for entry, begin_s, end_s in chunk.states():
        if entry == "wait":
            yield b.Span(
                lane, begin_s, end_s, states.number(_wait_state(chunk.cause)), _cause(chunk)
            )
        else:
            yield b.Span(lane, begin_s, end_s, states.number(entry), _say_size(entry, label, chunk))


def _wait_state(cause: str) -> str:
    return "parent" if cause.startswith("parent_") else cause


def _cause(chunk: ChunkSpan) -> str:
    doing = chunk.cause.removeprefix("parent_")
    return f"the parent: {name_of(doing)}" if doing != chunk.cause else ""


def _say_size(entry: str, label: str, chunk: ChunkSpan) -> str:
    if entry in {"receive", "unpickle"}:
        return f"{label}, {figures.size(chunk.bytes_out)}"
    if entry in {"pickle", "send"}:
        return f"{label}, {figures.size(chunk.bytes_in)}"
    return label


# -- the arrows of a trace


def list_flows(timeline: b.Timeline) -> list[Flow]:
    """Arrows from the parent's sending over a chunk's running to the parent's receiving.

    Which stretch of the parent's time a chunk was sent in follows from the time: the last one that
    began before the chunk arrived. Where the clocks do not say it, there is no arrow.
    """
    named = {at: state.name for at, state in enumerate(timeline.states)}
    sent = _parent_spans(timeline, {name_of("send"), name_of("pickle")}, named)
    received = _parent_spans(timeline, {name_of("receive"), name_of("unpickle")}, named)
    flows = []
    for at, span in enumerate(timeline.spans):
        if span.lane and named[span.state] == name_of("run"):
            before = bisect_right(sent, span.start_s, key=lambda pair: pair[0]) - 1
            after = bisect_left(received, span.end_s, key=lambda pair: pair[0])
            hops = [sent[before][1]] if before >= 0 else []
            hops += [at]
            hops += [received[after][1]] if after < len(received) else []
            if len(hops) > 1:
                flows.append(Flow(span.label, hops))
    return flows


def _parent_spans(
    timeline: b.Timeline, names: set[str], named: dict[int, str]
) -> list[tuple[float, int]]:
    """(middle, position) of the parent's spans in one of these states, by time."""
    return sorted(
        ((span.start_s + span.end_s) / 2, at)
        for at, span in enumerate(timeline.spans)
        if span.lane == 0 and named[span.state] in names
    )


def count_bytes(report: Report) -> list[Counter]:
    """Bytes to and from the workers so far, over time."""
    return [Counter(line.name, list(zip(line.x, line.y, strict=True))) for line in _lines(report)]


# -- curves


def draw_bytes(report: Report) -> b.Curve:
    """Chart of bytes to and from the workers over time."""
    return b.Curve(
        b.Axis("time since the pool was made", "s"),
        b.Axis("bytes so far", "bytes"),
        _lines(report),
        "Bytes over time",
    )


def _lines(report: Report) -> list[b.Line]:
    sent = sorted((span.received_s, span.bytes_out) for span in report.spans)
    received = sorted((span.sent_s, span.bytes_in) for span in report.spans)
    return [
        _sum_up("to the workers", sent, "move_out"),
        _sum_up("from the workers", received, "start"),
    ]


def _sum_up(name: str, amounts: list[tuple[float, int]], meaning: Meaning) -> b.Line:
    total, x, y = 0, [], []
    for at_s, size in amounts:
        total += size
        x.append(at_s)
        y.append(float(total))
    # More points than pixels show nothing more.
    step = max(1, len(x) // 2_000)
    return b.Line(
        name,
        [*x[:-1:step], *x[-1:]],
        [*y[:-1:step], *y[-1:]],
        meaning=meaning,
        is_stepped=True,
    )


# -- how long tasks took


def draw_task_times(times: Distribution, title: str = "How long tasks took") -> b.Histogram:
    """The distribution over steps that grow, so that outliers are in the picture."""
    low = max(1e-9, min((step[0] for step in times.histogram if step[1] > 0), default=1e-9))
    high = max(max((step[1] for step in times.histogram), default=low), low * 1.3)
    bins = min(32, max(6, len(times.histogram)))
    edges = [low * (high / low) ** (at / bins) for at in range(bins + 1)]
    marks = [b.Mark("median", times.p50_s), b.Mark("99 in 100", times.p99_s)]
    return b.Histogram(
        edges,
        _count_between(edges, times.histogram),
        title + ("" if times.is_exact else ", short ones by the mean of a few"),
        marks=[*marks, b.Mark("longest", times.max_s)],
        is_log=True,
    )


def _count_between(edges: Sequence[float], steps: Iterable[tuple[float, float, int]]) -> list[int]:
    """Each step counts where its middle lies."""
    counts = [0] * (len(edges) - 1)
    for low, high, number in steps:
        middle = math.sqrt(max(low, edges[0]) * high)
        counts[min(len(counts) - 1, max(0, bisect_right(edges, middle) - 1))] += number
    return counts
