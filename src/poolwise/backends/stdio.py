"""What the workers of a pool write to their descriptors 1 and 2, as events of their lanes."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from poolwise.core import contract as c
from poolwise.wire.stdio import StdioReader, StdioRedirect, open_stdio

if TYPE_CHECKING:
    from collections.abc import Callable


class StdioReaders:
    """Reads a pool's stdio when there is something to read.

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
        self._readers: dict[int, list[StdioReader]] = {}

    def open(self, lane: int) -> StdioRedirect:
        """What is handed to a lane's worker, and closed here afterwards.

        :raises OSError: there are no more descriptors to be had.
        """
        self._readers[lane], redirect = open_stdio()
        for reader in self._readers[lane]:
            if reader.fd is not None:
                self._watch(reader.fd, select.POLLIN, lambda _, one=reader: self._read(lane, one))  # type: ignore[misc]
        return redirect

    def read(self, lane: int, *, ends_line: bool) -> None:
        """Tell what it wrote until now.

        :param ends_line: nothing of it runs any more: lines that have no end leave too.
        """
        for reader in self._readers.get(lane, ()):
            self._read(lane, reader)
            if ends_line:
                self._say(lane, reader, reader.end_line())

    def close(self, lane: int) -> None:
        """The worker is gone."""
        for reader in self._readers.pop(lane, ()):
            if reader.fd is not None:
                self._unwatch(reader.fd)
                reader.close()

    def _read(self, lane: int, reader: StdioReader) -> None:
        fd = reader.fd
        self._say(lane, reader, reader.read())
        if reader.fd is None and fd is not None:
            self._unwatch(fd)

    def _say(self, lane: int, reader: StdioReader, text: str) -> None:
        if text:
            self._tell(c.LaneSpoke(lane, reader.stream, text, None))
