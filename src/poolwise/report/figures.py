"""Numbers in tables and charts: three digits, and their unit."""

from __future__ import annotations

import math
from typing import Literal

from poolwise.quantities import say_bytes, say_digits, say_seconds, say_share

Unit = Literal["s", "bytes", "count", "share", ""]
"""Seconds, bytes, how many, a part of one; "" for a plain number."""

_DIGITS = 3


def write(value: float, unit: Unit) -> str:
    """The number in its unit: ``write(0.0123, "s")`` is ``12.3 ms``."""
    if not math.isfinite(value):
        return "?"
    return _WRITERS[unit](value)


def seconds(value: float) -> str:
    """A duration: ``830 ns``, ``12.3 ms``, ``4.93 s``, ``2 min 5 s``, ``1 h 2 min``."""
    return say_seconds(value, _DIGITS)


def size(value: float) -> str:
    """Bytes, in powers of 1000: ``512 bytes``, ``80.2 kB``, ``288 MB``."""
    return say_bytes(value, _DIGITS)


def share(value: float) -> str:
    """A part of one: ``93 %``, ``4.2 %``, ``<0.1 %``."""
    return say_share(value)


def count(value: float) -> str:
    """Format a count: ``50,000``; a mean of counts keeps its fraction while it is small."""
    return number(value)


def number(value: float) -> str:
    """A plain number: whole if it is, else in three digits."""
    if value == round(value):
        return f"{value:,.0f}"
    least = 0.01  # of a smaller one, these digits would all be zeros
    return f"{value:.2g}" if abs(value) < least else say_digits(value, _DIGITS)


_WRITERS = {"s": seconds, "bytes": size, "count": count, "share": share, "": number}
