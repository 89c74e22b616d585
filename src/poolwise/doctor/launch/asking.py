"""Asks a program what its first thread is doing, where that may be what all else waits for.

The answer is given inside the program by `boot/_poolwise_observer/serial.py`. A program is only
asked while its first thread computes, so that no system call is cut short; only if it does so for
much of the time, so that others are left alone; and only as long as it still listens, so that one
that gave the signal another meaning is not ended by it.
"""

from __future__ import annotations

import os
import signal
import time

OFFSET = 19
"""Number among the real-time signals; the same as in `serial.py`."""

LEAST_S = 0.25
"""A program that was serial for less is not worth a question (`rules.pw020_serial_parent`)."""

LEAST_SHARE = 0.4
"""Share of looks that must have found the first thread computing."""

COST_S, BUDGET = 50e-6, 0.005
"""CPU time of an answer, and the share of the time that all of them may take."""


class Asker:
    """Asks the process with this number, as often as it is worth it."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._began_s = time.monotonic()
        self._looks = self._busy = self.asked = 0

    def saw(self, state: str) -> None:
        """The first thread was in this state a moment ago."""
        self._looks += 1
        self._busy += state == "R"
        if state == "R" and self._is_worth_it() and self._listens():
            self.asked += 1
            os.kill(self._root, signal.SIGRTMIN + OFFSET)

    def _is_worth_it(self) -> bool:
        elapsed_s = time.monotonic() - self._began_s
        is_candidate = elapsed_s > LEAST_S and self._busy > LEAST_SHARE * self._looks
        return is_candidate and self.asked * COST_S < BUDGET * elapsed_s

    def _listens(self) -> bool:
        """True if the program still has a handler for it."""
        try:
            with open(f"/proc/{self._root}/status", encoding="ascii") as file:
                caught = next(line for line in file if line.startswith("SigCgt:"))
        except (OSError, StopIteration):  # it has just ended
            return False
        return bool(int(caught.split()[1], 16) >> (signal.SIGRTMIN + OFFSET - 1) & 1)
