"""How the parent hears that a worker has ended: a descriptor that becomes readable.

A pidfd on Linux, because the sentinel of ``multiprocessing`` is a pipe whose copies live on in
whatever the worker has forked. Elsewhere the sentinel.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess


def open_watch(process: BaseProcess) -> tuple[int, bool]:
    """A descriptor that is readable once ``process`` has ended, and whether it is ours to close."""
    if sys.platform == "linux" and process.pid is not None:
        try:
            return os.pidfd_open(process.pid), True
        except OSError:
            pass  # a kernel before 5.3, or a sandbox that forbids it: the sentinel does
    return process.sentinel, False
