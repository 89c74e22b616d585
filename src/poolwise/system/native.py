"""Threads that native libraries start by themselves: OpenMP, BLAS, numexpr, torch and others."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from poolwise.system import budget

_OPENMP = "OMP_NUM_THREADS"
_BLAS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_NUMEXPR = "NUMEXPR_NUM_THREADS"
_VARIABLES = (_OPENMP, *_BLAS, _NUMEXPR, "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS")
"""Read by libraries as they are loaded."""

_LOADERS = ("numpy", "torch")
"""Modules that bring a BLAS or OpenMP with them: without one, none is looked for."""


def variables(threads: int) -> dict[str, str]:
    """Environment of a worker with so many threads; what the user has set in it stays.

    What this process's own pool has set does not: a pool inside of a task has less to give.
    """
    ours = os.environ.get(budget.VARIABLE)
    return {
        name: str(threads)
        for name in _VARIABLES
        if (now := os.environ.get(name)) is None or now == ours
    }


def load_control() -> None:
    """Import what caps loaded libraries before workers are forked, so that none has to."""
    if _has_loaded():
        try:
            import threadpoolctl  # noqa: F401
        except ImportError:
            pass


def cap_loaded(environment: Mapping[str, str]) -> None:
    """Bound the threads of libraries that are loaded, and have read another environment.

    By threadpoolctl, if it is installed, and by their own functions.

    :param environment: of :func:`variables`; what is not in it is left as it is.
    """
    if _OPENMP not in environment:
        return
    threads = int(environment[_OPENMP])
    if _has_loaded():
        has_blas = all(name in environment for name in _BLAS)
        _limit({"openmp": threads, "blas": threads} if has_blas else {"openmp": threads})
    _call_setter("torch", threads)
    if _NUMEXPR in environment:
        _call_setter("numexpr", threads)


def _has_loaded() -> bool:
    return any(name in sys.modules for name in _LOADERS)


def _limit(limits: dict[str, int]) -> None:
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(limits)


def _call_setter(module: str, threads: int) -> None:
    """Tell a library that keeps a number of its own, unless its import is under way."""
    set_threads = getattr(sys.modules.get(module), "set_num_threads", None)
    if set_threads is not None:
        set_threads(threads)
