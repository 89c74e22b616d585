"""CPUs in simulated time: given out in slices, and shared with other programs.

Pure: numbers in, seconds out.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Protocol

SLICE_S = 3e-3
"""Time for which one runs while another waits (base slice of EEVDF, 2 to 4 CPUs)."""

WAKE_UP_S = 1e-3
"""After so long a burst, a process that has just been woken takes the CPU."""

NOTHING = 1e-12
"""Below this, a number is what rounding left behind."""

Action = Callable[[], None]


class Agenda(Protocol):
    """A clock that does things when their time has come."""

    @property
    def now_s(self) -> float:
        """Simulated seconds since the beginning."""

    def after(self, delay_s: float, action: Action) -> None:
        """Do this in so many seconds."""


class Clock:
    """A queue of actions by their time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._next: list[tuple[float, int, Action]] = []
        self._order = count()

    def after(self, delay_s: float, action: Action) -> None:
        """Do this in so many seconds."""
        heapq.heappush(self._next, (self.now_s + delay_s, next(self._order), action))

    def run_until(self, is_over: Callable[[], bool]) -> float:
        """Let things happen until it is over; the time it then is."""
        while self._next and not is_over():
            self.now_s, _, action = heapq.heappop(self._next)
            action()
        return self.now_s


class _Burst:
    """Somebody's wish for a CPU."""

    __slots__ = ("left_s", "plan", "since_s", "slice_s", "then", "who")

    def __init__(self, who: object, left_s: float, then: Action) -> None:
        self.who = who
        self.left_s = left_s
        self.then = then
        self.plan = 0
        self.since_s = self.slice_s = 0.0


class Cpus:
    """C servers that are given out in slices; who wakes up may take one from who has run long."""

    def __init__(self, clock: Agenda, cpus: int, slice_s: float) -> None:
        self._clock = clock
        self._free = cpus
        self._slice_s = slice_s
        self._running: list[_Burst] = []
        self._waiting: deque[_Burst] = deque()
        self._leaving: _Burst | None = None

    def use(self, who: object, seconds: float, then: Action) -> None:
        """Compute for so long, then do that. Who has just computed goes on in the same slice."""
        burst = _Burst(who, max(seconds, NOTHING), then)
        if self._leaving is not None and self._leaving.who is who:
            before, self._leaving = self._leaving, None
            self._run(burst, before.slice_s)
            return
        if self._free > (self._leaving is not None):
            self._run(burst)
            return
        if not self._running:
            self._waiting.append(burst)
            return
        victim = min(self._running, key=lambda each: each.slice_s)
        if self._clock.now_s - victim.slice_s > WAKE_UP_S:
            self._stop(victim)
            self._waiting.append(victim)
            self._run(burst)
            return
        self._waiting.append(burst)
        for each in self._running:
            self._plan(each)

    def steal(self, seconds: float) -> None:
        """Take a CPU at once, for so long, from the burst that has run longest."""
        if self._free or not self._running:
            return
        victim = min(self._running, key=lambda each: each.slice_s)
        self._stop(victim)
        victim.left_s += seconds
        self._run(victim, victim.slice_s)

    def _run(self, burst: _Burst, slice_s: float | None = None) -> None:
        self._free -= 1
        burst.since_s = self._clock.now_s
        burst.slice_s = burst.since_s if slice_s is None else slice_s
        self._running.append(burst)
        self._plan(burst)

    def _plan(self, burst: _Burst) -> None:
        """Look at it again when it is done, or its slice is over and somebody waits."""
        end_s = burst.since_s + burst.left_s
        if self._waiting:
            end_s = min(end_s, max(burst.slice_s + self._slice_s, self._clock.now_s))
        burst.plan += 1
        plan = burst.plan
        self._clock.after(max(0.0, end_s - self._clock.now_s), lambda: self._look(burst, plan))

    def _look(self, burst: _Burst, plan: int) -> None:
        if plan != burst.plan:
            return
        self._stop(burst)
        if burst.left_s > NOTHING:
            self._waiting.append(burst)
        else:
            self._leaving = burst
            burst.then()
            self._leaving = None
        if self._free and self._waiting:
            self._run(self._waiting.popleft())

    def _stop(self, burst: _Burst) -> None:
        burst.left_s -= self._clock.now_s - burst.since_s
        burst.plan += 1
        self._running.remove(burst)
        self._free += 1


class Others:
    """Other programs: they compute for a part of each period, and rest."""

    def __init__(self, clock: Agenda, machine: Cpus, other_cpus: float, expected_s: float) -> None:
        self._clock = clock
        self._machine = machine
        self._count = -int(-other_cpus // 1) if other_cpus > 0 else 0
        self._share = other_cpus / self._count if self._count else 0.0
        self._period_s = max(0.01, expected_s / 300)

    def start(self) -> None:
        """Begin; they never end."""
        for _ in range(self._count):
            self._compute()

    def _compute(self) -> None:
        self._machine.use(object(), self._period_s * self._share, self._rest)

    def _rest(self) -> None:
        self._clock.after(self._period_s * (1 - self._share), self._compute)
