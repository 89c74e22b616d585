"""Numbers as people say them: a few digits, and a unit they know."""

from __future__ import annotations

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_NEARLY = 0.9995
"""Least value that three digits round up to one."""


def say_seconds(seconds: float, digits: int = 2) -> str:
    """``"5.9 s"``, ``"12 ms"``, ``"3.1 µs"``, ``"2 min 5 s"``, ``"3 h 20 min"``."""
    if seconds < 0:
        return "-" + say_seconds(-seconds, digits)
    if seconds >= 100 * _NEARLY:
        return _say_minutes(round(seconds))
    for size, unit in _TIMES:
        if seconds >= size * _NEARLY:
            return f"{say_digits(seconds / size, digits)} {unit}"
    least_s = 1e-11  # no clock tells less: it would read 0.00 ns
    return "0 s" if seconds < least_s else f"{say_digits(seconds * 1e9, digits)} ns"


def _say_minutes(seconds: int) -> str:
    if seconds < 60 * 60:
        return f"{seconds // 60} min {seconds % 60} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min"


def say_bytes(size_bytes: float, digits: int = 2) -> str:
    """``"288 MB"``, in powers of 1000."""
    if size_bytes < 0:
        return "-" + say_bytes(-size_bytes, digits)
    for size, unit in _SIZES:
        if size_bytes >= size * _NEARLY:
            return f"{say_digits(size_bytes / size, digits)} {unit}"
    return f"{round(size_bytes)} bytes"


def say_share(share: float) -> str:
    """``"74 %"``, ``"4.2 %"``, ``"<0.1 %"``, ``"0 %"``."""
    percent = share * 100
    if not percent:
        return "0 %"
    least = 0.1  # what one decimal can say
    return "<0.1 %" if abs(percent) < least else f"{say_digits(percent, 2)} %"


def say_digits(number: float, digits: int) -> str:
    """So many digits, or all that stand before the point: with two, 5.9, 12, 288, 1,234."""
    for decimals in range(digits - 1, 0, -1):
        said = f"{number:.{decimals}f}"
        if len(said.lstrip("-").partition(".")[0]) + decimals <= digits:
            return said
    return f"{number:,.0f}"
