"""Memory of workers as they tell it: how many there is room for, and which has grown too large."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poolwise.core.state import Lane


class Footprints:
    """Learns what a worker needs at most, and keeps all of them within a budget.

    :param total_bytes: for all workers together (None: no limit).
    :param growth_bytes: a worker that grew by more since its start is replaced (None: never).
    """

    def __init__(self, total_bytes: int | None, growth_bytes: int | None) -> None:
        self.total_bytes = total_bytes
        self.growth_bytes = growth_bytes
        self.largest_bytes = 0
        self.has_learned = False

    def has_outgrown(self, lane: Lane, own_bytes: int, peak_bytes: int) -> bool:
        """Note what a worker tells of itself; True if it is to be replaced.

        What it tells first is from before its first task.
        """
        self.largest_bytes = max(self.largest_bytes, peak_bytes)
        if lane.first_bytes is None:
            lane.first_bytes = own_bytes
            return False
        self.has_learned = True
        grown_bytes = own_bytes - lane.first_bytes
        return self.growth_bytes is not None and grown_bytes > self.growth_bytes

    def room(self, wanted: int) -> int:
        """Number of workers within the budget: one until its first tasks are done."""
        if self.total_bytes is None:
            return wanted
        if not self.has_learned:
            return 1
        return max(1, min(wanted, self.total_bytes // max(1, self.largest_bytes)))
