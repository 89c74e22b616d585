"""Blocks of a report: small frozen values, which renderers draw.

A block knows its numbers and what they mean, never how it is drawn. Times are in seconds, sizes in
bytes, shares between 0 and 1; a ``unit`` names which, and the renderers write them for people.
Colours are meanings (``palette.Meaning``), so that the same state looks the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, Union

from poolwise.report import figures

if TYPE_CHECKING:
    from poolwise.account.states import Meaning
    from poolwise.report.figures import Unit

Tone = Literal["good", "fair", "bad", "plain"]
"""Tone of a verdict: nothing to do, could be better, is the problem, neutral."""

Cell: TypeAlias = Union[str, float, None]  # noqa: UP007 - evaluated on Python 3.10
"""Cell of a table: words, a number in its column's unit, or nothing."""


# -- words


@dataclass(frozen=True)
class Verdict:
    """Headline of a report, in words, before any number.

    :param label: what kind of sentence it is: "DIAGNOSIS", "POOL".
    :param place: where it is, as ``script.py:12  pool.map(work)``.
    :param details: sentences that follow from it, most important first.
    """

    headline: str
    tone: Tone = "plain"
    label: str = ""
    place: str = ""
    details: Sequence[str] = ()


@dataclass(frozen=True)
class Text:
    """Paragraphs. ``is_aside`` makes them small print."""

    words: str
    is_aside: bool = False


@dataclass(frozen=True)
class Code:
    """Source text that the reader may copy. Language "diff" shows a change to a file."""

    source: str
    title: str = ""
    language: Literal["python", "diff", "console"] = "python"


@dataclass(frozen=True)
class Column:
    """One column of a table; numbers are written in its unit and stand to the right."""

    name: str
    unit: Unit = ""

    def write(self, cell: Cell) -> str:
        """A cell of this column in words."""
        if cell is None:
            return ""
        return cell if isinstance(cell, str) else figures.write(cell, self.unit)


@dataclass(frozen=True)
class Table:
    """Rows of cells. ``strong_rows`` (by position) are sums or results, and stand out."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    title: str = ""
    strong_rows: Sequence[int] = ()

    def is_number(self, at: int) -> bool:
        """True if a column holds numbers: some, and no words."""
        cells = [row[at] for row in self.rows if row[at] is not None]
        return bool(cells) and not any(isinstance(cell, str) for cell in cells)


# -- quantities


@dataclass(frozen=True)
class Part:
    """One named share of a whole. ``letter`` stands for it where there are no colours."""

    name: str
    value: float
    meaning: Meaning = "other"
    note: str = ""
    letter: str = ""


@dataclass(frozen=True)
class StackedBar:
    """A whole in its parts, in the order given; with one row of words for each part.

    :param total: the whole; if the parts sum to less, the rest of the bar stays empty.
    """

    parts: Sequence[Part]
    title: str = ""
    unit: Unit = "s"
    total: float | None = None

    @property
    def whole(self) -> float:
        """The total, or the sum of the parts where none was given or they exceed it."""
        return max(self.total or 0.0, sum(part.value for part in self.parts))


@dataclass(frozen=True)
class Bar:
    """One row of :class:`Bars`."""

    label: str
    parts: Sequence[Part]

    @property
    def total(self) -> float:
        """The sum of the parts."""
        return sum(part.value for part in self.parts)


@dataclass(frozen=True)
class Bars:
    """Several things side by side on one scale, each in its parts."""

    bars: Sequence[Bar]
    title: str = ""
    unit: Unit = "s"

    @property
    def longest(self) -> float:
        """The total of the longest bar, which sets the scale."""
        return max((bar.total for bar in self.bars), default=0.0)

    def key(self) -> list[Part]:
        """One part of each name that can be seen in some bar: what must be explained."""
        least = self.longest / 250
        seen = [part for bar in self.bars for part in bar.parts if part.value > least]
        return list({part.name: part for part in seen}.values())


@dataclass(frozen=True)
class Waterfall:
    """Waterfall from a whole, by losses one after the other, to what remains."""

    start: Part
    losses: Sequence[Part]
    end: Part
    title: str = ""
    unit: Unit = "s"


@dataclass(frozen=True)
class Treemap:
    """Treemap of a quantity: parts of parts. A leaf's path leads from the outside in."""

    leaves: Sequence[Leaf]
    title: str = ""
    unit: Unit = "bytes"


@dataclass(frozen=True)
class Leaf:
    """One leaf of a :class:`Treemap`."""

    path: Sequence[str]
    value: float
    note: str = ""


@dataclass(frozen=True)
class Mark:
    """A named value on an axis: the median, a limit, where we are now."""

    name: str
    value: float


@dataclass(frozen=True)
class Histogram:
    """Counts of values between edges: ``len(edges) == len(counts) + 1``."""

    edges: Sequence[float]
    counts: Sequence[int]
    title: str = ""
    unit: Unit = "s"
    marks: Sequence[Mark] = ()
    is_log: bool = False


# -- curves


@dataclass(frozen=True)
class Axis:
    """One axis of a :class:`Curve`."""

    name: str
    unit: Unit = ""
    is_log: bool = False


@dataclass(frozen=True)
class Line:
    """Points that belong together, by rising x; ``low`` and ``high`` bound a band around them.

    ``is_stepped``: each value holds until the next (an amount over time), else it is joined.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    meaning: Meaning = "work"
    is_stepped: bool = False


@dataclass(frozen=True)
class Dots:
    """Points that were measured, one by one."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    meaning: Meaning = "other"


@dataclass(frozen=True)
class Curve:
    """Lines with their bands, measured dots, and the point where we are now."""

    x: Axis
    y: Axis
    lines: Sequence[Line]
    title: str = ""
    dots: Sequence[Dots] = ()
    now: tuple[float, float] | None = None


# -- time


class Span(NamedTuple):
    """One lane in one state for a while. ``label`` says more, where there is more to say."""

    lane: int
    start_s: float
    end_s: float
    state: int
    label: str = ""


@dataclass(frozen=True)
class Lane:
    """One row of a :class:`Timeline`: a worker, a thread of the parent. Groups stay together."""

    name: str
    group: str = ""


@dataclass(frozen=True)
class State:
    """State of a lane: its name and colour."""

    name: str
    meaning: Meaning = "other"


@dataclass(frozen=True)
class Timeline:
    """Timeline of states: lanes from top to bottom, time from left to right.

    Spans name their lane and state by position, and do not overlap within a lane.
    """

    lanes: Sequence[Lane]
    states: Sequence[State]
    spans: Sequence[Span]
    title: str = ""

    @property
    def start_s(self) -> float:
        """Begin of the first span; 0 without any."""
        return min((span.start_s for span in self.spans), default=0.0)

    @property
    def end_s(self) -> float:
        """End of the last span; 0 without any."""
        return max((span.end_s for span in self.spans), default=0.0)


# -- the whole


@dataclass(frozen=True)
class Section:
    """Blocks under a heading."""

    title: str
    blocks: Sequence[Block]


Block: TypeAlias = Union[
    Verdict, Text, Code, Table, StackedBar, Bars, Waterfall, Treemap, Histogram, Curve,
    Timeline, "Section",
]  # fmt: skip


@dataclass(frozen=True)
class Document:
    """A report. A terminal shows the summary, one screen of it; a page shows everything.

    :param record: the plain data it was made of, kept inside the page for programs to read.
    """

    title: str
    summary: Sequence[Block]
    details: Sequence[Block] = ()
    record: object = None
