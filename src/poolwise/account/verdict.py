"""A report in plain sentences, the most important first. Pure: a report in, strings out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poolwise.account.states import STATES, merge
from poolwise.quantities import say_bytes, say_seconds, say_share

if TYPE_CHECKING:
    from poolwise.account.ledger import Report

_WORTH_SAYING = 0.03
"""Losses below this share of all worker-seconds are not spoken of; the table has them."""


def say(report: Report) -> list[str]:
    """Sentences on what matters in this report, the most important first."""
    total_s = open_worker_seconds(report)
    if not report.chunks or total_s <= 0:
        return ["No task has been run yet."]
    return [
        _headline(report, total_s),
        *_losses(report, total_s),
        *_speed(report),
        *_slowest(report),
        *_limits(report, total_s),
        _residual(report),
    ]


def open_worker_seconds(report: Report) -> float:
    """Worker-seconds while a call was open, places that stood empty included."""
    idle_s = report.worker_account.get("no_job", 0.0)
    return report.worker_seconds - idle_s + report.not_started_s


def losses(report: Report) -> dict[str, float]:
    """Worker-seconds that did not compute, by state, largest first."""
    spent = {**merge(report.worker_account, report.idle), "not_started": report.not_started_s}
    lost = {name: abs(spent.get(name, 0.0)) for name, state in STATES.items() if state.phrase}
    return dict(sorted(lost.items(), key=lambda pair: pair[1], reverse=True))


def _headline(report: Report, total_s: float) -> str:
    computed_s = report.worker_account.get("run_cpu", 0.0)
    return (
        f"Of {say_seconds(total_s)} of worker time, {say_seconds(computed_s)} computed "
        f"({say_share(computed_s / total_s)}): {_count(report.items, 'item')} in "
        f"{_count(report.chunks, 'chunk')} on {_count(report.workers, 'worker')}, calls were open "
        f"for {say_seconds(report.open_s)}."
    )


def _losses(report: Report, total_s: float) -> list[str]:
    worth = [
        (name, lost_s)
        for name, lost_s in losses(report).items()
        if lost_s >= _WORTH_SAYING * total_s
    ]
    return [
        f"{say_seconds(lost_s)} ({say_share(lost_s / total_s)}) {_phrase(report, name)}."
        for name, lost_s in worth[:3]
    ]


def _phrase(report: Report, name: str) -> str:
    words = STATES[name].phrase
    if name in {"unpickle", "receive", "parent_pickle", "parent_send"}:
        return f"{words}: {_moved(report)}"
    if name in {"pickle", "send", "parent_unpickle", "parent_receive"}:
        return f"{words}: {say_bytes(report.bytes_in)} of results{_each(report, report.bytes_in)}"
    if name == "tail" and report.slowest:
        slow = report.slowest[0]
        longest = f"item {slow.item} of {slow.function}, {say_seconds(slow.run_s)}"
        return f"{words} (the longest task: {longest})"
    return words


def _moved(report: Report) -> str:
    """Bytes to the workers, and how much of that was the same again."""
    moved = f"{say_bytes(report.bytes_out)} of arguments{_each(report, report.bytes_out)}"
    again = report.repeated_bytes or 0
    if again < _WORTH_SAYING * report.bytes_out:
        return moved
    times = report.bytes_out / max(1, report.bytes_out - again)
    often = f", each about {times:.0f} times" if round(times) > 1 else ""
    return f"{moved}; {say_bytes(again)} of it had been sent before{often}"


def _each(report: Report, size_bytes: int) -> str:
    return f", {say_bytes(size_bytes / report.items)} an item" if report.items > 1 else ""


def _speed(report: Report) -> list[str]:
    laws = report.laws
    if report.open_s <= 0 or not laws.speedup:
        return []
    loop_s = laws.speedup * report.open_s
    said = (
        f"A plain loop would have taken about {say_seconds(loop_s)}; the pool is "
        f"{laws.speedup:.2g} times as fast"
    )
    if laws.ceiling is not None and laws.ceiling > laws.speedup:
        said += f", and more workers could make it {laws.ceiling:.2g} times at most"
    is_slower = 0.9  # from there up to 1 other programs may be the reason
    if laws.speedup < is_slower:
        said = (
            f"A plain loop would have taken about {say_seconds(loop_s)}: it is faster than the pool"
        )
    return [f"{said}."]


def _slowest(report: Report) -> list[str]:
    times, slow = report.task_times, report.slowest[:1]
    if times is None or not slow:
        return []
    # It is named where it took far longer than most of the others, and a share of the time.
    if slow[0].run_s < max(3 * times.p90_s, _WORTH_SAYING * report.open_s):
        return []
    said = (
        f"The slowest task, item {slow[0].item} of {slow[0].function}, took "
        f"{say_seconds(slow[0].run_s)}; nine in ten took less than {say_seconds(times.p90_s)}."
    )
    return [said]


def _limits(report: Report, total_s: float) -> list[str]:
    said = []
    if report.throttled_s is not None and report.throttled_s >= _WORTH_SAYING * total_s:
        stopped = say_seconds(report.throttled_s)
        said.append(f"A CPU quota of this control group stopped its processes for {stopped}.")
    if report.workers > report.cpus:
        said.append(f"{report.workers} workers share {_count(report.cpus, 'CPU')}.")
    if report.deaths:
        said.append(f"{_count(report.deaths, 'worker')} died.")
    return said


def _residual(report: Report) -> str:
    return f"Unexplained: {say_share(report.unexplained_share())} of worker time."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
