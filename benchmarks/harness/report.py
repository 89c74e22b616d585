"""Prints what was measured; decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness.figures import (
    behind_of,
    figure_of,
    outcomes_of,
    paired_ratio,
    verdict_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.harness.contest import Result, Series
    from benchmarks.harness.model import Claim


def print_machine(facts: Mapping[str, str]) -> None:
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:>{width}}  {fact}")
    print("ratios are peer / poolwise: above 1 we are faster; [..] are the quartiles of the rounds")


def print_claim(name: str, claim: Claim, result: Result, rounds: int) -> None:
    print(f"\n== {name}: {claim.title} ({rounds} rounds)")
    if claim.is_grid:
        _print_grid(claim, result)
    else:
        for case in claim.cases:
            _print_case(claim, result, case)
    for label, reason in result.absent.items():
        print(f"   {label}: {reason}")
    for outcome in outcomes_of(claim, result):
        print(f"   {'met    ' if outcome.is_met else 'NOT MET'}  {outcome.text}")


def print_summary(measured: Sequence[tuple[str, Claim, Result]]) -> None:
    outcomes = [(n, o) for n, claim, result in measured for o in outcomes_of(claim, result)]
    unmet = [(name, outcome.text) for name, outcome in outcomes if not outcome.is_met]
    behind = [(name, text) for name, claim, result in measured for text in behind_of(claim, result)]
    print(f"\n== summary: {len(outcomes) - len(unmet)} of {len(outcomes)} targets met")
    for name, text in unmet:
        print(f"   NOT MET  {name}, {text}")
    for name, text in behind:
        print(f"   behind   {name}, {text}")
    if not behind:
        print("   nowhere behind a peer")


def _print_case(claim: Claim, result: Result, case: str) -> None:
    rows = [
        _row(claim, result.series[e.label, case], e.label)
        for e in claim.entrants
        if (e.label, case) in result.series
    ]
    head = [case, claim.unit.word, "[spread]", "ratio", "[spread]", ""]
    if claim.reference:
        head.append(f"of {claim.reference}")
    _print_rows([head, *rows])


def _row(claim: Claim, series: Series, label: str) -> list[str]:
    value = figure_of(list(series.values.values()))
    show = claim.unit.show
    row = [label, show(value.median), f"[{show(value.low)} .. {show(value.high)}]"]
    ratio = paired_ratio(series.values, series.ours)
    if label == claim.entrants[0].label or ratio is None:
        row += ["", "", ""]
    else:
        row += [f"{ratio.median:.2f}x", f"[{ratio.low:.2f} .. {ratio.high:.2f}]", verdict_of(ratio)]
    if claim.reference:
        fraction = paired_ratio(series.reference, series.values)
        row.append(f"{fraction.median:.3f}" if fraction else "")
    return row


def _print_grid(claim: Claim, result: Result) -> None:
    """A row per case; a cell is the fraction of the reference reached, or the ratio without one."""
    labels = [e.label for e in claim.entrants if e.label not in result.absent]
    rows = [["", *labels]]
    for case in claim.cases:
        series = [result.series.get((label, case)) for label in labels]
        rows.append([case, *(_cell(claim, one) for one in series)])
    _print_rows(rows)


def _cell(claim: Claim, series: Series | None) -> str:
    if series is None:
        return "-"
    if claim.reference is None:
        ratio = paired_ratio(series.values, series.ours)
        return f"{ratio.median:.2f}x" if ratio else "-"
    if series.values is series.reference:
        return claim.unit.show(figure_of(list(series.values.values())).median)
    fraction = paired_ratio(series.reference, series.values)
    ratio = paired_ratio(series.values, series.ours)
    is_behind = ratio is not None and verdict_of(ratio) == "behind"
    return f"{fraction.median:.3f}{'!' if is_behind else ' '}" if fraction else "-"


def _print_rows(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        first, *others = (
            f"{cell:<{width}}" if i == 0 else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("   " + "  ".join([first, *others]).rstrip())
    print()
