"""What a trace file must be, as far as we use the format.

From "Trace Event Format" (Google, the document that chrome://tracing points to), and stricter where
Perfetto's importer (src/trace_processor/importers/json) is stricter or silently drops an event: a
flow event must lie inside a span of its thread, spans of a thread nest, and a counter is a number.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest

REQUIRED = {
    "M": {"ph", "name", "pid", "tid", "ts", "args"},
    "X": {"ph", "name", "cat", "pid", "tid", "ts", "dur"},
    "C": {"ph", "name", "pid", "tid", "ts", "args"},
    "s": {"ph", "name", "cat", "id", "pid", "tid", "ts"},
    "t": {"ph", "name", "cat", "id", "pid", "tid", "ts"},
    "f": {"ph", "name", "cat", "id", "pid", "tid", "ts", "bp"},
}
OPTIONAL = {"X": {"args"}}
METADATA = {
    "process_name": ("name", str),
    "thread_name": ("name", str),
    "process_sort_index": ("sort_index", int),
    "thread_sort_index": ("sort_index", int),
}


def check_trace(text: str) -> list[dict]:
    """The events of a trace; raises AssertionError where it is not one."""
    trace = json.loads(text, parse_constant=refuse_constant)
    assert set(trace) == {"traceEvents", "displayTimeUnit", "otherData"}
    assert trace["displayTimeUnit"] in {"ms", "ns"}
    assert all(isinstance(fact, str) for fact in trace["otherData"].values())
    events = trace["traceEvents"]
    for event in events:
        check_event(event)
    check_names(events)
    check_nesting(events)
    check_flows(events)
    return events


def refuse_constant(word):
    pytest.fail(f"{word} is not JSON")


def check_event(event):
    phase = event["ph"]
    required = REQUIRED[phase]
    assert required <= event.keys() <= required | OPTIONAL.get(phase, set()), event
    assert all(type(event[key]) is int and event[key] > 0 for key in ("pid", "tid")), event
    assert isinstance(event["ts"], int | float), event
    assert isinstance(event["name"], str), event
    assert event["name"], event
    assert event.get("dur", 0) >= 0, event
    assert event.get("bp", "e") == "e", event
    if phase == "M":
        key, kind = METADATA[event["name"]]
        assert {key: kind} == {name: type(value) for name, value in event["args"].items()}
    if phase == "C":
        assert event["args"], event
        assert all(isinstance(value, int | float) for value in event["args"].values())


def check_names(events):
    """Every process and every thread that has spans says once what it is."""
    for name, keys in (("process_name", ("pid",)), ("thread_name", ("pid", "tid"))):
        named = [tuple(e[k] for k in keys) for e in events if e["name"] == name and e["ph"] == "M"]
        assert len(named) == len(set(named))
        assert {tuple(e[k] for k in keys) for e in events if e["ph"] == "X"} <= set(named)
    owners = {(event["tid"], event["pid"]) for event in events if event["ph"] != "C"}
    assert len({tid for tid, _ in owners}) == len(owners), "a thread of two processes"


def spans_by_thread(events):
    threads: dict[tuple[int, int], list[dict]] = {}
    for event in events:
        if event["ph"] == "X":
            threads.setdefault((event["pid"], event["tid"]), []).append(event)
    return threads


def check_nesting(events):
    """Ours do not even nest: one thread is in one state at a time."""
    for spans in spans_by_thread(events).values():
        assert spans == sorted(spans, key=lambda span: span["ts"])
        for before, after in pairwise(spans):
            assert before["ts"] + before["dur"] <= after["ts"] + 0.0015, (before, after)


def check_flows(events):
    """From `s` over `t` to `f`, forward in time, one name and category, each inside a span."""
    flows: dict[int, list[dict]] = {}
    for event in events:
        if event["ph"] in "stf":
            flows.setdefault(event["id"], []).append(event)
    threads = spans_by_thread(events)
    for hops in flows.values():
        assert re.fullmatch("st*f", "".join(hop["ph"] for hop in hops)), hops
        assert len({(hop["name"], hop["cat"]) for hop in hops}) == 1
        assert all(before["ts"] <= after["ts"] for before, after in pairwise(hops)), hops
        for hop in hops:
            assert is_inside(hop["ts"], threads[hop["pid"], hop["tid"]]), hop


def is_inside(time, spans):
    return any(span["ts"] <= time <= span["ts"] + span["dur"] for span in spans)
