"""A thread sleeps until it is rung for."""

from __future__ import annotations

from _queue import Empty, SimpleQueue  # as in queue.py, which imports more than a worker needs
from collections.abc import Callable


class Bell:
    """One thread waits, others ring; a ring that nobody waits for is kept until somebody does.

    A queue in C. A ``threading.Event`` has a lock of its own, and keeps it for ever if a signal's
    handler raises in the moment in which it was taken.
    """

    __slots__ = ("_rings",)

    def __init__(self) -> None:
        self._rings: SimpleQueue[object] = SimpleQueue()

    def ring(self) -> None:
        """End the wait, or the next one."""
        if self._rings.empty():
            self._rings.put(None)

    @property
    def ring_as_callback(self) -> Callable[[object], object]:
        """Rings when it is called with anything; for weak references.

        No Python code runs in it, so no handler of a signal can raise in the middle of it: in
        the callback of a weak reference that would be printed, and the program would go on.
        """
        return self._rings.put

    def wait(self, timeout_s: float | None = None) -> None:
        """Return when it rings, or after ``timeout_s`` (None: no limit)."""
        try:
            self._rings.get(True, None if timeout_s is None else max(0.0, timeout_s))
        except Empty:
            pass

    def clear(self) -> None:
        """Forget a ring that nobody has waited for."""
        try:
            while not self._rings.empty():
                self._rings.get_nowait()
        except Empty:
            pass  # somebody else has heard it in this very moment
