"""Charts that need a page, in numbers: what a terminal is too coarse to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poolwise.report import blocks as b
from poolwise.report import figures
from poolwise.report.text.lines import Line, Piece, Sheet
from poolwise.report.text.words import lay_table, title_line

if TYPE_CHECKING:
    from collections.abc import Sequence


def lay_treemap(block: b.Treemap, sheet: Sheet) -> list[Line]:
    """The leaves by size, with their share."""
    leaves = sorted(block.leaves, key=lambda leaf: -leaf.value)
    whole = sum(leaf.value for leaf in leaves) or 1.0
    columns = [b.Column(""), b.Column("", block.unit), b.Column("", "share"), b.Column("")]
    rows: list[list[b.Cell]] = [
        [" / ".join(leaf.path), leaf.value, leaf.value / whole, leaf.note] for leaf in leaves
    ]
    return lay_table(b.Table(columns, rows, block.title), sheet)


def lay_histogram(block: b.Histogram, _: Sheet) -> list[Line]:
    """Lines of a histogram: counts between edges, and the marked values among them."""
    first, last = (figures.write(block.edges[at], block.unit) for at in (0, -1))
    marks = [f"{mark.name} {figures.write(mark.value, block.unit)}" for mark in block.marks]
    told = [f"{sum(block.counts):,} between {first} and {last}", *marks]
    title = [title_line(block.title)] if block.title else []
    return [*title, [Piece("; ".join(told))]]


def lay_curve(block: b.Curve, sheet: Sheet) -> list[Line]:
    """A few points of each line, the measured ones, and the one where we are now."""
    columns = [
        b.Column(""), b.Column(block.x.name, block.x.unit), b.Column(block.y.name, block.y.unit)
    ]  # fmt: skip
    rows: list[list[b.Cell]] = []
    drawn: list[b.Line | b.Dots] = [*block.lines, *block.dots]
    for each in drawn:
        points = list(zip(each.x, each.y, strict=True))
        rows += [[each.name, x, y] for x, y in _thin(points)]
    if block.now is not None:
        rows.append(["now", *block.now])
    return lay_table(b.Table(columns, rows, block.title), sheet)


def _thin(points: Sequence[tuple[float, float]], most: int = 7) -> list[tuple[float, float]]:
    """Sample of points, evenly spread, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[at * (len(points) - 1) // (most - 1)] for at in range(most)]
