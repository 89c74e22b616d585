"""Blocks that plotly draws, as the plain data it takes. ``ink:work`` is a colour of the theme.

The figures are dicts and not objects of plotly's Python side: a page needs only its JavaScript, and
the tests check every figure against plotly's own schema.
"""

from __future__ import annotations

import math
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from poolwise.report import blocks as b
from poolwise.report import figures
from poolwise.report.html.words import write_legend as write_names

if TYPE_CHECKING:
    from collections.abc import Sequence

Plot = dict[str, Any]

_HEIGHT = 320
_TICKS: dict[figures.Unit, Plot] = {
    "s": {"tickformat": "~s", "ticksuffix": "s"},
    "bytes": {"tickformat": "~s", "ticksuffix": "B"},
    "count": {"tickformat": ",~r"},
    "share": {"tickformat": ".0%"},
    "": {},
}


def write_legend(block: b.Block) -> str:
    """Legend of the colours of a chart, where plotly draws none."""
    if not isinstance(block, b.Timeline):
        return ""
    present = sorted({span.state for span in block.spans})
    names = write_names([(block.states[at].name, block.states[at].meaning) for at in present])
    return f'{names}<p class="aside hint">Drag to look closer, double-click to see all.</p>'


# -- parts of a whole


def plot_waterfall(block: b.Waterfall) -> Plot:
    """Bars that begin where the one above ended."""
    rows = [block.start, *block.losses, block.end]
    left = block.start.value
    bases = [0.0]
    for loss in block.losses:
        left -= loss.value
        bases.append(left)
    bases.append(0.0)
    whole = block.start.value or 1.0
    said = [
        f"{figures.write(part.value, block.unit)}  {figures.share(part.value / whole)}"
        for part in rows
    ]
    bar = {
        "type": "bar",
        "orientation": "h",
        "x": [part.value for part in rows],
        "base": bases,
        "y": _unique([_plain(part.name) for part in rows]),
        "text": said,
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": [f"ink:{part.meaning}" for part in rows]},
        "hovertext": [_plain(part.note) or _plain(part.name) for part in rows],
        "hoverinfo": "text",
    }
    layout = {
        "xaxis": {**_TICKS[block.unit], "range": [0, whole * 1.18]},
        "yaxis": {"autorange": "reversed", "ticksuffix": "  "},
        "bargap": 0.35,
    }
    return _plot([bar], layout, height=80 + 30 * len(rows))


def plot_treemap(block: b.Treemap) -> Plot:
    """Boxes in boxes; a box that others stand in is as big as their sum."""
    boxes: dict[tuple[str, ...], float] = {}
    for leaf in block.leaves:
        for depth in range(1, len(leaf.path) + 1):
            path = tuple(leaf.path[:depth])
            boxes[path] = boxes.get(path, 0.0) + leaf.value
    notes = {tuple(leaf.path): leaf.note for leaf in block.leaves}
    outer = list(dict.fromkeys(path[0] for path in boxes))
    box = {
        "type": "treemap",
        "ids": [_id(path) for path in boxes],
        "parents": [_id(path[:-1]) for path in boxes],
        "labels": [_plain(path[-1]) for path in boxes],
        "values": list(boxes.values()),
        "branchvalues": "total",
        "text": [figures.write(value, block.unit) for value in boxes.values()],
        "hovertext": [_plain(notes.get(path, "")) for path in boxes],
        "textinfo": "label+text+percent root",
        "hoverinfo": "label+text",
        "marker": {
            "colors": [f"ink:{_BOXES[outer.index(path[0]) % len(_BOXES)]}" for path in boxes],
            "line": {"color": "ink:card", "width": 2},
        },
        "tiling": {"pad": 2},
        "pathbar": {"visible": False},
    }
    return _plot([box], {"margin": {"l": 0, "r": 0, "t": 0, "b": 0}}, height=_HEIGHT)


_BOXES = ("move_out", "move_in", "pickle", "start", "starved")


def _id(path: tuple[str, ...]) -> str:
    return "\x1f".join(path)


# -- how often


def plot_histogram(block: b.Histogram) -> Plot:
    """Bars side by side, on an axis that counts bins: so a logarithmic one looks as it should."""
    said = [
        f"{_between(block, at)}: {figures.count(number)}" for at, number in enumerate(block.counts)
    ]
    bars = {
        "type": "bar",
        "x": [at + 0.5 for at in range(len(block.counts))],
        "y": list(block.counts),
        "marker": {"color": "ink:work"},
        "hovertext": said,
        "hoverinfo": "text",
    }
    every = max(1, math.ceil(len(block.edges) / 9))
    shown = range(0, len(block.edges), every)
    marks = [_mark(block, mark, at) for at, mark in enumerate(block.marks)]
    layout = {
        "bargap": 0.04,
        "xaxis": {
            "tickvals": list(shown),
            "ticktext": [figures.write(block.edges[at], block.unit) for at in shown],
            "showgrid": False,
            "range": [-0.2, len(block.counts) + 0.2],
        },
        "yaxis": {"tickformat": ",d"},
        "shapes": [shape for shape, _ in marks],
        "annotations": [words for _, words in marks],
        "margin": {"l": 56, "r": 16, "t": 16 + 18 * len(marks), "b": 36},
    }
    return _plot([bars], layout, height=_HEIGHT)


def _between(block: b.Histogram, at: int) -> str:
    low, high = (figures.write(edge, block.unit) for edge in block.edges[at : at + 2])
    return f"{low} to {high}"


def _mark(block: b.Histogram, mark: b.Mark, row: int) -> tuple[Plot, Plot]:
    """A line across the chart and its name above; each name on a row of its own."""
    x = _place_among(block.edges, mark.value, is_log=block.is_log)
    line = {"color": "ink:soft", "width": 1.5, "dash": "dot"}
    shape = {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper", "line": line}
    words = {
        "x": x,
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "yshift": 18 * row,
        "xanchor": "right" if x > len(block.counts) * 0.75 else "left",
        "showarrow": False,
        "text": f"{_plain(mark.name)} {figures.write(mark.value, block.unit)}",
    }
    return shape, words


def _place_among(edges: Sequence[float], value: float, *, is_log: bool) -> float:
    """Position of a value on the axis that counts bins."""
    bend = math.log if is_log and edges[0] > 0 and value > 0 else float
    for at, (low, high) in enumerate(pairwise(edges)):
        if value <= high:
            length = bend(high) - bend(low)
            part = (bend(value) - bend(low)) / length if length else 0.0
            return at + max(0.0, part)
    return len(edges) - 1.0


# -- curves


def plot_curve(block: b.Curve) -> Plot:
    """Bands, lines, dots, and a diamond where we are now."""
    data: list[Plot] = []
    for line in block.lines:
        data += _band(line) if line.low and line.high else []
        data.append(_line(line, block))
    for dots in block.dots:
        data.append(_dots(dots.name, dots.x, dots.y, block, f"ink:{dots.meaning}", "circle"))
    if block.now is not None:
        data.append(_dots("now", [block.now[0]], [block.now[1]], block, "ink:bad", "diamond"))
    layout = {
        "xaxis": _axis(block.x),
        "yaxis": _axis(block.y),
        "showlegend": True,
        "hovermode": "closest",
        "margin": {"l": 64, "r": 16, "t": 30, "b": 52},
    }
    return _plot(data, layout, height=_HEIGHT + 20)


def _axis(axis: b.Axis) -> Plot:
    kind = {"type": "log", "dtick": "D2"} if axis.is_log else {"rangemode": "tozero"}
    return {**kind, **_TICKS[axis.unit], "title": {"text": _plain(axis.name), "standoff": 10}}


def _band(line: b.Line) -> list[Plot]:
    edge: Plot = {"type": "scatter", "mode": "lines", "x": list(line.x), "hoverinfo": "skip"}
    edge |= {"line": {"width": 0}, "showlegend": False}
    area = {"fill": "tonexty", "fillcolor": f"ink:{line.meaning}/20"}
    return [{**edge, "y": list(line.low)}, {**edge, **area, "y": list(line.high)}]


def _line(line: b.Line, block: b.Curve) -> Plot:
    shape = "hv" if line.is_stepped else "linear"
    return {
        "type": "scatter",
        "mode": "lines",
        "name": _plain(line.name),
        "x": list(line.x),
        "y": list(line.y),
        "line": {"color": f"ink:{line.meaning}", "width": 2, "shape": shape},
        "hovertext": _say_points(line.name, line.x, line.y, block),
        "hoverinfo": "text",
    }


def _dots(  # noqa: PLR0913 - points and how they look
    name: str, x: Sequence[float], y: Sequence[float], block: b.Curve, ink: str, symbol: str
) -> Plot:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": _plain(name),
        "x": list(x),
        "y": list(y),
        "marker": {
            "color": ink,
            "size": 11,
            "symbol": symbol,
            "line": {"color": "ink:card", "width": 1.5},
        },
        "hovertext": _say_points(name, x, y, block),
        "hoverinfo": "text",
    }


def _say_points(name: str, x: Sequence[float], y: Sequence[float], block: b.Curve) -> list[str]:
    return [
        f"{_plain(name)}<br>{_plain(block.x.name)} {figures.write(at, block.x.unit)}"
        f"<br>{_plain(block.y.name)} {figures.write(value, block.y.unit)}"
        for at, value in zip(x, y, strict=True)
    ]


# -- time


def plot_timeline(block: b.Timeline) -> Plot:
    """Spans by lane, in columns; ``page.js`` paints them as cells, as many as there are pixels."""
    lanes = _order_by_lane(block)
    row = max(7, min(30, 900 // max(1, len(lanes))))
    return {
        "kind": "timeline",
        "height": 60 + row * len(lanes),
        "start_s": block.start_s,
        "end_s": block.end_s,
        "states": [
            {"name": _plain(state.name), "meaning": state.meaning} for state in block.states
        ],
        "lanes": lanes,
    }


def _order_by_lane(block: b.Timeline) -> list[Plot]:
    """The spans of each lane as columns; an empty lane parts two groups."""
    spans: list[list[b.Span]] = [[] for _ in block.lanes]
    for span in sorted(block.spans):
        spans[span.lane].append(span)
    lanes: list[Plot] = []
    for at, lane in enumerate(block.lanes):
        if at and lane.group != block.lanes[at - 1].group:
            lanes.append(_columns("", []))
        lanes.append(_columns(_plain(lane.name), spans[at]))
    return lanes


def _columns(name: str, spans: list[b.Span]) -> Plot:
    return {
        "name": name,
        "start": [round(span.start_s, 7) for span in spans],
        "end": [round(span.end_s, 7) for span in spans],
        "state": [span.state for span in spans],
        "label": [_plain(span.label) for span in spans],
    }


# -- for all


def _plot(data: list[Plot], layout: Plot, *, height: int) -> Plot:
    return {"kind": "plot", "data": data, "layout": layout, "height": height}


def _plain(words: str) -> str:
    """Words as plotly shows them: it reads tags, and these are none."""
    return escape(words, quote=False)


def _unique(names: list[str]) -> list[str]:
    """Each name once: plotly would lay equal ones onto each other."""
    seen = [names[:at].count(name) for at, name in enumerate(names)]
    return [name + " " * times for name, times in zip(names, seen, strict=True)]
