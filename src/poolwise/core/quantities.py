"""Numbers as people say them: two or three digits, and a unit they know."""

from __future__ import annotations


def say_seconds(seconds: float) -> str:
    """``"5.9 s"``, ``"12 ms"``, ``"3.1 us"``, ``"2 min 5 s"``, ``"3 h 20 min"``."""
    if abs(seconds) >= 3600:  # noqa: PLR2004 - an hour
        hours, minutes = divmod(round(seconds / 60), 60)
        return f"{hours} h {minutes} min"
    if abs(seconds) >= 100:  # noqa: PLR2004 - three digits are enough
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest} s"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= size:
            return f"{_digits(seconds / size)} {unit}"
    return f"{_digits(seconds * 1e9)} ns" if seconds else "0 s"


def say_bytes(size_bytes: float) -> str:
    """``"288 MB"``, in powers of 1000."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= size:
            return f"{_digits(size_bytes / size)} {unit}"
    return f"{round(size_bytes)} bytes"


def say_share(share: float) -> str:
    """``"74 %"``, ``"0.3 %"``, ``"0 %"``."""
    percent = 100 * share
    return f"{percent:.0f} %" if percent >= 9.5 or not percent else f"{percent:.1f} %"  # noqa: PLR2004


def _digits(number: float) -> str:
    """Two digits at least: 5.9, 12, 288."""
    return f"{number:.1f}" if abs(number) < 9.95 else f"{number:.0f}"  # noqa: PLR2004 - rounds to 10
