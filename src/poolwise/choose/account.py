"""Costs of items while a pool runs them, from the pool's own account."""

from __future__ import annotations

import time
from typing import Any

from poolwise.choose.limits import LIMITS
from poolwise.choose.model import Kind, Measured

Totals = tuple[float, float, float, float]
"""Items; their seconds on a CPU and off it while they wait; CPU seconds of this process."""


class Account:
    """Reads what a pool has noted about its items since the last reading.

    CPU time and waiting, not the time that passed: beside other programs everything takes longer,
    and a loop would as well.
    """

    def __init__(self, pool: Any, kind: Kind) -> None:
        self._pool = pool
        self._kind = kind
        self._looking_s = 0.0
        self._before = self._read()

    def _read(self) -> Totals:
        begun_s = time.process_time()
        report = self._pool._engine.report()  # noqa: SLF001 - without the words of Pool.report
        spent = report.worker_account
        waited_s, computed_s = spent.get("run_blocked", 0.0), spent.get("run_cpu", 0.0)
        self._looking_s += time.process_time() - begun_s
        return report.items, computed_s, waited_s, time.process_time() - self._looking_s

    def items(self, least: int, gil: float | None) -> Measured | None:
        """Costs of one of the items since the last reading; None of less than ``least``."""
        now = self._read()
        count, computed_s, waited_s, own_s = (b - a for a, b in zip(self._before, now, strict=True))
        if count < least or (
            computed_s + waited_s < LIMITS.least_work_s and count < LIMITS.many_items
        ):
            return None
        self._before = now
        cpu_s, wait_s = computed_s / count, waited_s / count
        if self._kind == "threads":
            return of_threads(int(count), cpu_s, wait_s, gil)
        if wait_s < LIMITS.certain_waiting * (cpu_s + wait_s):
            wait_s = 0.0
        return Measured(int(count), cpu_s + wait_s, cpu_s, cpu_s, own_s / count, gil)


def of_threads(count: int, cpu_s: float, wait_s: float, gil: float | None) -> Measured:
    """Items of threads, whose waiting may be that for the interpreter's lock.

    If they did not wait when they ran alone, that is what they wait for now.
    """
    is_lock = gil is not None and wait_s > LIMITS.lock_share * (cpu_s + wait_s)
    if is_lock:
        return Measured(count, cpu_s, cpu_s, cpu_s, None, 1.0)
    return Measured(count, cpu_s + wait_s, cpu_s, cpu_s, None, gil)
