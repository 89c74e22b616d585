"""Rate of a call and the time that it still takes, by what its last items cost."""

from __future__ import annotations

from bisect import bisect_left


class Estimator:
    """Takes notes of how far a call had come when, and extrapolates.

    The first note is where it begins to count: before it lies the start of the workers.
    """

    def __init__(self) -> None:
        self._done: list[int] = []
        self._at_s: list[float] = []

    def note(self, done: int, elapsed_s: float) -> None:
        """Note that so many items were done after so many seconds."""
        if done <= (self._done[-1] if self._done else 0):
            return
        self._done.append(done)
        self._at_s.append(elapsed_s)
        most = 256  # then the ends are kept, and every other one between
        if len(self._done) > most:
            del self._done[1:-1:2], self._at_s[1:-1:2]

    def rate(self, elapsed_s: float) -> float | None:
        """Items a second over the last quarter of what is done; None before there is anything.

        A pause since then that is longer than usual counts at once.
        """
        if not self._done[1:]:
            return self._done[0] / elapsed_s if self._done and elapsed_s > 0 else None
        items, recent_s = self._last_quarter()
        quiet_s = elapsed_s - self._at_s[-1]
        usual_s = (self._at_s[-1] - self._at_s[0]) / (len(self._done) - 1)
        if quiet_s > 2 * usual_s:
            recent_s += quiet_s
        return items / recent_s if recent_s > 0 else None

    def time_left(self, items: int, elapsed_s: float) -> float | None:
        """Seconds that the rest of ``items`` takes at this rate; None before six notes."""
        enough = 6  # the first ones are mostly chance
        if len(self._done) < enough:
            return None
        recent, recent_s = self._last_quarter()
        left_s = (items - self._done[-1]) * recent_s / recent
        return max(0.0, left_s - (elapsed_s - self._at_s[-1]))

    def _last_quarter(self) -> tuple[float, float]:
        """A quarter of the items that were noted, the last ones, and the seconds they took."""
        items = (self._done[-1] - self._done[0]) / 4
        return items, self._at_s[-1] - self._time_at(self._done[-1] - items)

    def _time_at(self, done: float) -> float:
        """Time at which so many were done, between two notes in proportion."""
        at = min(bisect_left(self._done, done), len(self._done) - 1)
        if self._done[at] <= done or not at:
            return self._at_s[at]
        part = (done - self._done[at - 1]) / (self._done[at] - self._done[at - 1])
        return self._at_s[at - 1] + part * (self._at_s[at] - self._at_s[at - 1])


def say_time(seconds: float) -> str:
    """A duration as coarse as an estimate is: ``3 s``, ``40 s``, ``1 min 20 s``, ``2 h 10 min``."""
    in_fives_s, minute_s, ten_minutes_s = 10, 58, 595  # as they are rounded
    if seconds < in_fives_s:
        return f"{max(1, round(seconds))} s"
    if seconds < minute_s:
        return f"{5 * round(seconds / 5)} s"
    if seconds < ten_minutes_s:
        minutes, rest = divmod(10 * round(seconds / 10), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    minutes = round(seconds / 60)
    hours, rest = divmod(5 * round(minutes / 5), 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def say_rate(rate: float | None) -> str:
    """``512 items/s``, or ``3.2 s an item`` where that is easier to imagine."""
    if not rate:
        return ""
    whole = 10  # from there on without a decimal
    if rate >= 1:
        return f"{rate:,.0f} items/s" if rate >= whole else f"{rate:.1f} items/s"
    return f"{say_time(1 / rate)} an item" if 1 / rate > whole else f"{1 / rate:.1f} s an item"
