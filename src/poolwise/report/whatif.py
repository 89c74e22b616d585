"""Predictions of a pool's calls as a document: curves with their band, a chart and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poolwise.account.whatif import name_workers
from poolwise.report import blocks as b

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poolwise.account.whatif import Forecast


def make_document(
    title: str, by_workers: Sequence[Forecast], by_chunk: Sequence[Forecast], others: Sequence[str]
) -> b.Document:
    """The summary for a terminal; the curves are details, which a page shows.

    :param others: sentences to stand at the end.
    """
    summary: list[b.Block] = [b.Text(title)]
    details: list[b.Block] = []
    for name, forecasts, say in (
        ("workers", by_workers, name_of), ("chunk size", by_chunk, _name_chunks)
    ):  # fmt: skip
        if forecasts:
            shown = [each for kind in _kinds(forecasts) for each in thin(kind)]
            summary.append(_draw_table(shown, f"By {name}{_say_rest(forecasts, name)}", say))
            details.append(_draw_curve(forecasts, name))
            if len(shown) < len(forecasts):
                details.append(_draw_table(forecasts, "All predictions", say))
    if by_workers or by_chunk:
        summary.append(b.Text("= at least, - the band of uncertainty"))
    summary += [b.Text(note) for note in _list_notes([*by_workers, *by_chunk])]
    summary += [b.Text(each) for each in others]
    return b.Document("What if", summary, details, make_record(title, by_workers, by_chunk))


def _kinds(forecasts: Sequence[Forecast]) -> list[list[Forecast]]:
    kinds = dict.fromkeys(each.kind for each in forecasts)
    return [[each for each in forecasts if each.kind == kind] for kind in kinds]


def _say_rest(forecasts: Sequence[Forecast], name: str) -> str:
    """The setting that all have in common."""
    first = forecasts[0]
    if name == "workers":
        return f", chunks of {first.chunksize}" if first.chunksize else ""
    return f", {name_of(first)}"


def make_record(
    title: str, by_workers: Sequence[Forecast], by_chunk: Sequence[Forecast]
) -> dict[str, object]:
    """The predictions as plain data."""
    from dataclasses import asdict

    forecasts = [asdict(each) for each in [*by_workers, *by_chunk]]
    return {"schema": 1, "of": title, "forecasts": forecasts}


def thin(forecasts: Sequence[Forecast], most: int = 16) -> Sequence[Forecast]:
    """At most so many, the closer together the smaller they are, with both ends."""
    if len(forecasts) <= most:
        return forecasts
    last = len(forecasts) - 1
    chosen = {round(last ** (at / (most - 1))) for at in range(most)}
    return [forecasts[at] for at in sorted({0, *chosen})]


def _draw_table(
    forecasts: Sequence[Forecast], title: str, say: Callable[[Forecast], str]
) -> b.Table:
    """A row for each prediction, with a bar to the lower end of its band and one over the band."""
    columns = [b.Column(""), b.Column("predicted", "s"), b.Column("from", "s"),
               b.Column("to", "s"), b.Column("of now", "share"), b.Column("")]  # fmt: skip
    longest_s = max(each.high_s for each in forecasts) or 1.0
    rows: list[list[b.Cell]] = [
        [say(each), each.seconds, each.low_s, each.high_s,
         each.seconds / max(each.now_s, 1e-9), _bar(each, longest_s)]
        for each in forecasts
    ]  # fmt: skip
    return b.Table(columns, rows, title)


def _bar(forecast: Forecast, longest_s: float, cells: int = 20) -> str:
    low, high = (round(cells * value / longest_s) for value in (forecast.low_s, forecast.high_s))
    return "=" * low + "-" * (high - low)


def name_of(forecast: Forecast) -> str:
    """The workers in few words."""
    return name_workers(forecast.kind, forecast.workers)


def _name_chunks(forecast: Forecast) -> str:
    return f"{forecast.chunksize}" if forecast.chunksize else "auto"


def _draw_curve(forecasts: Sequence[Forecast], name: str) -> b.Curve:
    kinds = dict.fromkeys(each.kind for each in forecasts if each.kind != "serial")
    of: Callable[[Forecast], int] = (
        (lambda each: each.workers) if name == "workers" else (lambda each: each.chunksize or 1)
    )
    lines = [_line(kind, [each for each in forecasts if each.kind == kind], of) for kind in kinds]
    x, y = b.Axis(name, "count", is_log=True), b.Axis("seconds", "s", is_log=True)
    return b.Curve(x, y, lines, f"Predicted time by {name}")


def _line(kind: str, forecasts: Sequence[Forecast], of: Callable[[Forecast], int]) -> b.Line:
    ordered = sorted(forecasts, key=of)
    return b.Line(
        kind,
        [float(of(each)) for each in ordered],
        [each.seconds for each in ordered],
        [each.low_s for each in ordered],
        [each.high_s for each in ordered],
    )


def _list_notes(forecasts: Sequence[Forecast]) -> list[str]:
    """Notes on what is taken for granted, once for each kind."""
    notes = {(each.kind, note) for each in forecasts for note in each.notes}
    return [f"{kind}: {note}." for kind, note in sorted(notes)]
