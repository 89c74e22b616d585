"""Descriptor that becomes readable when a worker has ended.

A pidfd on Linux, because the sentinel of ``multiprocessing`` is a pipe whose copies live on in
whatever the worker has forked. Elsewhere the sentinel.
"""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_CLOSING_S = 5.0
"""A process that has closed its files has ended after so long, however busy the machine is."""

_BLIND_S = 0.05
"""Time after which a process counts as alive where its files cannot be looked at."""


def open_watch(process: BaseProcess) -> tuple[int, bool]:
    """A descriptor that is readable once ``process`` has ended, and whether it is ours to close."""
    if sys.platform == "linux" and process.pid is not None:
        try:
            return os.pidfd_open(process.pid), True
        except OSError:
            pass  # a kernel before 5.3, or a sandbox that forbids it: the sentinel does
    return process.sentinel, False


def is_ending(watch_fd: int, pid: int | None) -> bool:
    """True if a process has ended, or is about to; in that case waits until it has.

    A process that ends closes its files some moments before it can be seen to have ended.

    :param watch_fd: of :func:`open_watch`.
    """
    poll = select.poll()
    poll.register(watch_fd, select.POLLIN)
    is_open = _has_files(pid)
    patience_s = _BLIND_S if is_open is None else 0.0 if is_open else _CLOSING_S
    return bool(poll.poll(patience_s * 1000.0))


def _has_files(pid: int | None) -> bool | None:
    """True if a child has files open; None where this cannot be seen."""
    if not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return bool(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False
