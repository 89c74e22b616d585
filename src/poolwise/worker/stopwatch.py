"""One thread of control is in exactly one state at any time; how long in each is added up.

All readings are of one clock, ``time.perf_counter_ns``, and each ends one state and begins the
next. So the sums are complete by construction: they add up to the time since the watch was made.

Single durations are counted in steps that grow with them: 8 to each doubling, so 9 % wide.
"""

from __future__ import annotations

from math import log2
from time import perf_counter_ns

STEPS_PER_OCTAVE = 8


class Stopwatch:
    """Adds up the time in each of ``states`` states, numbered from 0.

    :param state: the one it begins in.
    """

    __slots__ = ("at_ns", "state", "totals")

    def __init__(self, states: int, state: int = 0) -> None:
        self.totals = [0] * states
        self.state = state
        self.at_ns = perf_counter_ns()

    def to(self, state: int) -> int:
        """Leave the state it is in for ``state``; returns the time, in ns."""
        now_ns = perf_counter_ns()
        self.totals[self.state] += now_ns - self.at_ns
        self.at_ns = now_ns
        self.state = state
        return now_ns

    def totals_at(self, now_ns: int) -> list[int]:
        """The sums as of ``now_ns``, without leaving the state; may be asked in any thread."""
        totals = self.totals.copy()
        totals[self.state] += max(0, now_ns - self.at_ns)
        return totals


def step_of(ns: float) -> int:
    """The step that a duration falls into."""
    return int(STEPS_PER_OCTAVE * log2(ns)) if ns > 1 else 0


def edge_ns(step: int) -> float:
    """Lower edge of a step."""
    return float(2 ** (step / STEPS_PER_OCTAVE))
