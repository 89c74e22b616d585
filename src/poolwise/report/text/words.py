"""Verdicts, paragraphs, tables and code as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poolwise.report.text.lines import (
    Line,
    Piece,
    Sheet,
    clip,
    count_cells,
    indent,
    pad,
    width_of,
    wrap,
)

if TYPE_CHECKING:
    from poolwise.report.blocks import Code, Table, Text, Verdict

_GAP = 2
_DIFF_STYLES = {"+": "good", "-": "bad", "@": "dim"}


def lay_verdict(verdict: Verdict, sheet: Sheet) -> list[Line]:
    """Label, headline and place on one line if they fit, else below each other; then details."""
    label = [Piece(verdict.label + "  ", "dim")] if verdict.label else []
    tone = verdict.tone if verdict.tone != "plain" else "strong"
    headline = wrap(verdict.headline, sheet.width - width_of(label))
    lines: list[Line] = [[*label, Piece(headline[0], f"{tone} strong")]]
    lines += [
        [Piece(" " * width_of(label)), Piece(rest, f"{tone} strong")] for rest in headline[1:]
    ]
    _place(lines, verdict.place, sheet)
    for detail in verdict.details:
        lines += indent([[Piece(words)] for words in wrap(detail, sheet.width - 2)])
    return lines


def _place(lines: list[Line], place: str, sheet: Sheet) -> None:
    """Put a place at the right end of the first line if there is room, else on its own line."""
    if not place:
        return
    free = sheet.width - width_of(lines[0]) - count_cells(place)
    if len(lines) == 1 and free >= _GAP:
        lines[0] += [Piece(" " * free), Piece(place, "dim")]
    else:
        lines += indent([[Piece(clip(place, sheet.width - 2), "dim")]])


def lay_text(text: Text, sheet: Sheet) -> list[Line]:
    """Paragraphs, wrapped, with an empty line between them."""
    style = "dim" if text.is_aside else ""
    lines: list[Line] = []
    for paragraph in text.words.strip().split("\n\n"):
        lines += [[]] if lines else []
        lines += [[Piece(words, style)] for words in wrap(paragraph, sheet.width)]
    return lines


def lay_code(code: Code, sheet: Sheet) -> list[Line]:
    """The source as it is: never wrapped, so that it can be copied."""
    del sheet
    lines: list[Line] = [[Piece(code.title, "dim")]] if code.title else []
    for source in code.source.rstrip("\n").split("\n"):
        style = _DIFF_STYLES.get(source[:1], "") if code.language == "diff" else ""
        lines += indent([[Piece(source.expandtabs(4), style)]])
    return lines


def lay_table(table: Table, sheet: Sheet) -> list[Line]:
    """Aligned columns: numbers to the right, each in its unit; the widest words give way."""
    written = [
        [column.write(cell) for cell, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    heads = [column.name for column in table.columns]
    is_right = [table.is_number(at) for at in range(len(heads))]
    widths = _fit_widths([heads, *written], sheet.width, is_right)
    lines = [title_line(table.title)] if table.title else []
    if any(heads):
        lines.append([Piece(_join(heads, widths, is_right), "dim")])
    for at, row in enumerate(written):
        style = "strong" if at in table.strong_rows else ""
        lines.append([Piece(_join(row, widths, is_right), style)])
    return lines


def title_line(title: str) -> Line:
    """Line above a block."""
    return [Piece(title, "strong")]


def _fit_widths(rows: list[list[str]], width: int, is_number: list[bool]) -> list[int]:
    """The width of each column; words give way, numbers are never cut while there are words."""
    widths = [max(map(count_cells, column)) for column in zip(*rows, strict=True)]
    over = sum(widths) + _GAP * (len(widths) - 1) - width
    least = 4  # two letters and the mark of the cut
    while over > 0 and max(widths) > least:
        wordy = [
            size if size > least and not number else 0
            for size, number in zip(widths, is_number, strict=True)
        ]
        widest = wordy.index(max(wordy)) if any(wordy) else widths.index(max(widths))
        widths[widest] -= 1
        over -= 1
    return widths


def _join(cells: list[str], widths: list[int], is_right: list[bool]) -> str:
    padded = [
        pad(words, width, is_right=right)
        for words, width, right in zip(cells, widths, is_right, strict=True)
    ]
    return (" " * _GAP).join(padded).rstrip()
