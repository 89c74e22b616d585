"""From rounds to figures: medians, spreads, paired ratios, and whether a target is met."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.harness.contest import Result
    from benchmarks.harness.model import Claim, Limit, Target


@dataclass(frozen=True)
class Figure:
    """A median with its quartiles."""

    median: float
    low: float
    high: float


def figure_of(values: Sequence[float]) -> Figure:
    if len(values) < 2:
        return Figure(values[0], values[0], values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(middle, low, high)


def paired_ratio(above: Mapping[int, float], below: Mapping[int, float]) -> Figure | None:
    """Above / below, round by round: what loaded the machine in a round loaded both."""
    shared = [turn for turn in above if turn in below]
    if not shared:
        return None
    if any(below[turn] == 0 for turn in shared):
        return None
    return figure_of([above[turn] / below[turn] for turn in shared])


def verdict_of(ratio: Figure) -> str:
    """Ahead or behind only where the quartiles agree."""
    if ratio.low > 1.0:
        return "ahead"
    return "behind" if ratio.high < 1.0 else "level"


@dataclass(frozen=True)
class Outcome:
    """A target beside what was measured."""

    text: str
    is_met: bool


def outcomes_of(claim: Claim, result: Result) -> Iterator[Outcome]:
    for target in claim.targets:
        for case in target.cases or claim.cases:
            yield _judge_target(result, target, case)
    for limit in claim.limits:
        for case in limit.cases or claim.cases:
            yield _judge_limit(claim, result, limit, case)


def _judge_target(result: Result, target: Target, case: str) -> Outcome:
    series = result.series.get((target.against, case))
    ratio = paired_ratio(series.values, series.ours) if series else None
    asked = f"{case}: {target.at_least:g}x {target.against} asked"
    if ratio is None:
        return Outcome(f"{asked}, not measured", is_met=False)
    is_tie = target.at_least == 1.0 and verdict_of(ratio) != "behind"
    is_met = is_tie or ratio.median >= target.at_least
    return Outcome(f"{asked}, {ratio.median:.2f}x measured", is_met)


def _judge_limit(claim: Claim, result: Result, limit: Limit, case: str) -> Outcome:
    series = result.series.get((claim.entrants[0].label, case))
    asked = f"{case}: at most {claim.unit.show(limit.at_most)} asked"
    if series is None:
        return Outcome(f"{asked}, not measured", is_met=False)
    value = figure_of(list(series.values.values())).median
    return Outcome(f"{asked}, {claim.unit.show(value)} measured", value <= limit.at_most)


def behind_of(claim: Claim, result: Result) -> Iterator[str]:
    """Where a peer was faster beyond the spread."""
    for (label, case), series in result.series.items():
        if label in (claim.entrants[0].label, claim.reference) or label.startswith("poolwise"):
            continue
        ratio = paired_ratio(series.values, series.ours)
        if ratio is not None and verdict_of(ratio) == "behind":
            yield f"{case}: {ratio.median:.2f}x {label}"
