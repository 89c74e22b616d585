"""A curve as lines of text: a small grid of characters with an axis on two sides."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from poolwise.report import figures
from poolwise.report.text.lines import Line, Piece, Sheet, count_cells
from poolwise.report.text.words import title_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from poolwise.report.blocks import Axis, Curve
    from poolwise.report.blocks import Line as CurveLine

_ROWS = 9
_WIDEST = 72
_AXIS_CELLS = 9


class _Scale:
    """Positions on an axis as cells: 0 at its lower end."""

    def __init__(self, axis: Axis, values: Iterable[float], cells: int) -> None:
        self._bend = math.log if axis.is_log else float
        usable = [value for value in values if not axis.is_log or value > 0]
        self.low, self.high = min(usable, default=0.0), max(usable, default=1.0)
        if not axis.is_log:
            self.low = min(0.0, self.low)
        self._from = self._bend(self.low) if usable else 0.0
        self._length = (self._bend(self.high) - self._from if usable else 1.0) or 1.0
        self._last = cells - 1
        self._is_log = axis.is_log

    def cell(self, value: float) -> int:
        if self._is_log and value <= 0:
            return 0
        return round((self._bend(value) - self._from) / self._length * self._last)


class _Grid:
    """Characters by column and row (from below); what is drawn later lies on top."""

    def __init__(self, columns: int) -> None:
        self._rows = [[Piece(" ")] * columns for _ in range(_ROWS)]

    def put(self, column: int, row: int, letter: str, style: str) -> None:
        if 0 <= row < _ROWS and 0 <= column < len(self._rows[0]):
            self._rows[row][column] = Piece(letter, style)

    def lines(self) -> list[Line]:
        return list(reversed(self._rows))


def lay_curve(block: Curve, sheet: Sheet) -> list[Line]:
    """Bands below lines below dots below the point where we are now."""
    columns = max(20, min(_WIDEST, sheet.width) - _AXIS_CELLS - 1)
    x_scale = _Scale(block.x, _all_x(block), columns)
    y_scale = _Scale(block.y, _all_y(block), _ROWS)
    signs = _SYMBOLS if sheet.has_symbols else _ASCII
    grid = _Grid(columns)
    for line in block.lines:
        _draw_line(grid, line, x_scale, y_scale, columns, signs)
    for dots in block.dots:
        for x, y in zip(dots.x, dots.y, strict=True):
            grid.put(x_scale.cell(x), y_scale.cell(y), signs["dot"], dots.meaning)
    if block.now is not None:
        grid.put(x_scale.cell(block.now[0]), y_scale.cell(block.now[1]), signs["now"], "bad")
    lines = [title_line(block.title)] if block.title else []
    lines += _with_axis(grid.lines(), block.y, y_scale)
    return [*lines, _x_axis(block.x, x_scale, columns), *_key(block, signs)]


_SYMBOLS = {"line": "─", "band": "░", "dot": "●", "now": "◆"}
_ASCII = {"line": "-", "band": ".", "dot": "o", "now": "X"}


def _draw_line(  # noqa: PLR0913 - one line and where it goes
    grid: _Grid,
    line: CurveLine,
    x_scale: _Scale,
    y_scale: _Scale,
    columns: int,
    signs: dict[str, str],
) -> None:
    cells = [x_scale.cell(x) for x in line.x]
    for column in range(columns):
        if line.low and line.high:
            low = _value_at(column, cells, line.low, is_stepped=line.is_stepped)
            high = _value_at(column, cells, line.high, is_stepped=line.is_stepped)
            if low is not None and high is not None:
                for row in range(y_scale.cell(low), y_scale.cell(high) + 1):
                    grid.put(column, row, signs["band"], line.meaning)
        value = _value_at(column, cells, line.y, is_stepped=line.is_stepped)
        if value is not None:
            grid.put(column, y_scale.cell(value), signs["line"], line.meaning)


def _value_at(
    column: int, cells: list[int], values: Sequence[float], *, is_stepped: bool
) -> float | None:
    """The line's value in a column, joined between its points; None outside of them."""
    if not cells or not cells[0] <= column <= cells[-1]:
        return None
    after = next(at for at, cell in enumerate(cells) if cell >= column)
    if cells[after] == column or not after:
        return values[after]
    before = after - 1
    if is_stepped:
        return values[before]
    part = (column - cells[before]) / (cells[after] - cells[before])
    return values[before] + part * (values[after] - values[before])


def _all_x(block: Curve) -> list[float]:
    found = [x for line in block.lines for x in line.x]
    found += [x for dots in block.dots for x in dots.x]
    return found + ([block.now[0]] if block.now else [])


def _all_y(block: Curve) -> list[float]:
    found = [y for line in block.lines for y in (*line.y, *line.low, *line.high)]
    found += [y for dots in block.dots for y in dots.y]
    return found + ([block.now[1]] if block.now else [])


def _with_axis(rows: list[Line], axis: Axis, scale: _Scale) -> list[Line]:
    labels = {
        0: figures.write(scale.high, axis.unit),
        _ROWS - 1: figures.write(scale.low, axis.unit),
    }
    return [
        [Piece(labels.get(at, "").rjust(_AXIS_CELLS) + "|", "dim"), *row]
        for at, row in enumerate(rows)
    ]


def _x_axis(axis: Axis, scale: _Scale, columns: int) -> Line:
    first, last = figures.write(scale.low, axis.unit), figures.write(scale.high, axis.unit)
    name = f"{axis.name} (log)" if axis.is_log else axis.name
    room = columns - count_cells(first) - count_cells(last)
    return [Piece(" " * (_AXIS_CELLS + 1) + first + name.center(room) + last, "dim")]


def _key(block: Curve, signs: dict[str, str]) -> list[Line]:
    named: list[Piece] = [Piece(" " * (_AXIS_CELLS + 1) + block.y.name + ": ", "dim")]
    for line in block.lines:
        named += [Piece(signs["line"] * 2, line.meaning), Piece(f" {line.name}  ", "dim")]
    for dots in block.dots:
        named += [Piece(signs["dot"], dots.meaning), Piece(f" {dots.name}  ", "dim")]
    if block.now is not None:
        named += [Piece(signs["now"], "bad"), Piece(" now", "dim")]
    return [named]
