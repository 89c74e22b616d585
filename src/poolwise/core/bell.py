"""A thread sleeps until it is rung for."""

from __future__ import annotations

import threading


class Bell:
    """One thread waits, others ring; a ring that nobody waits for is kept until somebody does.

    A plain lock, held while the bell is silent. A ``threading.Event`` has a lock of its own, and
    keeps it for ever if a signal's handler raises in the moment in which it was taken.
    """

    __slots__ = ("_silence",)

    def __init__(self) -> None:
        self._silence = threading.Lock()
        self._silence.acquire()

    def ring(self) -> None:
        """End the wait, or the next one."""
        if self._silence.locked():
            try:
                self._silence.release()
            except RuntimeError:
                pass  # another thread rang in this very moment

    def wait(self, timeout_s: float | None = None) -> None:
        """Return when it rings, or after ``timeout_s`` (None: no limit)."""
        self._silence.acquire(timeout=-1 if timeout_s is None else max(0.0, timeout_s))

    def clear(self) -> None:
        """Forget a ring that nobody has waited for."""
        self._silence.acquire(blocking=False)
