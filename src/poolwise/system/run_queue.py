"""Run-queue latency of this thread: how long it was ready to run and got no CPU."""

from __future__ import annotations

import os
import sys


class RunQueue:
    """Reads the time that the thread which made it has spent waiting for a CPU.

    The second number of ``/proc/thread-self/schedstat`` (Linux; ``Documentation/scheduler/
    sched-stats.rst``): it counts waiting behind other threads and standing still because a CPU
    quota was spent, and costs about 2 us. Elsewhere, and where ``/proc`` is hidden, it stays 0.
    """

    __slots__ = ("_fd",)

    def __init__(self) -> None:
        self._fd = -1
        if sys.platform == "linux":
            try:
                self._fd = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                pass

    @property
    def is_known(self) -> bool:
        """This system tells."""
        return self._fd >= 0

    def read_ns(self) -> int:
        """Nanoseconds without a CPU since the thread began."""
        if self._fd < 0:
            return 0
        try:
            return int(os.pread(self._fd, 64, 0).split()[1])
        except (OSError, IndexError, ValueError):
            return 0

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            try:
                os.close(fd)
            except OSError:
                pass  # closed by the program itself

    def __del__(self) -> None:
        self.close()
