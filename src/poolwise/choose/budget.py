"""CPUs of a call, shared by the calls that are made inside its items."""

from __future__ import annotations

import os
import sys
from contextvars import ContextVar

from poolwise.system.cpus import cpu_count

_NATIVE = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "BLIS_NUM_THREADS",
)  # fmt: skip
"""Read by libraries of native threads as they are loaded."""


_of_thread: ContextVar[int | None] = ContextVar("poolwise_cpus", default=None)
"""CPUs that an outer call leaves to calls inside its items, in a thread that runs items."""

_of_process: int | None = None


def share() -> int:
    """CPUs that a call made here may keep busy: all, or an outer call's left for each worker.

    A worker of a pool, ours or a standard one, has one CPU.
    """
    cpus = _of_thread.get()
    if cpus is not None:
        return cpus
    if _of_process is not None:
        return _of_process
    processes = sys.modules.get("multiprocessing.process")
    if processes is not None and processes.current_process().daemon:
        return 1
    return cpu_count()


def is_nested() -> bool:
    """The caller is an item of an outer call, or a task of a pool."""
    if _of_thread.get() is not None or _of_process is not None:
        return True
    processes = sys.modules.get("multiprocessing.process")
    return processes is not None and bool(processes.current_process().daemon)


def enter_thread(cpus: int) -> None:
    """Initializer of a thread that runs items."""
    _of_thread.set(cpus)


def enter_process(cpus: int, *, caps_native: bool) -> None:
    """Initializer of a process that runs items: native thread pools keep to its share as well."""
    global _of_process  # noqa: PLW0603 - a fact of this process
    _of_process = cpus
    if caps_native:
        cap_native_threads(cpus)


def cap_native_threads(cpus: int) -> None:
    """Bound the threads of OpenMP, BLAS and others to a worker's share.

    By the environment where they are not loaded yet, by threadpoolctl (if it is installed) where
    they are. What the user has set in the environment stays.
    """
    for name in _NATIVE:
        os.environ.setdefault(name, str(cpus))
    if "numpy" not in sys.modules and "torch" not in sys.modules:
        return
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(cpus)
