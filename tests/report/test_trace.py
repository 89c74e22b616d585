from __future__ import annotations

import json

import pytest

from poolwise.report import blocks as b
from poolwise.report import trace
from tests.report.samples import TIMELINE
from tests.report.trace_format import check_trace


def test_timeline_is_a_valid_trace():
    events = check_trace(trace.render(TIMELINE, facts={"python": "3.11"}))
    assert sum(event["ph"] == "X" for event in events) == len(TIMELINE.spans)


def test_lanes_keep_their_names_groups_and_order():
    events = check_trace(trace.render(TIMELINE))
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert [names[key] for key in sorted(names)] == [lane.name for lane in TIMELINE.lanes]
    groups = [e["args"]["name"] for e in events if e["name"] == "process_name"]
    assert groups == ["parent", "workers"]


def test_times_begin_at_zero_and_keep_their_length():
    timeline = b.Timeline([b.Lane("a")], [b.State("run", "work")], [b.Span(0, 1e6, 1e6 + 0.25, 0)])
    span = next(e for e in check_trace(trace.render(timeline)) if e["ph"] == "X")
    assert (span["ts"], span["dur"]) == (0.0, 250_000.0)


def test_flow_leads_from_span_to_span():
    timeline = b.Timeline(
        [b.Lane("parent", "parent"), b.Lane("worker", "workers")],
        [b.State("send", "move_out"), b.State("run", "work"), b.State("receive", "move_in")],
        [b.Span(0, 0.0, 0.1, 0), b.Span(1, 0.1, 0.5, 1, "item 7"), b.Span(0, 0.5, 0.6, 2)],
    )
    events = check_trace(trace.render(timeline, [trace.Flow("chunk 1", [0, 1, 2])]))
    hops = [event for event in events if event["ph"] in "stf"]
    assert [hop["ph"] for hop in hops] == ["s", "t", "f"]
    assert hops[0]["pid"] == hops[2]["pid"] != hops[1]["pid"]
    assert {event["args"]["what"] for event in events if event.get("cat") == "work"} == {"item 7"}


def test_counter_is_on_the_clock_of_the_spans():
    timeline = b.Timeline([b.Lane("a")], [b.State("run")], [b.Span(0, 5.0, 6.0, 0)])
    counter = trace.Counter("bytes out", [(5.0, 0), (5.5, 1e6)])
    events = check_trace(trace.render(timeline, counters=[counter]))
    assert [e["ts"] for e in events if e["ph"] == "C"] == [0.0, 500_000.0]


def test_empty_timeline_is_a_trace():
    assert check_trace(trace.render(b.Timeline([], [], []))) == []


@pytest.mark.parametrize(
    "change", [{"ph": "Q"}, {"name": ""}, {"dur": -1}, {"pid": 0}, {"color": "red"}, {"tid": 77}]
)
def test_validator_sees_what_is_wrong(change):
    good = json.loads(trace.render(TIMELINE))
    span = next(event for event in good["traceEvents"] if event["ph"] == "X")
    span.update(change)
    with pytest.raises((AssertionError, KeyError)):
        check_trace(json.dumps(good))
