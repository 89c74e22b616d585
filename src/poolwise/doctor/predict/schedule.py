"""List scheduling: the time of items on some workers, handed out in chunks."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def makespan_s(costs_s: Sequence[float], workers: int, chunk: int) -> float:
    """Wall time when each free worker takes the next chunk of items, in order, at no cost.

    >>> makespan_s([1, 1, 4], workers=2, chunk=1), makespan_s([4, 1, 1], workers=2, chunk=1)
    (5, 4)
    """
    free_at = [0.0] * max(1, workers)
    step = max(1, chunk)
    for start in range(0, len(costs_s), step):
        heapq.heappush(free_at, heapq.heappop(free_at) + sum(costs_s[start : start + step]))
    return max(free_at)


def longest_first_s(costs_s: Sequence[float], workers: int) -> float:
    """Wall time when the longest items begin first, one by one."""
    return makespan_s(sorted(costs_s, reverse=True), workers, 1)
