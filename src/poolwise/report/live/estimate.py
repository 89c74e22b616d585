"""How long it will still take, said so that it is true also when costs drift.

What is done is cut into twelve blocks, and a straight line is laid through what an item cost in
each. If the line rises or falls by more than chance (three standard errors), costs are taken to
drift and the line is followed to the middle of what is left; else their mean is taken. Beside that
stands what the last quarter cost, for costs may have jumped. The range that is said reaches from
the lower to the higher of the two, and by two standard errors of a prediction beyond them (textbook
linear regression). ``benchmarks/time_left.py`` prints how often the truth was within the range.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise

_MOST_SAMPLES = 256
_BLOCKS = 12
_RECENT = _BLOCKS // 4
_CHANCE = 3.0
_MARGIN = 2.0

_AGREEMENT = 1.3
"""Ends of a range that differ by less are said as one number."""


@dataclass(frozen=True)
class TimeLeft:
    """Seconds that are left: between ``low_s`` and ``high_s``."""

    low_s: float
    high_s: float

    @property
    def is_one(self) -> bool:
        """The ends of the range are as good as one."""
        return self.high_s <= self.low_s * _AGREEMENT

    @property
    def middle_s(self) -> float:
        """The number to say if only one is said."""
        return (self.low_s + self.high_s) / 2


class Estimator:
    """Takes notes of how far a call had come when, and extrapolates.

    The first note is where it begins to count: before it lies the start of the workers.
    """

    def __init__(self) -> None:
        self._done: list[int] = []
        self._at_s: list[float] = []

    def note(self, done: int, elapsed_s: float) -> None:
        """So many items were done after so many seconds."""
        if done <= (self._done[-1] if self._done else 0):
            return
        self._done.append(done)
        self._at_s.append(elapsed_s)
        if len(self._done) > _MOST_SAMPLES:  # keep the ends and every other one between
            del self._done[1:-1:2], self._at_s[1:-1:2]

    def rate(self, elapsed_s: float) -> float | None:
        """Items a second over the last quarter of what is done; None before there is anything.

        A pause since then that is longer than usual counts at once.
        """
        if len(self._done) < 2:  # noqa: PLR2004 - from somewhere to somewhere
            return self._done[0] / elapsed_s if self._done and elapsed_s > 0 else None
        items = (self._done[-1] - self._done[0]) / 4
        recent_s = self._at_s[-1] - self._time_at(self._done[-1] - items)
        quiet_s = elapsed_s - self._at_s[-1]
        usual_s = (self._at_s[-1] - self._at_s[0]) / (len(self._done) - 1)
        if quiet_s > 2 * usual_s:
            recent_s += quiet_s
        return items / recent_s if recent_s > 0 else None

    def time_left(self, items: int, elapsed_s: float) -> TimeLeft | None:
        """How long the rest of ``items`` will take; None before there is enough to go by."""
        if len(self._done) < _BLOCKS // 2:
            return None
        block = (self._done[-1] - self._done[0]) / _BLOCKS
        ends_s = [self._time_at(self._done[0] + at * block) for at in range(_BLOCKS + 1)]
        blocks_s = [end - start for start, end in pairwise(ends_s)]
        left = (items - self._done[-1]) / block
        expected_s, error_s = predict(blocks_s, left)
        recent_s = sum(blocks_s[-_RECENT:]) / _RECENT
        quiet_s = elapsed_s - self._at_s[-1]
        low_s = left * (min(expected_s, recent_s) - _MARGIN * error_s) - quiet_s
        high_s = left * (max(expected_s, recent_s) + _MARGIN * error_s) - quiet_s
        return TimeLeft(max(0.0, low_s), max(0.0, high_s))

    def _time_at(self, done: float) -> float:
        """When so many were done, between two notes in proportion."""
        at = min(bisect_left(self._done, done), len(self._done) - 1)
        if self._done[at] <= done or not at:
            return self._at_s[at]
        part = (done - self._done[at - 1]) / (self._done[at] - self._done[at - 1])
        return self._at_s[at - 1] + part * (self._at_s[at] - self._at_s[at - 1])


def predict(blocks_s: list[float], left: float) -> tuple[float, float]:
    """What each of ``left`` more blocks will take on average, and the standard error of that."""
    count = len(blocks_s)
    mean_s, middle = sum(blocks_s) / count, (count - 1) / 2
    spread = sum((at - middle) ** 2 for at in range(count))
    slope = sum((at - middle) * value for at, value in enumerate(blocks_s)) / spread
    line = [mean_s + slope * (at - middle) for at in range(count)]
    squares = sum((value - on) ** 2 for value, on in zip(blocks_s, line, strict=True))
    deviation = math.sqrt(squares / (count - 2))
    weight = 1 / count + 1 / max(left, 1e-9)
    if abs(slope) <= _CHANCE * deviation / math.sqrt(spread):
        deviation = math.sqrt(sum((value - mean_s) ** 2 for value in blocks_s) / (count - 1))
        return mean_s, deviation * math.sqrt(weight)
    ahead = (count + left) / 2  # from the middle of what is done to the middle of what is left
    error_s = deviation * math.sqrt(weight + ahead**2 / spread)
    return max(min(blocks_s) / 4, mean_s + slope * ahead), error_s


def say_time(seconds: float) -> str:
    """A duration as coarse as an estimate is: ``3 s``, ``40 s``, ``1 min 20 s``, ``2 h 10 min``."""
    if seconds < 10:  # noqa: PLR2004 - from here on in steps of five
        return f"{max(1, round(seconds))} s"
    if seconds < 58:  # noqa: PLR2004 - rounds to a minute
        return f"{5 * round(seconds / 5)} s"
    if seconds < 595:  # noqa: PLR2004 - rounds to ten minutes
        minutes, rest = divmod(10 * round(seconds / 10), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    minutes = round(seconds / 60)
    hours, rest = divmod(5 * round(minutes / 5), 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def say_left(left: TimeLeft | None) -> str:
    """``40 s left``, ``2 min to 5 min left``, or nothing."""
    if left is None:
        return ""
    low, high = say_time(left.low_s), say_time(left.high_s)
    if left.is_one or low == high:
        return f"{say_time(left.middle_s)} left"
    unit = high.rpartition(" ")[2]
    is_short = low.count(" ") == high.count(" ") == 1 and low.endswith(" " + unit)
    return f"{low.partition(' ')[0] if is_short else low} to {high} left"


def say_rate(rate: float | None) -> str:
    """``512 items/s``, or ``3.2 s an item`` where that is easier to imagine."""
    if not rate:
        return ""
    if rate >= 1:
        return f"{rate:,.0f} items/s" if rate >= 10 else f"{rate:.1f} items/s"  # noqa: PLR2004
    return f"{say_time(1 / rate)} an item" if rate < 0.1 else f"{1 / rate:.1f} s an item"  # noqa: PLR2004
