"""Workers end with their parent, however it ends.

The parent alone holds the write end of a pipe that nobody ever writes to; the kernel closes it
with the parent. On Linux the worker asks the kernel for SIGKILL at that moment (``F_SETSIG``),
which needs no thread and stops even a task that never returns to Python. Elsewhere a daemon
thread waits for the end of the pipe.

``prctl(PR_SET_PDEATHSIG)``, the usual answer, watches the *thread* that forked, so a pool made in
a short-lived thread would lose its workers.
"""

from __future__ import annotations

import os
import signal
import sys

from poolwise.system import descriptors


class Lifeline:
    """The pipe that a pool's workers live with: they end when its writing end is closed.

    :param ends: of a pipe; they belong to it from here on, and are closed with it.
    """

    def __init__(self, ends: tuple[int, int]) -> None:
        self.reader, self._writer = ends
        self._pid = os.getpid()
        descriptors.own(self._writer)

    def close(self) -> None:
        """End the workers that are left."""
        if self.reader >= 0 and self._pid == os.getpid():  # a forked child has closed its copy
            descriptors.disown(self._writer)
            os.close(self.reader)
            self.reader = -1

    def __del__(self) -> None:
        self.close()


def die_with(life_fd: int) -> None:
    """End this process as soon as the other end of ``life_fd`` is closed."""
    if sys.platform == "linux":
        _ask_kernel(life_fd)
    else:
        _ask_thread(life_fd)


if sys.platform == "linux":
    import fcntl

    def _ask_kernel(life_fd: int) -> None:
        # Workers forked from one parent share the description behind the descriptor, and the
        # owner is kept there; opening it anew gives this worker one of its own.
        try:
            mine = descriptors.own(os.open(f"/proc/self/fd/{life_fd}", os.O_RDONLY | os.O_NONBLOCK))
        except OSError:  # no /proc
            _ask_thread(life_fd)
            return
        fcntl.fcntl(mine, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(mine, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(mine, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        try:
            if not os.read(mine, 1):
                os._exit(1)  # the parent ended before the kernel was asked
        except BlockingIOError:
            pass


def _ask_thread(life_fd: int) -> None:
    import threading

    def wait_for_end() -> None:
        os.set_blocking(life_fd, True)
        while os.read(life_fd, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait_for_end, name="poolwise-lifeline", daemon=True).start()
