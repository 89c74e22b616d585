"""Charts as lines of text. Without colour each part has a letter of its own name instead."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from poolwise.report import figures
from poolwise.report.raster import NOTHING, mix_cells, split_cells
from poolwise.report.text.lines import Line, Piece, Sheet, count_cells, pad
from poolwise.report.text.words import title_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poolwise.report.blocks import (
        Bars,
        Part,
        StackedBar,
        State,
        Timeline,
        Waterfall,
    )

_NAME_CELLS = 34
_VALUE_CELLS = 9
_SHARE_CELLS = 7
# -- parts of a whole


def lay_stacked_bar(block: StackedBar, sheet: Sheet) -> list[Line]:
    """One bar over the whole width, and below it a row of words for each part."""
    parts = [part for part in block.parts if part.value > 0]
    letters = [sheet.letters[part.name] for part in parts]
    whole = block.whole
    lines = [title_line(block.title)] if block.title else []
    lines.append(_bar(parts, letters, whole, sheet.width, sheet))
    width = max((count_cells(part.name) for part in parts), default=0)
    for part, letter in zip(parts, letters, strict=True):
        words = [
            pad(part.name, min(_NAME_CELLS, width)),
            pad(figures.write(part.value, block.unit), _VALUE_CELLS, is_right=True),
            pad(figures.share(part.value / whole), _SHARE_CELLS, is_right=True),
        ]
        note = [Piece("  " + part.note, "dim")] if part.note else []
        lines.append([_swatch(part.meaning, letter, sheet), Piece(" " + " ".join(words)), *note])
    return lines


def lay_bars(block: Bars, sheet: Sheet) -> list[Line]:
    """One row for each bar, all on one scale; what the colours mean comes last."""
    most = block.longest
    name_cells = min(_NAME_CELLS, max((count_cells(bar.label) for bar in block.bars), default=0))
    room = sheet.width - name_cells - _VALUE_CELLS - 2
    lines = [title_line(block.title)] if block.title else []
    for bar in block.bars:
        parts = [part for part in bar.parts if part.value > 0]
        inked = _bar(parts, [sheet.letters[part.name] for part in parts], most, room, sheet)
        rest = Piece(" " * (room - sum(count_cells(piece.words) for piece in inked)))
        total = pad(figures.write(bar.total, block.unit), _VALUE_CELLS, is_right=True)
        lines.append([Piece(pad(bar.label, name_cells) + " "), *inked, rest, Piece(" " + total)])
    states = [(part.meaning, sheet.letters[part.name], part.name) for part in block.key()]
    return lines + _legend(states, sheet)


def lay_waterfall(block: Waterfall, sheet: Sheet) -> list[Line]:
    """A row for each loss, each beginning where the one above has ended."""
    rows = [block.start, *block.losses, block.end]
    names = min(_NAME_CELLS, max(count_cells(part.name) for part in rows))
    room = sheet.width - names - _VALUE_CELLS - _SHARE_CELLS - 3
    whole = block.start.value or 1.0
    lines = [title_line(block.title)] if block.title else []
    left = whole
    for part in rows:
        is_loss = part is not block.start and part is not block.end
        left = left - part.value if is_loss else part.value
        from_cell = round((left if is_loss else 0.0) / whole * room)
        cells = max(0, min(room, round((left + part.value * is_loss) / whole * room)) - from_cell)
        words = [
            pad(figures.write(part.value, block.unit), _VALUE_CELLS, is_right=True),
            pad(figures.share(part.value / whole), _SHARE_CELLS, is_right=True),
        ]
        bar = [Piece(" " * from_cell), Piece(_full(sheet) * cells, part.meaning)]
        rest = Piece(" " * (room - from_cell - cells + 1) + " ".join(words))
        lines.append([Piece(pad(part.name, names) + " "), *bar, rest])
    return lines


# -- time


def lay_timeline(block: Timeline, sheet: Sheet) -> list[Line]:
    """One row of cells for each lane; many lanes are thinned out, which is said."""
    letters = [sheet.letters[state.name] for state in block.states]
    start_s, end_s = block.start_s, block.end_s
    shown = _thin(len(block.lanes), 32)
    name_cells = min(20, max((count_cells(block.lanes[at].name) for at in shown), default=0))
    room = sheet.width - name_cells - 1
    lines = [title_line(block.title)] if block.title else []
    for at in shown:
        spans = sorted(span for span in block.spans if span.lane == at)
        cells = mix_cells(spans, start_s, end_s, room)
        row = [_run(list(run), block.states, letters, sheet) for _, run in groupby(cells)]
        lines.append([Piece(pad(block.lanes[at].name, name_cells) + " "), *row])
    if len(shown) < len(block.lanes):
        hint = f"{len(shown)} of {len(block.lanes)} lanes are shown"
        lines.append([Piece(" " * (name_cells + 1) + hint, "dim")])
    lines.append([Piece(" " * (name_cells + 1) + _scale(end_s - start_s, room), "dim")])
    present = sorted({span.state for span in block.spans})
    states = [(block.states[at].meaning, letters[at], block.states[at].name) for at in present]
    return lines + _legend(states, sheet)


def _run(cells: list[int], states: Sequence[State], letters: list[str], sheet: Sheet) -> Piece:
    """Neighbouring cells of one state."""
    if cells[0] == NOTHING:
        return Piece(" " * len(cells))
    letter = _full(sheet) if sheet.has_color else letters[cells[0]]
    return Piece(letter * len(cells), states[cells[0]].meaning)


def _thin(count: int, most: int) -> list[int]:
    """Positions of at most ``most`` of ``count``, evenly spread."""
    return list(range(count)) if count <= most else [at * count // most for at in range(most)]


def _scale(length_s: float, room: int) -> str:
    """``0 s`` at the left end, the length at the right one."""
    end = figures.seconds(length_s)
    return "0 s" + end.rjust(room - 3)


# -- pieces of charts


def _bar(
    parts: Sequence[Part], letters: Sequence[str], whole: float, width: int, sheet: Sheet
) -> Line:
    cells = split_cells([part.value for part in parts], whole, width)
    return [
        Piece((_full(sheet) if sheet.has_color else letter) * size, part.meaning)
        for part, letter, size in zip(parts, letters, cells, strict=True)
    ]


def _legend(states: Sequence[tuple[str, str, str]], sheet: Sheet) -> list[Line]:
    """Swatches and names (meaning, letter, name), as many to a line as fit."""
    lines: list[Line] = [[]]
    used = 0
    for meaning, letter, name in states:
        cells = count_cells(name) + 4
        if used and used + cells > sheet.width:
            lines.append([])
            used = 0
        lines[-1] += [_swatch(meaning, letter, sheet), Piece(f" {name}  ", "dim")]
        used += cells
    return [line for line in lines if line]


def _swatch(meaning: str, letter: str, sheet: Sheet) -> Piece:
    if sheet.has_color:
        return Piece("■" if sheet.has_symbols else "#", meaning)
    return Piece(letter, meaning)


def _full(sheet: Sheet) -> str:
    return "█" if sheet.has_symbols else "#"
