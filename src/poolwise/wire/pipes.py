"""Pipes: pairs of them for lanes, and the one that ends a wait (POSIX)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from poolwise.system.descriptors import disown, own

PIPE_BYTES = 256 * 1024
"""Room asked for in each pipe. 64 KiB, the default, makes a writer of chunks of that size wait
for the reader; 1 MiB empties the user's allowance (pipe-user-pages-soft) at 64 pipes."""


def open_pipe() -> tuple[int, int]:
    """A pipe with room for :data:`PIPE_BYTES` where the system grants it: (read end, write end)."""
    reader, writer = os.pipe()
    if sys.platform == "linux":
        import fcntl

        try:
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            pass  # the user's allowance is used up: the default size works, only slower
    return reader, writer


def open_two(
    make: Callable[[], tuple[int, int]] = open_pipe,
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Two pipes, or none.

    :raises OSError: there are no more descriptors to be had.
    """
    first = make()
    try:
        return first, make()
    except OSError:
        for fd in first:
            os.close(fd)
        raise


class WakePipe:
    """Ends a wait from any thread and any signal's handler.

    Who wakes holds it meanwhile, and its descriptors are closed when nobody does any more: else a
    byte might be written to a file that was opened at their number in this very moment.

    :param ends: of a pipe; they belong to it from here on.
    """

    def __init__(self, ends: tuple[int, int]) -> None:
        self.reader, self._writer = ends
        self._pid = os.getpid()
        for fd in ends:
            os.set_blocking(own(fd), False)

    def wake(self) -> None:
        """End the wait, or the next one."""
        try:
            os.write(self._writer, b"w")
        except BlockingIOError:
            pass  # full: it will wake

    def drain(self, _: int = 0) -> None:
        """Forget that it was woken."""
        try:
            os.read(self.reader, 4096)
        except BlockingIOError:
            pass

    def __del__(self) -> None:
        if self._pid == os.getpid():  # a forked child has closed its copies
            disown(self.reader)
            disown(self._writer)


def count_unread(fd: int) -> int | None:
    """Count the unread bytes of a pipe, at its write end; None where this is unknown."""
    if sys.platform != "linux":
        return None
    import fcntl
    import termios

    return int.from_bytes(fcntl.ioctl(fd, termios.FIONREAD, bytes(4)), sys.byteorder)
