"""Run-queue latency of this thread: how long it was ready to run and got no CPU."""

from __future__ import annotations

import os
import sys


class RunQueue:
    """Reads the time that a thread of this process has spent waiting for a CPU.

    The second number of ``/proc/thread-self/schedstat`` (Linux; ``Documentation/scheduler/
    sched-stats.rst``): it counts waiting behind other threads and standing still because a CPU
    quota was spent, and costs about 2 us. Elsewhere, and where ``/proc`` is hidden, it stays 0.

    :param thread: the system's number of the thread; None is the one that makes this.
    """

    __slots__ = ("_fd",)

    def __init__(self, thread: int | None = None) -> None:
        self._fd = -1
        if sys.platform == "linux":
            place = "thread-self" if thread is None else f"self/task/{thread}"
            try:
                self._fd = os.open(f"/proc/{place}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                pass

    @property
    def is_known(self) -> bool:
        """This system tells."""
        return self._fd >= 0

    def read_ns(self) -> int:
        """Nanoseconds without a CPU since the thread began."""
        return self.read()[1]

    def read(self) -> tuple[int, int]:
        """Nanoseconds on a CPU (as of the kernel's last tick) and without one; 0 if not known."""
        if self._fd < 0:
            return 0, 0
        try:
            on_ns, off_ns, _ = os.pread(self._fd, 64, 0).split()
            return int(on_ns), int(off_ns)
        except (OSError, ValueError):
            return 0, 0

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
