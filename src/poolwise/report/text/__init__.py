"""A document for the terminal: words first, then numbers, within the width there is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

from poolwise.report import blocks as b
from poolwise.report.text.charts import (
    lay_bars,
    lay_stacked_bar,
    lay_timeline,
    lay_waterfall,
)
from poolwise.report.text.ink import print_lines, sheet_for, to_plain
from poolwise.report.text.letters import letters_of
from poolwise.report.text.lines import Line, Sheet, fit, indent
from poolwise.report.text.tables import lay_curve, lay_histogram, lay_treemap
from poolwise.report.text.words import lay_code, lay_table, lay_text, lay_verdict, title_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def render(document: b.Document, width: int = 80, *, is_full: bool = False) -> str:
    """The document as plain text of at most ``width`` columns (code is never wrapped).

    :param is_full: its details as well as its summary.
    """
    return to_plain(lay_document(document, Sheet(width), is_full=is_full))


def show(
    document: b.Document, stream: TextIO, *, width: int | None = None, is_full: bool = False
) -> None:
    """Print the document as well as the stream can show it: in colour on a terminal."""
    sheet = sheet_for(stream, width)
    print_lines(lay_document(document, sheet, is_full=is_full), sheet, stream)


def lay_document(document: b.Document, sheet: Sheet, *, is_full: bool = False) -> list[Line]:
    """All lines of the document."""
    details = document.details if is_full else ()
    return lay_blocks([*document.summary, *details], sheet)


def lay_blocks(blocks: Sequence[b.Block], sheet: Sheet) -> list[Line]:
    """The lines of each block, with an empty one between two blocks."""
    if not sheet.letters:
        sheet = replace(sheet, letters=letters_of(blocks))
    lines: list[Line] = []
    for block in blocks:
        lines += [[]] if lines else []
        laid = _LAY[type(block)](block, sheet)
        lines += laid if isinstance(block, b.Code) else [fit(line, sheet) for line in laid]
    return lines


def _lay_section(section: b.Section, sheet: Sheet) -> list[Line]:
    return [title_line(section.title), *indent(lay_blocks(section.blocks, sheet.narrowed(2)))]


_LAY: dict[type, Callable[[Any, Sheet], list[Line]]] = {
    b.Verdict: lay_verdict,
    b.Text: lay_text,
    b.Code: lay_code,
    b.Table: lay_table,
    b.StackedBar: lay_stacked_bar,
    b.Bars: lay_bars,
    b.Waterfall: lay_waterfall,
    b.Treemap: lay_treemap,
    b.Histogram: lay_histogram,
    b.Curve: lay_curve,
    b.Timeline: lay_timeline,
    b.Section: _lay_section,
}
