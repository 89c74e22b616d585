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
    is_nothing = seconds < 1e-11  # noqa: PLR2004 - no clock tells less: it would read 0.00 ns
    return "0 s" if is_nothing else f"{say_digits(seconds * 1e9, digits)} ns"


def _say_minutes(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:  # noqa: PLR2004 - of an hour
        return f"{minutes} min {rest} s"
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
    if percent and abs(percent) < 0.1:  # noqa: PLR2004 - what one decimal can say
        return "<0.1 %"
    decimals = 1 if percent and abs(percent) < 9.95 else 0  # noqa: PLR2004 - rounds to 10
    return f"{percent:.{decimals}f} %"


def say_digits(number: float, digits: int) -> str:
    """So many digits, or all that stand before the point: with two, 5.9, 12, 288, 1,234."""
    for decimals in range(digits - 1, 0, -1):
        said = f"{number:.{decimals}f}"
        if len(said.lstrip("-").partition(".")[0]) + decimals <= digits:
            return said
    return f"{number:,.0f}"
