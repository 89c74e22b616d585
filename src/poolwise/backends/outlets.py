"""What the workers of a pool write to their descriptors 1 and 2, as events of their lanes."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from poolwise.core import contract as c
from poolwise.wire.stdio import Inlet, Outlet, open_outlet

if TYPE_CHECKING:
    from collections.abc import Callable


class Outlets:
    """Reads a pool's outlets when there is something to read.

    :param watch: calls back when a descriptor is readable; ``unwatch`` ends that.
    :param tell: takes the events.
    """

    def __init__(
        self,
        watch: Callable[[int, int, Callable[[int], object]], None],
        unwatch: Callable[[int], None],
        tell: Callable[[c.Event], None],
    ) -> None:
        self._watch = watch
        self._unwatch = unwatch
        self._tell = tell
        self._inlets: dict[int, list[Inlet]] = {}

    def open(self, lane: int) -> Outlet:
        """What is handed to a lane's worker, and closed here afterwards.

        :raises OSError: there are no more descriptors to be had.
        """
        self._inlets[lane], outlet = open_outlet()
        for inlet in self._inlets[lane]:
            if inlet.fd is not None:
                self._watch(inlet.fd, select.POLLIN, lambda _, inlet=inlet: self._read(lane, inlet))  # type: ignore[misc]
        return outlet

    def read(self, lane: int, *, ends_line: bool) -> None:
        """Tell what it wrote until now.

        :param ends_line: nothing of it runs any more: lines that have no end leave too.
        """
        for inlet in self._inlets.get(lane, ()):
            self._read(lane, inlet)
            if ends_line:
                self._say(lane, inlet, inlet.end_line())

    def close(self, lane: int) -> None:
        """The worker is gone."""
        for inlet in self._inlets.pop(lane, ()):
            if inlet.fd is not None:
                self._unwatch(inlet.fd)
                inlet.close()

    def _read(self, lane: int, inlet: Inlet) -> None:
        fd = inlet.fd
        self._say(lane, inlet, inlet.read())
        if inlet.fd is None and fd is not None:
            self._unwatch(fd)

    def _say(self, lane: int, inlet: Inlet, text: str) -> None:
        if text:
            self._tell(c.LaneSpoke(lane, inlet.stream, text, None))
