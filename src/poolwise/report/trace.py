"""A timeline as a trace file: open it at https://ui.perfetto.dev or in chrome://tracing.

The format is Google's "Trace Event Format", its JSON object form: complete events (``X``) for
spans, flow events (``s``, ``t``, ``f``) from one to the next, counters (``C``), and the names of
processes and threads (``M``). Times are microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poolwise.report.blocks import Timeline

_Event = dict[str, Any]


@dataclass(frozen=True)
class Flow:
    """One thing on its way through several spans (by position): sent, run, received."""

    name: str
    spans: Sequence[int]


@dataclass(frozen=True)
class Counter:
    """An amount over time: pairs of a time and the value from then on."""

    name: str
    points: Sequence[tuple[float, float]]
    unit: str = "bytes"


def render(
    timeline: Timeline,
    flows: Iterable[Flow] = (),
    counters: Iterable[Counter] = (),
    facts: Mapping[str, str] | None = None,
) -> str:
    """The trace as JSON. Groups of lanes are shown as processes, lanes as their threads.

    :param facts: what else to say of the run; Perfetto shows it under "Info and stats".
    """
    places = _place_lanes(timeline)
    events = [
        *_name_places(timeline, places),
        *_list_spans(timeline, places),
        *_list_flows(timeline, flows, places),
        *_list_counters(timeline, counters),
    ]
    trace = {"traceEvents": events, "displayTimeUnit": "ms", "otherData": dict(facts or {})}
    return json.dumps(trace, allow_nan=False, separators=(",", ":"))


def _place_lanes(timeline: Timeline) -> list[tuple[int, int]]:
    """A process and a thread number for each lane.

    Processes count from 1, since 0 is the kernel's; threads from far beyond, since Perfetto takes a
    thread with its process's number for the main thread.
    """
    groups = list(dict.fromkeys(lane.group for lane in timeline.lanes))
    return [(groups.index(lane.group) + 1, 1_000 + at) for at, lane in enumerate(timeline.lanes)]


def _name_places(timeline: Timeline, places: list[tuple[int, int]]) -> Iterable[_Event]:
    named: set[int] = set()
    for lane, (pid, tid) in zip(timeline.lanes, places, strict=True):
        if pid not in named:
            named.add(pid)
            yield _metadata("process_name", pid, pid, name=lane.group or "lanes")
            yield _metadata("process_sort_index", pid, pid, sort_index=pid)
        yield _metadata("thread_name", pid, tid, name=lane.name)
        yield _metadata("thread_sort_index", pid, tid, sort_index=tid)


def _metadata(kind: str, pid: int, tid: int, **args: str | int) -> _Event:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "ts": 0, "args": args}


def _list_spans(timeline: Timeline, places: list[tuple[int, int]]) -> Iterable[_Event]:
    for span in sorted(timeline.spans):
        pid, tid = places[span.lane]
        state = timeline.states[span.state]
        start_us = _micro(span.start_s - timeline.start_s)
        end_us = _micro(span.end_s - timeline.start_s)
        event = {
            "ph": "X",
            "name": state.name,
            "cat": state.meaning,
            "pid": pid,
            "tid": tid,
            "ts": start_us,
            "dur": max(0.0, round(end_us - start_us, 3)),
        }
        if span.label:
            event["args"] = {"what": span.label}
        yield event


def _list_flows(
    timeline: Timeline, flows: Iterable[Flow], places: list[tuple[int, int]]
) -> Iterable[_Event]:
    """Arrows; each end is bound to the span around it, so it points into the middle of one."""
    for number, flow in enumerate(flows, 1):
        last = len(flow.spans) - 1
        for at, position in enumerate(flow.spans):
            span = timeline.spans[position]
            pid, tid = places[span.lane]
            middle_s = (span.start_s + span.end_s) / 2 - timeline.start_s
            event = {
                "ph": "s" if at == 0 else "f" if at == last else "t",
                "name": flow.name,
                "cat": "flow",
                "id": number,
                "pid": pid,
                "tid": tid,
                "ts": _micro(middle_s),
            }
            yield event | ({"bp": "e"} if at == last else {})


def _list_counters(timeline: Timeline, counters: Iterable[Counter]) -> Iterable[_Event]:
    for counter in counters:
        for at_s, value in counter.points:
            yield {
                "ph": "C",
                "name": counter.name,
                "pid": 1,
                "tid": 1,
                "ts": _micro(at_s - timeline.start_s),
                "args": {f"({counter.unit})": value},
            }


def _micro(time_s: float) -> float:
    """Microseconds, to the nanosecond."""
    return round(time_s * 1e6, 3)
