"""Prediction of what each kind would take, from what items have cost so far; and the choice.

Pure: no clock, no I/O. All times are seconds, and of one item unless the name says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Literal

from poolwise.choose.limits import LIMITS
from poolwise.record import record

Kind = Literal["serial", "threads", "processes", "asyncio"]
KINDS: tuple[Kind, ...] = ("serial", "threads", "processes", "asyncio")


@record
class Measured:
    """Costs of the items of one call so far, each figure of one item.

    :param items: how many were looked at.
    :param wall_s: time that passed, without what was spent waiting for a CPU.
    :param cpu_s: CPU time of the thread that ran it.
    :param process_cpu_s: CPU time of the whole process meanwhile.
    :param send_s: what it costs the parent to send an argument and to receive a result (None: not
        measured yet).
    :param gil: part of the CPU time that holds the interpreter's lock (None: not measured yet).
    """

    items: int
    wall_s: float
    cpu_s: float
    process_cpu_s: float
    send_s: float | None = None
    gil: float | None = None

    @property
    def waiting(self) -> float:
        """The part of the time in which the item neither computed nor wanted to."""
        return max(0.0, 1 - max(self.cpu_s, self.process_cpu_s) / self.wall_s) if self.wall_s else 0

    @property
    def is_mixed(self) -> bool:
        """True if it waits so long that a CPU can do something else meanwhile."""
        return self.waiting >= LIMITS.mixed_share and self.wall_s > LIMITS.least_wait_s

    @property
    def cpus(self) -> float:
        """Number of CPUs that one item keeps busy while it computes."""
        return max(1.0, self.process_cpu_s / self.cpu_s) if self.cpu_s else 1.0

    @property
    def is_threaded(self) -> bool:
        """Its function uses threads of its own."""
        return self.waiting < LIMITS.waiting_share and self.cpus > LIMITS.threaded_factor


@record
class Machine:
    """Means that a call may use, and what it costs to begin.

    :param cpus: that this call may keep busy.
    :param start_s: to start worker processes; 0 where they are there.
    :param most_workers: what the caller has asked for (None: as many as it takes).
    """

    cpus: int
    start_s: float
    most_workers: int | None = None


@record
class Prediction:
    """Predicted time of what is left, one way."""

    kind: Kind
    workers: int
    seconds: float


def predict(
    measured: Measured,
    left: int,
    machine: Machine,
    kinds: Collection[Kind],
) -> list[Prediction]:
    """Predicted times of the kinds for the items that are left, best first."""
    ways = {"serial": _serial, "threads": _threads, "processes": _processes}
    found = [ways[kind](measured, left, machine) for kind in kinds if kind in ways]
    return sorted(found, key=lambda way: way.seconds)


def _serial(measured: Measured, left: int, _: Machine) -> Prediction:
    return Prediction("serial", 1, left * measured.wall_s)


def _threads(measured: Measured, left: int, machine: Machine) -> Prediction:
    workers = count_threads(measured, left, machine)
    gil = 1.0 if measured.gil is None or measured.gil > LIMITS.most_gil else measured.gil
    item_s = max(gil * measured.cpu_s, measured.process_cpu_s / machine.cpus, LIMITS.thread_item_s)
    start_s = min(workers, LIMITS.first_threads) * LIMITS.thread_start_s
    return Prediction("threads", workers, start_s + _spread(measured.wall_s, item_s, left, workers))


def _processes(measured: Measured, left: int, machine: Machine) -> Prediction:
    workers = count_processes(measured, left, machine)
    send_s = (measured.send_s or 0.0) + LIMITS.process_item_s
    item_s = max((measured.process_cpu_s + 2 * send_s) / machine.cpus, send_s)
    spread_s = _spread(measured.wall_s + send_s, item_s, left, workers)
    return Prediction("processes", workers, machine.start_s + spread_s)


def _spread(wall_s: float, item_s: float, left: int, workers: int) -> float:
    """The time of all items: by their number in turn, or by what they share and cannot divide."""
    rounds = math.ceil(left / workers) if left < 4 * workers else left / workers
    return max(rounds * wall_s, left * item_s)


def count_threads(measured: Measured, left: int, machine: Machine) -> int:
    """Threads for such items, when their number has grown as far as it may."""
    fitting = LIMITS.most_threads if measured.is_mixed else machine.cpus
    return max(1, min(left, machine.most_workers or fitting))


def count_processes(measured: Measured, left: int, machine: Machine) -> int:
    """Worker processes for such items: one for each CPU, more if they wait in between."""
    fitting = machine.cpus
    if measured.is_mixed:
        per_cpu = min(LIMITS.most_processes_per_cpu, 1 / max(0.01, 1 - measured.waiting))
        fitting = math.ceil(machine.cpus * per_cpu)
    return max(1, min(left, machine.most_workers or fitting))


def choose(predictions: list[Prediction], current: Kind, gain: float = LIMITS.gain) -> Prediction:
    """The best, or what is in use if the best is hardly better."""
    best = predictions[0]
    in_use = next((way for way in predictions if way.kind == current), None)
    if in_use is None or best.seconds < gain * in_use.seconds:
        return best
    return in_use


def left_to_expect(items: int, remaining: int | None) -> int:
    """Items to reckon with: those that are left, or as many as there were where nobody knows.

    The second is the rule of ski rental: who buys when the rent paid so far is the price pays at
    most twice what was needed.
    """
    return max(1, items) if remaining is None else max(1, remaining)


class Growth:
    """Search for the number of threads (or coroutines) at which throughput grows no more.

    Doubled while each doubling brings more than a twentieth; then held.

    :param size: to begin with.
    :param most: that there may be.
    """

    def __init__(self, size: int, most: int) -> None:
        self.size = size
        self.rate: float | None = None
        self._most = most
        self._done = 0
        self._since_s = 0.0
        self.is_settled = size >= most

    def begin(self, done: int, now_s: float) -> None:
        """The present size is at work from here on."""
        self._done, self._since_s = done, now_s

    def observe(self, done: int, now_s: float) -> int | None:
        """So many items are through in all; the new size if it is time for one."""
        count, spent_s = done - self._done, now_s - self._since_s
        if self.is_settled or count < self.size or spent_s < LIMITS.least_window_s:
            return None
        rate, before = count / spent_s, self.rate
        self.rate = rate
        if before is not None and rate < before * LIMITS.growth:
            self.is_settled = True
            return None
        self.size = min(self._most, 2 * self.size)
        self.is_settled = self.size >= self._most
        self.begin(done, now_s)
        return self.size
