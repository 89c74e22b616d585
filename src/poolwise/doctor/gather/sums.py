"""Small sums over records: distributions, unions of intervals, how many at a time. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from poolwise.doctor.evidence.features import Distribution

Span = tuple[int, int]

SERIES = 4096
"""Limit of item times kept in order; neighbours are averaged beyond."""


def distribute(values_ns: Sequence[float], index_of_max: int | None = None) -> Distribution | None:
    """A sample of durations in nanoseconds as a distribution in seconds; None when empty."""
    if not values_ns:
        return None
    ordered = sorted(value / 1e9 for value in values_ns)
    return Distribution(len(ordered), quantile(ordered, 0.5), ordered[-1], index_of_max)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of an ordered, non-empty sample lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def unite(spans: Iterable[Span]) -> list[Span]:
    """The union of intervals, in order."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        elif end > begin:
            found.append((begin, end))
    return found


def length(spans: Iterable[Span]) -> int:
    """The total length of intervals that do not overlap."""
    return sum(end - begin for begin, end in spans)


def levels(spans: Iterable[Span]) -> Counter[int]:
    """Time for which 1, 2, 3, ... of the intervals were open."""
    steps = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    found: Counter[int] = Counter()
    open_now = at = 0
    for time, change in steps:
        if open_now > 0:
            found[open_now] += time - at
        open_now, at = open_now + change, time
    return found


def mean_level(found: Counter[int]) -> float:
    """The average number of open ones, while any was."""
    whole = sum(found.values())
    return sum(level * time for level, time in found.items()) / whole if whole else 0.0


def shorten(values: Sequence[float], most: int = SERIES) -> list[float]:
    """A series with neighbours averaged, so that at most so many values are left."""
    step = -(-len(values) // most) if values else 1
    return [
        math.fsum(values[i : i + step]) / len(values[i : i + step])
        for i in range(0, len(values), step)
    ]
