"""The records of a run as lanes and spans, for a page and for a trace.

Only messages that were recorded in full stand here; between them, in the dark, a lane is empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from poolwise.account.states import STATES
from poolwise.doctor.records.pools import PoolRecords, assemble
from poolwise.doctor.records.run import Result, Run, Send, Task
from poolwise.report import blocks as b
from poolwise.report import trace

MOST_MESSAGES = 3000
"""Limit on a page, for one pool: more than a browser has pixels. A trace has all."""

_SHOWN = ("start", "wait", "receive", "unpickle", "run", "pickle", "lock", "send", "user_code")
_NUMBERS = {name: number for number, name in enumerate(_SHOWN)}
_LISTED = [b.State(STATES[name].title, STATES[name].colour) for name in _SHOWN]

_Step = tuple[str, int, int]
"""A state with its begin and end, nanoseconds of the run's clock."""


@dataclass
class _Drawing:
    """Lanes and spans as they come up; a span that would overlap the one before is cut."""

    began: int
    lanes: list[b.Lane] = field(default_factory=list)
    spans: list[b.Span] = field(default_factory=list)
    until: int = 0

    def open_lane(self, name: str, group: str) -> None:
        self.lanes.append(b.Lane(name, group))
        self.until = 0

    def add(self, steps: Sequence[_Step], label: str, wanted: str = "") -> int | None:
        """Draw steps in the open lane; the position of the span of the wanted state."""
        found = None
        for state, begin, end in steps:
            begin_at = max(begin, self.until)
            if end <= begin_at:
                continue
            if state == wanted:
                found = len(self.spans)
            self.until = end
            times = (begin_at - self.began) / 1e9, (end - self.began) / 1e9
            self.spans.append(b.Span(len(self.lanes) - 1, *times, _NUMBERS[state], label))
        return found


def draw_pools(run: Run, wanted: set[int]) -> dict[int, b.Timeline]:
    """A timeline of each of these pools, by the pool's number: its first messages."""
    found = {}
    for pool in assemble(run):
        if pool.id not in wanted:
            continue
        drawing = _Drawing(run.launch["began_ns"])
        _draw(drawing, pool, "", MOST_MESSAGES)
        is_cut = pool.count > MOST_MESSAGES
        title = f"The first {MOST_MESSAGES:,} messages" if is_cut else "Who did what when"
        found[pool.id] = b.Timeline(drawing.lanes, _LISTED, drawing.spans, title)
    return found


def render_trace(run: Run) -> str:
    """All pools as one trace for https://ui.perfetto.dev, with arrows along each message's way."""
    drawing = _Drawing(run.launch["began_ns"])
    flows: list[trace.Flow] = []
    for pool in assemble(run):
        kind = pool.kind.rpartition(".")[2]
        flows += _draw(drawing, pool, f" of {kind} {pool.id & 0xFFFF}", None)
    timeline = b.Timeline(drawing.lanes, _LISTED, drawing.spans)
    return trace.render(timeline, flows, facts={"command": " ".join(run.launch["command"])})


def _draw(drawing: _Drawing, pool: PoolRecords, which: str, most: int | None) -> list[trace.Flow]:
    """The parent's two threads and each worker; returns the ways of messages through them."""
    ways: dict[tuple[int, int], list[int]] = {}
    sends, results = pool.sends[:most], pool.results[:most]
    known = {(send.job, send.position) for send in sends} if most else None
    if any(send.sent > send.taken for send in sends):
        drawing.open_lane("handing out", f"parent{which}")
        for send in sends:
            _note(ways, send, drawing.add(_steps_of_send(send), _label(send), "pickle"))
    for worker in pool.workers:
        drawing.open_lane(f"worker {worker.pid}", f"workers{which}")
        drawing.add([("start", worker.launching, worker.first_get)], "")
        for task in worker.tasks:
            if known is None or (task.job, task.position) in known:
                _note(ways, task, drawing.add(list(_steps_of_task(task)), _label(task), "run"))
    if results:
        drawing.open_lane("collecting", f"parent{which}")
        for result in results:
            _note(ways, result, drawing.add(_steps_of_result(result), _label(result), "receive"))
    return [trace.Flow("message", spans) for spans in ways.values() if len(spans) > 1]


def _note(
    ways: dict[tuple[int, int], list[int]], record: Send | Task | Result, span: int | None
) -> None:
    if span is not None:
        ways.setdefault((record.job, record.position), []).append(span)


def _steps_of_send(send: Send) -> list[_Step]:
    return [("pickle", send.taken, send.pickled), ("send", send.pickled, send.sent)]


def _steps_of_task(task: Task) -> Iterator[_Step]:
    yield "wait", task.get, task.header
    yield "receive", task.header, task.payload
    yield "unpickle", task.payload, task.loaded
    yield "run", task.began, task.ended
    yield "pickle", task.pickling, task.wanted
    yield "lock", task.wanted, task.got
    yield "send", task.got, task.sent


def _steps_of_result(result: Result) -> list[_Step]:
    return [
        ("receive", result.header, result.payload),
        ("unpickle", result.payload, result.loaded),
        ("user_code", result.loaded, result.handled),
    ]


def _label(record: Send | Task | Result) -> str:
    items = f", {record.items} items" if record.items > 1 else ""
    return f"message {record.position}{items}"
