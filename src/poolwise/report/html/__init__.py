"""A document as a page: one file that needs no network, or a fragment for a notebook.

Everything stands in the file: styles, data, and plotly, which draws the charts. The page forbids
itself to load anything (its Content-Security-Policy), so that a report of a private program stays
private.
"""

from __future__ import annotations

import json
import math
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from poolwise.report import blocks as b
from poolwise.report import extras
from poolwise.report.html import charts, words
from poolwise.report.palette import BAD, FAIR, GOOD, PALETTE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SCRIPT = "<script>{}</script>"


def render(document: b.Document) -> str:
    """The whole document as one HTML file.

    :raises ExtraMissing: it has charts, and plotly is not installed.
    """
    drawn: list[dict[str, Any]] = []
    body = _write_blocks([*document.summary, *document.details], drawn)
    scripts = [extras.plotly_source(), read_asset("page.js")] if drawn else []
    return Template(read_asset("page.html")).substitute(
        title=escape(document.title),
        style=_style(),
        body=body,
        record=to_json(document.record),
        charts=to_json(drawn),
        scripts="\n".join(map(_SCRIPT.format, scripts)),
    )


def render_fragment(document: b.Document) -> str:
    """The summary without scripts, for the output of a notebook's cell; charts are left out."""
    body = _write_blocks(document.summary, None)
    return f'<style>{_style()}</style><div class="poolwise"><main>{body}</main></div>'


def read_asset(name: str) -> str:
    """A file that stands beside this module."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def to_json(value: object) -> str:
    """JSON that may stand inside a script element: nothing in it can end the element."""
    text = json.dumps(_without_gaps(value), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _without_gaps(value: object) -> object:
    """Replace numbers that JSON has no word for by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_gaps(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_gaps(inner) for inner in value]
    return value


def _write_blocks(blocks: Sequence[b.Block], drawn: list[dict[str, Any]] | None) -> str:
    """The blocks in turn. Charts leave a place in the page and go to ``drawn``, if it is a list."""
    written = []
    for block in blocks:
        if isinstance(block, b.Section):
            written.append(f"<h2>{escape(block.title)}</h2>{_write_blocks(block.blocks, drawn)}")
        elif write := _WORDS.get(type(block)):
            written.append(write(block))
        elif drawn is not None:
            written.append(_write_chart(block, drawn))
    return "\n".join(written)


def _write_chart(block: b.Block, drawn: list[dict[str, Any]]) -> str:
    chart = _CHARTS[type(block)](block)
    drawn.append(chart)
    title = escape(getattr(block, "title", ""))
    return (
        f'<figure class="block"><figcaption>{title}</figcaption>'
        f'<div class="plot" data-chart="{len(drawn) - 1}" style="height:{chart["height"]}px"></div>'
        f"{charts.write_legend(block)}</figure>"
    )


def _style() -> str:
    light = {name: ink.light for name, ink in PALETTE.items()}
    dark = {name: ink.dark for name, ink in PALETTE.items()}
    light |= {"good": GOOD.light, "fair": FAIR.light, "bad": BAD.light}  # type: ignore[dict-item]
    dark |= {"good": GOOD.dark, "fair": FAIR.dark, "bad": BAD.dark, **_DARK}  # type: ignore[dict-item]
    written = ";".join(f"--{name}:{value}" for name, value in dark.items())
    return (
        f".poolwise{{{';'.join(f'--{name}:{value}' for name, value in light.items())}}}\n"
        f"{read_asset('style.css')}"
        f"@media (prefers-color-scheme: dark){{.poolwise:not([data-theme=light]){{{written}}}}}\n"
        f".poolwise[data-theme=dark]{{{written}}}\n"
    )


_DARK = {
    "page": "#14171b",
    "card": "#1a1e24",
    "text": "#e4e8ec",
    "soft": "#98a2ae",
    "line": "#2b313a",
    "code": "#1a1e24",
}

_WORDS: dict[type, Callable[[Any], str]] = {
    b.Verdict: words.write_verdict,
    b.Text: words.write_text,
    b.Code: words.write_code,
    b.Table: words.write_table,
    b.StackedBar: words.write_stacked_bar,
    b.Bars: words.write_bars,
}

_CHARTS: dict[type, Callable[[Any], dict[str, Any]]] = {
    b.Waterfall: charts.plot_waterfall,
    b.Treemap: charts.plot_treemap,
    b.Histogram: charts.plot_histogram,
    b.Curve: charts.plot_curve,
    b.Timeline: charts.plot_timeline,
}
