"""Waiting for a descriptor: look a while, giving the CPU away between looks, then sleep.

A sleeping process is woken across CPUs in some 30 us on a virtual machine, and both sides of a
pipe pay that for every message. Looking finds the same message in 1 us, but only pays when it
comes soon. Whether it does cannot be seen from the length of a sleep (most of which may be the
waking), so looking is tried: what pays is done again, what does not is tried ever more rarely.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import select

_LOOK_NS = 80_000
"""Time to look: a little more than two processes need to wake each other
(``benchmarks/apply_one``)."""

_RAREST = 64
"""Waits after which looking is tried again where it never paid."""

_yield_cpu = getattr(os, "sched_yield", lambda: time.sleep(0))


class Waiter:
    """Waits on a poll object; learns whether looking before sleeping pays."""

    __slots__ = ("_poll", "_rests", "_rests_left")

    def __init__(self, poll: select.poll) -> None:
        self._poll = poll.poll
        self._rests = 0
        self._rests_left = 0

    def wait(self, timeout_s: float | None = None) -> list[tuple[int, int]]:
        """Wait for what is ready, ``timeout_s`` at most (None: without limit)."""
        ready = self._poll(0)
        if ready or timeout_s == 0:
            return ready
        return self._look() or self._poll(None if timeout_s is None else timeout_s * 1e3)

    def _look(self) -> list[tuple[int, int]]:
        if self._rests_left:
            self._rests_left -= 1
            return []
        poll, clock = self._poll, time.perf_counter_ns
        ready: list[tuple[int, int]] = []
        began_ns = clock()
        spent_ns = 0
        while not ready and spent_ns < _LOOK_NS:
            _yield_cpu()
            ready = poll(0)
            spent_ns = clock() - began_ns
        if spent_ns < _LOOK_NS:
            self._rests = 0
        else:
            # Nothing came, or another process had the CPU for a time slice: better to be woken.
            # That slice is some 3 ms, so a look that cost one is tried that much more rarely.
            self._rests = min(2 * self._rests + 1, _RAREST)
            self._rests_left = self._rests * (spent_ns // _LOOK_NS)
        return ready
