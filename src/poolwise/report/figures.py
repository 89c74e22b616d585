"""Numbers as people read them: three figures that matter, and a unit."""

from __future__ import annotations

import math
from typing import Literal

Unit = Literal["s", "bytes", "count", "share", ""]
"""Seconds, bytes, how many, a part of one; "" for a plain number."""

_TIMES = ((1.0, 1.0, "s"), (1e-3, 1e3, "ms"), (1e-6, 1e6, "µs"), (0.0, 1e9, "ns"))
_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB"))


def write(value: float, unit: Unit) -> str:
    """The number in its unit: ``write(0.0123, "s")`` is ``12.3 ms``."""
    if not math.isfinite(value):
        return "?"
    return _WRITERS[unit](value)


def seconds(value: float) -> str:
    """A duration: ``830 ns``, ``12.3 ms``, ``4.93 s``, ``2 min 05 s``, ``1 h 02 min``."""
    if value < 0:
        return "-" + seconds(-value)
    if value == 0:
        return "0 s"
    if value >= 99.95:  # noqa: PLR2004 - rounds to 100
        return _minutes(value)
    factor, name = next((f, name) for least, f, name in _TIMES if value >= least * 0.9995)
    return f"{_three(value * factor)} {name}"


def _minutes(value: float) -> str:
    whole = round(value)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004 - of an hour
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def size(value: float) -> str:
    """Bytes, in powers of 1000: ``512 B``, ``80.2 KB``, ``288 MB``."""
    if value < 0:
        return "-" + size(-value)
    for least, name in _SIZES:
        if value >= least * 0.9995:
            return f"{_three(value / least)} {name}"
    return f"{value:.0f} B"


def count(value: float) -> str:
    """How many: ``50,000``; a mean of counts keeps its fraction while it is small."""
    if value == round(value) or abs(value) >= 100:  # noqa: PLR2004 - three figures
        return f"{value:,.0f}"
    return _three(value)


def share(value: float) -> str:
    """A part of one: ``93 %``, ``4.2 %``, ``<0.1 %``."""
    percent = value * 100
    if percent and abs(percent) < 0.1:  # noqa: PLR2004 - what one decimal can say
        return "<0.1 %"
    if percent and abs(percent) < 9.95:  # noqa: PLR2004 - from there on, two figures are enough
        return f"{percent:.1f} %"
    return f"{percent:.0f} %"


def number(value: float) -> str:
    """A plain number: whole if it is, else in three figures."""
    return f"{value:,.0f}" if value == round(value) else _three(value)


def _three(value: float) -> str:
    """Three figures, whatever the size: ``4.93``, ``12.3``, ``288``."""
    magnitude = abs(value)
    if magnitude >= 99.95:  # noqa: PLR2004 - rounds to 100
        return f"{value:,.0f}"
    if magnitude >= 9.995:  # noqa: PLR2004 - rounds to 10
        return f"{value:.1f}"
    return f"{value:.2f}" if magnitude >= 0.01 else f"{value:.2g}"  # noqa: PLR2004 - two say nothing


_WRITERS = {"s": seconds, "bytes": size, "count": count, "share": share, "": number}
