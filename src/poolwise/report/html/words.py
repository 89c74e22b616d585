"""Blocks that need no library to be drawn: words, tables, code and bars, as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from poolwise.report import figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poolwise.report.blocks import Bars, Code, Part, StackedBar, Table, Text, Verdict

_LINES_OF_A_DIFF = {"+": "added", "-": "removed", "@": "where"}


def write_verdict(block: Verdict) -> str:
    """The headline, with what kind of sentence it is above and what follows from it below."""
    details = "".join(f"<p>{escape(words)}</p>" for words in block.details)
    return (
        f'<section class="block verdict {block.tone}"><div class="label">'
        f'<span>{escape(block.label)}</span><span class="place">{escape(block.place)}</span></div>'
        f"<h2>{escape(block.headline)}</h2>{details}</section>"
    )


def write_text(block: Text) -> str:
    """Paragraphs."""
    kind = "block aside" if block.is_aside else "block"
    paragraphs = "".join(f"<p>{escape(words)}</p>" for words in block.words.strip().split("\n\n"))
    return f'<div class="{kind}">{paragraphs}</div>'


def write_code(block: Code) -> str:
    """Source text; lines of a diff carry what became of them."""
    lines = []
    for source in block.source.rstrip("\n").split("\n"):
        kind = _LINES_OF_A_DIFF.get(source[:1]) if block.language == "diff" else None
        line = escape(source)
        lines.append(f'<span class="{kind}">{line}</span>' if kind else line)
    return f'<div class="block">{_heading(block.title)}<pre>{chr(10).join(lines)}</pre></div>'


def write_table(block: Table) -> str:
    """A table; columns of numbers stand to the right."""
    numeric = [block.is_number(at) for at in range(len(block.columns))]
    head = "".join(
        f"<th{_class(is_number)}>{escape(column.name)}</th>"
        for column, is_number in zip(block.columns, numeric, strict=True)
    )
    rows = []
    for at, row in enumerate(block.rows):
        cells = "".join(
            f"<td{_class(is_number)}>{escape(column.write(cell))}</td>"
            for cell, column, is_number in zip(row, block.columns, numeric, strict=True)
        )
        rows.append(f"<tr{' class=strong' if at in block.strong_rows else ''}>{cells}</tr>")
    heads = f"<thead><tr>{head}</tr></thead>" if any(c.name for c in block.columns) else ""
    table = f"<table>{heads}<tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="block">{_heading(block.title)}<div class="scroll">{table}</div></div>'


def write_stacked_bar(block: StackedBar) -> str:
    """The bar, and under it a row for each part."""
    parts = [part for part in block.parts if part.value > 0]
    rows = "".join(
        f"<tr><td>{_swatch(part)}{escape(part.name)}</td>"
        f'<td class="number">{figures.write(part.value, block.unit)}</td>'
        f'<td class="number">{figures.share(part.value / block.whole)}</td>'
        f'<td class="aside">{escape(part.note)}</td></tr>'
        for part in parts
    )
    bar = _bar(parts, block.whole, block)
    return _figure(block.title, f'{bar}<table class="parts">{rows}</table>')


def write_bars(block: Bars) -> str:
    """A row for each bar, all on one scale, and what the colours mean."""
    most = block.longest
    rows = "".join(
        f"<span>{escape(bar.label)}</span>{_bar(bar.parts, most, block)}"
        f'<span class="number">{figures.write(bar.total, block.unit)}</span>'
        for bar in block.bars
    )
    legend = write_legend([(part.name, part.meaning) for part in block.key()])
    return _figure(block.title, f'<div class="rows">{rows}</div>{legend}')


def write_legend(names: Sequence[tuple[str, str]]) -> str:
    """Legend of colours, from pairs of a name and a meaning."""
    items = "".join(
        f'<span><i class="swatch" style="background:var(--{meaning})"></i>{escape(name)}</span>'
        for name, meaning in names
    )
    return f'<div class="legend">{items}</div>'


def _bar(parts: Sequence[Part], whole: float, block: StackedBar | Bars) -> str:
    pieces = "".join(
        f'<i style="width:{part.value / whole * 100:.3f}%;background:var(--{part.meaning})" '
        f'title="{escape(part.name)}: {figures.write(part.value, block.unit)}"></i>'
        for part in parts
        if part.value > 0
    )
    return f'<div class="bar">{pieces}</div>'


def _swatch(part: Part) -> str:
    return f'<i class="swatch" style="background:var(--{part.meaning})"></i>'


def _heading(title: str) -> str:
    return f"<h3>{escape(title)}</h3>" if title else ""


def _figure(title: str, drawn: str) -> str:
    caption = f"<figcaption>{escape(title)}</figcaption>" if title else ""
    return f'<figure class="block">{caption}{drawn}</figure>'


def _class(is_number: bool) -> str:
    return ' class="number"' if is_number else ""
