"""CPUs of a call, shared by the calls that are made inside its items."""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar

from poolwise.system.cpus import cpu_count

VARIABLE = "POOLWISE_CPU_SHARE"
"""CPUs of a worker process, in its environment: programs that its tasks start have no more."""

_of_thread: ContextVar[int | None] = ContextVar("poolwise_cpus", default=None)
"""CPUs that an outer call leaves to calls inside its items, in a thread that runs items."""


def share() -> int:
    """CPUs that a call made here may keep busy: all, or an outer call's left for each worker.

    A worker of a standard pool has one CPU.
    """
    cpus = _of_thread.get()
    if cpus is not None:
        return cpus
    cpus = _of_process()
    if cpus is not None:
        return cpus
    return 1 if _is_daemon() else cpu_count()


def is_nested() -> bool:
    """The caller is an item of an outer call, or a task of a pool."""
    return _of_thread.get() is not None or _of_process() is not None or _is_daemon()


def enter_thread(cpus: int) -> None:
    """Initializer of a thread that runs items."""
    _of_thread.set(cpus)


def _of_process() -> int | None:
    text = os.environ.get(VARIABLE, "")
    return max(1, int(text)) if text.isdecimal() else None


def _is_daemon() -> bool:
    processes = sys.modules.get("multiprocessing.process")
    return processes is not None and bool(processes.current_process().daemon)
