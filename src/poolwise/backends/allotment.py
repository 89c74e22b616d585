"""Shares of the machine that the worker processes of one pool get."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from poolwise.options import SPREAD, WorkerLimits
from poolwise.system import budget, native, own_memory
from poolwise.worker.resources import Resources

_starting = threading.Lock()
"""Two pools may start workers at once, and the environment is the whole process's."""


def _renew_lock() -> None:
    global _starting  # noqa: PLW0603 - held by a thread that the child does not have
    _starting = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


class Allotment:
    """Divides what this process may use among the workers of a pool.

    :param workers: how many there may be at once.
    """

    def __init__(self, limits: WorkerLimits, workers: int) -> None:
        _check(limits)
        self._limits = limits
        cpus = budget.share()
        if isinstance(limits.affinity, frozenset):
            cpus = min(cpus, len(limits.affinity))
        share = 1 if limits.affinity == SPREAD else max(1, cpus // workers)
        self._capped = native.variables(share) if limits.native_threads else {}
        self._environment = {budget.VARIABLE: str(share), **self._capped}

    def load_control(self) -> None:
        """Make ready for workers that are forked."""
        if self._capped:
            native.load_control()

    def for_worker(
        self, others: Iterable[frozenset[int] | None], *, has_environment: bool
    ) -> Resources | None:
        """Resources that the next worker takes; None if it has nothing to do for them.

        :param others: CPUs of those that live: a replaced worker's are free again.
        :param has_environment: it is started in :meth:`environment`.
        """
        limits = self._limits
        if has_environment and not limits.asked_for():
            return None  # a fresh interpreter would load the module for it
        affinity = limits.affinity
        cpus = affinity if isinstance(affinity, frozenset) else None
        if affinity == SPREAD:
            cpus = _least_used(others)
        return Resources(self._environment, limits.nice, cpus, tells_memory=limits.weighs_workers)

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Environment of a fresh interpreter: its main module loads libraries before it hears us.

        Nothing is set for a fork server: it is the whole program's, and outlives the pool.
        """
        with _starting:
            # Not in os.environ, which other threads read meanwhile.
            for name, value in self._environment.items():
                os.putenv(name, value)
            try:
                yield
            finally:
                for name in self._environment:
                    _restore(name)


def _restore(name: str) -> None:
    value = os.environ.get(name)
    if value is None:
        os.unsetenv(name)
    else:
        os.putenv(name, value)


def _least_used(others: Iterable[frozenset[int] | None]) -> frozenset[int]:
    """The first of this process's CPUs that fewest workers are pinned to."""
    used = Counter(cpu for cpus in others for cpu in cpus or ())
    return frozenset({min(sorted(os.sched_getaffinity(0)), key=used.__getitem__)})


def _check(limits: WorkerLimits) -> None:
    """Refuse what this system cannot do.

    :raises ValueError: it cannot, or there is no such CPU.
    """
    if limits.weighs_workers and not own_memory.is_known():
        name = "max_memory" if limits.max_memory_bytes is not None else "recycle_above"
        message = (
            f"{name} cannot be had on this system, which does not tell a process its own memory "
            "(/proc/self/status of Linux does); maxtasksperchild replaces workers everywhere"
        )
        raise ValueError(message)
    if limits.affinity is not None:
        _check_affinity(limits.affinity)


def _check_affinity(affinity: frozenset[int] | Literal["spread"]) -> None:
    if not hasattr(os, "sched_setaffinity"):
        message = "affinity cannot be had on this system, which does not pin processes to CPUs"
        raise ValueError(message)
    allowed = os.sched_getaffinity(0)
    if isinstance(affinity, frozenset) and not affinity <= allowed:
        message = (
            f"affinity names CPUs {sorted(affinity - allowed)}, which this process may not "
            f"use; it may use {sorted(allowed)}"
        )
        raise ValueError(message)
