"""A pool's account as blocks: what its worker-seconds went into, in words and bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poolwise.account.states import CHAIN, STATES, merge
from poolwise.report import blocks as b
from poolwise.report import figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from poolwise.account.ledger import Factor, LaneAccount, Laws, Report
    from poolwise.account.states import Meaning

_ACCEPTABLE, _POOR = 0.8, 0.5
"""Parallel efficiency from 0.8 on is acceptable (POP centre of excellence, co-design.pop-coe.eu);
the lower bound is ours: more is lost than used."""


def name_of(state: str) -> str:
    """Name of a state in charts."""
    return STATES[state].title if state in STATES else state.replace("_", " ")


def meaning_of(state: str) -> Meaning:
    """Colour of a state."""
    return STATES[state].colour if state in STATES else "other"


def name_parts(states: Iterable[tuple[str, float]]) -> list[b.Part]:
    """Parts of a bar, each with the name and the colour of its state."""
    return [b.Part(name_of(state), value_s, meaning_of(state)) for state, value_s in states]


def say_verdict(report: Report) -> b.Verdict:
    """The report's own sentences, coloured by its efficiency."""
    headline, *details = report.verdict()
    efficiency = report.laws.efficiency
    tone: b.Tone = "good" if efficiency >= _ACCEPTABLE else "fair" if efficiency >= _POOR else "bad"
    sites = {function.site for function in report.functions if function.site}
    place = sites.pop() if len(sites) == 1 else ""
    return b.Verdict(headline, tone if report.items else "plain", "POOL", place, details)


def split_worker_time(report: Report) -> b.StackedBar:
    """All worker-seconds by what they went into; waiting by its cause."""
    notes = _note_parent_causes(report.idle)
    states = [state for state in _merge(report.worker_account, report.idle) if state[1]]
    # Shown as one; the page has a table of all.
    small = [state for state in states if abs(state[1]) < 0.005 * report.worker_seconds]
    parts = [
        b.Part(name_of(state), value_s, meaning_of(state), notes.get(state, ""))
        for state, value_s in states
        if (state, value_s) not in small
    ]
    if small:
        names = ", ".join(name_of(state) for state, _ in small)
        parts.append(b.Part("all else", sum(value_s for _, value_s in small), "other", names))
    worker = "worker" if report.workers == 1 else "workers"
    title = f"{report.workers} {worker}, {figures.seconds(report.worker_seconds)} of their time"
    return b.StackedBar(parts, title, "s", report.worker_seconds)


def list_entries(report: Report) -> b.Table:
    """Every entry and every cause of waiting, with what it means."""
    whole_s = max(report.worker_seconds, 1e-9)
    rows: list[list[b.Cell]] = [
        [
            name_of(state),
            value_s,
            value_s / whole_s,
            _explain(state),
        ]
        for state, value_s in _merge(report.worker_account, report.idle)
    ]
    rows.append(["all", report.worker_seconds, 1.0, "the lives of all workers"])
    columns = [b.Column("entry"), b.Column("time", "s"), b.Column("of all", "share"), b.Column("")]
    return b.Table(columns, rows, "The account of the workers", [len(rows) - 1])


def _explain(state: str) -> str:
    return STATES[state].meaning if state in STATES else ""


def split_parent_time(report: Report) -> b.StackedBar:
    """The parent's wall time by what it did."""
    parts = name_parts(_in_order(report.parent))
    return b.StackedBar(parts, "The parent process", "s", report.wall_s)


def compare_lanes(report: Report) -> b.Bars:
    """The parent and each worker on one scale."""
    parent = b.Bar("parent", name_parts(_in_order(report.parent)))
    workers = [
        b.Bar(_label(lane), name_parts(_merge(lane.account, lane.idle))) for lane in report.lanes
    ]
    return b.Bars([parent, *workers], "By process")


def list_losses(whole_s: float, factors: Iterable[Factor], left: str = "useful") -> b.Waterfall:
    """Waterfall from all worker-seconds, factor by factor, to those that are left."""
    losses = [
        b.Part(factor.name, factor.lost_s, CHAIN.get(factor.name, "other"))
        for factor in factors
        if factor.lost_s > 0
    ]
    useful_s = whole_s - sum(loss.value for loss in losses)
    return b.Waterfall(
        b.Part("worker-seconds", whole_s, "other"),
        losses,
        b.Part(left, useful_s, "work"),
        "What was lost on the way",
    )


def list_functions(report: Report) -> b.Table:
    """Table of what each function cost, by where it was called."""
    columns = [
        b.Column("function"), b.Column("called at"), b.Column("items", "count"),
        b.Column("chunks", "count"), b.Column("running", "s"), b.Column("an item", "s"),
        b.Column("overhead of a chunk", "s"), b.Column("sent", "bytes"),
        b.Column("received", "bytes"),
    ]  # fmt: skip
    rows: list[list[b.Cell]] = [
        [
            function.function, function.site or "", function.items, function.chunks,
            function.run_s, function.item_cost_s or function.run_s / max(1, function.items),
            function.chunk_overhead_s, function.bytes_out, function.bytes_in,
        ]
        for function in report.functions
    ]  # fmt: skip
    return b.Table(columns, rows, "Functions")


def list_slowest(report: Report) -> b.Table:
    """The tasks that took longest."""
    columns = [
        b.Column("function"), b.Column("item", "count"), b.Column("took", "s"),
        b.Column("began at", "s"), b.Column("worker"),
    ]  # fmt: skip
    names = {lane.lane: lane.name for lane in report.lanes}
    rows: list[list[b.Cell]] = [
        [slow.function, slow.item, slow.run_s, slow.began_s, names.get(slow.lane, str(slow.lane))]
        for slow in report.slowest
    ]
    return b.Table(columns, rows, "The slowest tasks")


def list_laws(laws: Laws) -> b.Table:
    """Speed-up and its ceiling, as far as this run tells."""
    told: list[tuple[str, float | None, figures.Unit, str]] = [
        ("efficiency", laws.efficiency, "share", "useful part of workers x wall time"),
        ("speed-up", laws.speedup, "", "over the same work in a plain loop"),
        ("ceiling", laws.ceiling, "", "the most that more workers could reach"),
        ("serial fraction", laws.serial_fraction, "share", "of the time the parent is busy"),
    ]
    rows: list[list[b.Cell]] = [
        [name, "not from this run" if value is None else figures.write(value, unit), what]
        for name, value, unit, what in told
    ]
    return b.Table([b.Column(""), b.Column(""), b.Column("")], rows, "Scaling")


def say_identity(report: Report) -> b.Text:
    """Sentence that the sum closes, and under what conditions all this was seen."""
    accounted = 1 - report.unexplained_share()
    words = (
        f"{accounted:.1%} of the workers' time has a name. Level of detail: {report.level}; "
        f"{report.workers} workers on {report.cpus} CPUs, {report.backend}."
    )
    notes = "".join(f"\n\n{note}" for note in report.notes)
    return b.Text(words.replace("%", " %", 1) + notes, is_aside=True)


def _merge(account: Mapping[str, float], idle: Mapping[str, float]) -> Iterable[tuple[str, float]]:
    """Entries and, in place of waiting, its causes; those that lie with the parent as one."""
    merged: dict[str, float] = {}
    for name, value in merge(account, idle).items():
        state = "parent" if name.startswith("parent_") else name
        merged[state] = merged.get(state, 0.0) + value
    return _in_order(merged)


def _in_order(account: Mapping[str, float]) -> Iterable[tuple[str, float]]:
    order = list(STATES)
    known = [(state, account[state]) for state in order if state in account]
    return known + [(name, value) for name, value in account.items() if name not in STATES]


def _note_parent_causes(idle: Mapping[str, float]) -> dict[str, str]:
    """Note on what the parent did while workers waited for it, the longest first."""
    causes = {
        name_of(cause.removeprefix("parent_")): value
        for cause, value in idle.items()
        if cause.startswith("parent_") and value > 0
    }
    longest = sorted(causes.items(), key=lambda pair: -pair[1])
    said = ", ".join(f"{name} {figures.seconds(value)}" for name, value in longest[:3])
    return {"parent": f"which was {said}" if said else ""}


def _label(lane: LaneAccount) -> str:
    return lane.name if lane.lanes == 1 else f"{lane.lanes} that ended"
