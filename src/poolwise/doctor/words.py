"""Numbers as people read them."""

from __future__ import annotations

import math

_TIMES = ((1.0, 1.0, "s"), (1e-3, 1e3, "ms"), (0.0, 1e6, "us"))
_ONE_PERCENT = 0.01
_BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"))


def seconds(value_s: float) -> str:
    """12.3 s, 45 ms, 0.9 us: three digits at most.

    >>> seconds(0.0123), seconds(1.5), seconds(0)
    ('12.3 ms', '1.5 s', '0 s')
    """
    if value_s <= 0:
        return "0 s"
    for floor, factor, unit in _TIMES:
        if value_s >= floor:
            return f"{_three_digits(value_s * factor)} {unit}"
    raise AssertionError


def size(value_bytes: float) -> str:
    """1.2 MB, 640 bytes.

    >>> size(4_000_000), size(640)
    ('4 MB', '640 bytes')
    """
    for unit_bytes, unit in _BYTES:
        if value_bytes >= unit_bytes:
            return f"{_three_digits(value_bytes / unit_bytes)} {unit}"
    return f"{value_bytes:.0f} bytes"


def percent(share: float) -> str:
    """A share between 0 and 1.

    >>> percent(0.934), percent(0.004)
    ('93 %', '0.4 %')
    """
    return f"{share * 100:.{0 if share >= _ONE_PERCENT or share <= 0 else 1}f} %"


def count(number: float, thing: str = "") -> str:
    """50,000 messages.

    >>> count(50_000, "message"), count(1, "worker"), count(2, "process")
    ('50,000 messages', '1 worker', '2 processes')
    """
    if not thing:
        return f"{number:,.0f}"
    plural = "es" if thing.endswith("s") else "s"
    return f"{number:,.0f} {thing}{'' if number == 1 else plural}"


def _three_digits(value: float) -> str:
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    text = f"{value:.{min(digits, 2)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
