"""CPUs in simulated time, shared evenly by all who compute.

Processor sharing rather than slices: then a little less CPU takes a little more time, and how much
of the CPUs a run was granted can be found by bisection. Pure: numbers in, seconds out.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Protocol

Action = Callable[[], None]


class Agenda(Protocol):
    """A clock that does things when their time has come."""

    @property
    def now_s(self) -> float:
        """Simulated seconds since the beginning."""

    def after(self, delay_s: float, action: Action) -> None:
        """Do this in so many seconds."""


class Cpus:
    """Some CPUs, of which each of n bursts has one, or an even share.

    :param cpus: any number, not only a whole one: what other programs leave of them.
    """

    def __init__(self, agenda: Agenda, cpus: float) -> None:
        self._agenda = agenda
        self._cpus = cpus
        self._done_s = self._at_s = 0.0  # work that a burst would have had since the beginning
        self._bursts: list[tuple[float, int, Action]] = []
        self._order = count()
        self._turn = 0

    def use(self, seconds: float, then: Action) -> None:
        """Compute for so long, then do that."""
        self._advance()
        heapq.heappush(self._bursts, (self._done_s + seconds, next(self._order), then))
        self._plan()

    @property
    def _speed(self) -> float:
        return min(1.0, self._cpus / len(self._bursts))

    def _advance(self) -> None:
        now_s = self._agenda.now_s
        if self._bursts:
            self._done_s += (now_s - self._at_s) * self._speed
        self._at_s = now_s

    def _plan(self) -> None:
        """Look again when the first of them will be through, if nobody comes before."""
        self._turn += 1
        turn = self._turn
        left_s = max(0.0, self._bursts[0][0] - self._done_s)
        self._agenda.after(left_s / self._speed, lambda: self._look(turn))

    def _look(self, turn: int) -> None:
        if turn != self._turn:
            return
        self._advance()
        over = []
        while self._bursts and self._bursts[0][0] <= self._done_s + 1e-9:
            over.append(heapq.heappop(self._bursts)[2])
        if self._bursts:
            self._plan()
        for then in over:
            then()
