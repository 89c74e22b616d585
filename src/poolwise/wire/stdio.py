"""Redirection of a worker's descriptors 1 and 2 to the parent.

They carry what is written past Python's streams: by C code, ``os.write``, programs that a task
starts, the stacks of a crash. The parent reads a pipe for each of the two, so nothing is lost with
the worker, and no thread of the worker is needed, which C code that holds the GIL would block.
"""

from __future__ import annotations

import os
from typing import Any

from poolwise.system import descriptors
from poolwise.wire import pipes

STREAMS = (("stdout", 1), ("stderr", 2))

_READ_BYTES = 64 * 1024
_LONGEST_LINE_BYTES = 64 * 1024
"""A longer line is told in parts."""


class StdioReader:
    """The parent's end of one of a worker's two descriptors.

    :param fd: the read end of a pipe; it is this object's own from now on.
    """

    def __init__(self, stream: str, fd: int) -> None:
        self.stream = stream
        self.fd: int | None = descriptors.own(fd)
        self._rest = b""
        os.set_blocking(fd, False)

    def read(self) -> str:
        """The whole lines that have come, and what is left when the last writer has gone."""
        whole: list[bytes] = []
        while self.fd is not None:
            try:
                data = os.read(self.fd, _READ_BYTES)
            except BlockingIOError:
                break
            if not data:
                self.close()
                whole.append(self._take_rest())
            else:
                lines, end, self._rest = (self._rest + data).rpartition(b"\n")
                whole.append(lines + end)
            if len(self._rest) > _LONGEST_LINE_BYTES:
                whole.append(self._take_rest())
        return b"".join(whole).decode(errors="backslashreplace")

    def end_line(self) -> str:
        """The line that has no end yet, with one: its task is over."""
        return self._take_rest().decode(errors="backslashreplace")

    def close(self) -> None:
        """Read no more."""
        if self.fd is not None:
            fd, self.fd = self.fd, None
            descriptors.disown(fd)

    def _take_rest(self) -> bytes:
        rest, self._rest = self._rest, b""
        return rest + b"\n" if rest else b""


class StdioRedirect:
    """The worker's ends, on their way into it by any start method."""

    def __init__(self, fds: tuple[int, ...]) -> None:
        self._fds: tuple[Any, ...] = fds

    def __getstate__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        return tuple(map(DupFd, self._fds))

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._fds = state

    def take(self) -> None:
        """In the worker: what goes to descriptors 1 and 2 goes to the parent from now on."""
        for fd, (_, number) in zip(self._fds, STREAMS, strict=True):
            inherited = fd if isinstance(fd, int) else fd.detach()
            os.dup2(inherited, number)
            os.close(inherited)

    def close(self) -> None:
        """In the parent, when the worker has its copies."""
        for fd in self._fds:
            os.close(fd)


def open_stdio() -> tuple[list[StdioReader], StdioRedirect]:
    """A pipe for each stream.

    :raises OSError: there are no more descriptors to be had.
    """
    ends = pipes.open_two(os.pipe)
    inlets = [
        StdioReader(name, reader) for (name, _), (reader, _) in zip(STREAMS, ends, strict=True)
    ]
    return inlets, StdioRedirect(tuple(writer for _, writer in ends))
