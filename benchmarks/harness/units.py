"""How values are printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Unit:
    """A word for the table's head, and how one value reads."""

    word: str
    show: Callable[[float], str]


def show_seconds(value: float) -> str:
    for scale, suffix in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= scale:
            return f"{value / scale:.3g} {suffix}"
    return f"{value * 1e9:.3g} ns"


def show_count(value: float) -> str:
    return f"{value:,.0f}"


def show_bytes(value: float) -> str:
    return f"{value / 1e6:,.1f} MB"


SECONDS = Unit("time", show_seconds)
SECONDS_PER_ITEM = Unit("time per item", show_seconds)
COUNT = Unit("count", show_count)
BYTES = Unit("bytes", show_bytes)
