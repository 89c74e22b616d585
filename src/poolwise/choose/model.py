"""Prediction of what each kind would take, from what items have cost so far; and the choice.

Pure: no clock, no I/O. All times are seconds, and of one item unless the name says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Literal

from poolwise.record import record

Kind = Literal["serial", "threads", "processes", "asyncio"]
KINDS: tuple[Kind, ...] = ("serial", "threads", "processes", "asyncio")

THREAD_ITEM_S = 5e-6
"""What an item costs beside its function in a thread: its share of a chunk, waits for the GIL."""

PROCESS_ITEM_S = 1e-6
"""What an item costs the parent beside pickling (`imap` of a generator: 0.5 us of CPU, and as much
to hand its value on)."""

THREAD_START_S = 1e-4
"""A thread and its lane."""

MOST_THREADS = 64
"""More connections at once than this are a burden for whoever answers them."""

FIRST_THREADS = 8
"""Threads of a call whose items wait, before their number grows."""

MOST_PROCESSES_PER_CPU = 4
"""Workers for items that compute and wait in turn; each costs memory."""

MIXED_SHARE = 0.4
"""Items that wait for less than this part of their time need no more workers than CPUs. A busy
machine makes items that compute look as if they waited for up to a third."""

WAITING_SHARE = 0.5
"""Items that wait for at least this part of their time can be said to wait."""

THREADED_FACTOR = 1.3
"""A process that uses so many times the CPU of the thread that runs an item has more at work."""

MOST_GIL = 0.5
"""Who holds the lock for more than this part gains nothing from threads that a look of 30 ms, with
errors of a fifth, could promise."""

GAIN = 0.9
"""A change must promise at least a tenth: measurements and costs drift by that much."""

CHANGE_GAIN = 0.75
"""And one of what runs already must promise a quarter: what is under way has to be waited for."""


@record
class Measured:
    """What the items of one call have cost so far, each figure of one item.

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
        """It waits for so long that a CPU can do something else meanwhile."""
        return self.waiting >= MIXED_SHARE

    @property
    def cpus(self) -> float:
        """How many CPUs one item keeps busy while it computes."""
        return max(1.0, self.process_cpu_s / self.cpu_s) if self.cpu_s else 1.0

    @property
    def is_threaded(self) -> bool:
        """Its function uses threads of its own."""
        return self.waiting < WAITING_SHARE and self.cpus > THREADED_FACTOR


@record
class Machine:
    """What a call may use, and what it costs to begin.

    :param cpus: that this call may keep busy.
    :param start_s: to start worker processes; 0 where they are there.
    :param most_workers: what the caller has asked for (None: as many as it takes).
    """

    cpus: int
    start_s: float
    most_workers: int | None = None


@record
class Prediction:
    """How long what is left would take, one way."""

    kind: Kind
    workers: int
    seconds: float


def predict(
    measured: Measured,
    left: int,
    machine: Machine,
    kinds: Collection[Kind],
) -> list[Prediction]:
    """What each of the kinds would take for the items that are left, best first."""
    ways = {"serial": _serial, "threads": _threads, "processes": _processes}
    found = [ways[kind](measured, left, machine) for kind in kinds if kind in ways]
    return sorted(found, key=lambda way: way.seconds)


def _serial(measured: Measured, left: int, _: Machine) -> Prediction:
    return Prediction("serial", 1, left * measured.wall_s)


def _threads(measured: Measured, left: int, machine: Machine) -> Prediction:
    workers = count_threads(measured, left, machine)
    gil = 1.0 if measured.gil is None or measured.gil > MOST_GIL else measured.gil
    item_s = max(gil * measured.cpu_s, measured.process_cpu_s / machine.cpus, THREAD_ITEM_S)
    start_s = min(workers, FIRST_THREADS) * THREAD_START_S
    return Prediction("threads", workers, start_s + _spread(measured.wall_s, item_s, left, workers))


def _processes(measured: Measured, left: int, machine: Machine) -> Prediction:
    workers = count_processes(measured, left, machine)
    send_s = (measured.send_s or 0.0) + PROCESS_ITEM_S
    item_s = max((measured.process_cpu_s + 2 * send_s) / machine.cpus, send_s)
    spread_s = _spread(measured.wall_s + send_s, item_s, left, workers)
    return Prediction("processes", workers, machine.start_s + spread_s)


def _spread(wall_s: float, item_s: float, left: int, workers: int) -> float:
    """The time of all items: by their number in turn, or by what they share and cannot divide."""
    rounds = math.ceil(left / workers) if left < 4 * workers else left / workers
    return max(rounds * wall_s, left * item_s)


def count_threads(measured: Measured, left: int, machine: Machine) -> int:
    """Threads for such items, when their number has grown as far as it may."""
    fitting = MOST_THREADS if measured.is_mixed else machine.cpus
    return max(1, min(left, machine.most_workers or fitting))


def count_processes(measured: Measured, left: int, machine: Machine) -> int:
    """Worker processes for such items: one for each CPU, more if they wait in between."""
    fitting = machine.cpus
    if measured.is_mixed:
        per_cpu = min(MOST_PROCESSES_PER_CPU, 1 / max(0.01, 1 - measured.waiting))
        fitting = math.ceil(machine.cpus * per_cpu)
    return max(1, min(left, machine.most_workers or fitting))


def choose(predictions: list[Prediction], current: Kind, gain: float = GAIN) -> Prediction:
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
        if self.is_settled or count < self.size or spent_s < LEAST_WINDOW_S:
            return None
        rate, before = count / spent_s, self.rate
        self.rate = rate
        if before is not None and rate < before * GROWTH:
            self.is_settled = True
            return None
        self.size = min(self._most, 2 * self.size)
        self.is_settled = self.size >= self._most
        self.begin(done, now_s)
        return self.size


GROWTH = 1.05
"""A doubling that brings less throughput than this was one too many."""

LEAST_WINDOW_S = 0.01
"""Rates over a shorter time are chance."""
