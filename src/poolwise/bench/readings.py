"""Readings of a benchmark: figures with their spread, and the rounds that they are taken in."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["s", "bytes/s", "cpus"]
Probe = Callable[[Any], Iterable[tuple["Name", float]]]
"""Measures once, with the pools that are kept warm for it: names and values."""


@dataclass(frozen=True)
class Name:
    """The name of a figure, as `start.fork` in a file and as words in a table."""

    key: str
    words: str
    unit: Unit = "s"

    @property
    def is_better_low(self) -> bool:
        """Seconds should be few; rates and CPUs many."""
        return self.unit == "s"


@dataclass(frozen=True)
class Reading:
    """A figure that was measured in several rounds."""

    name: Name
    values: Sequence[float]

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """One in ten values lies below."""
        return _decile(sorted(self.values), 0.1)

    @property
    def high(self) -> float:
        """One in ten values lies above."""
        return _decile(sorted(self.values), 0.9)


def _decile(ordered: Sequence[float], share: float) -> float:
    at = share * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])


@dataclass(frozen=True)
class Effort:
    """Bounds of a measurement: rounds, if their number is given, else a time.

    :param least: rounds that there are at least, however long they take.
    """

    budget_s: float
    rounds: int | None = None
    least: int = 5
    most: int = 200

    @property
    def tells_noise(self) -> bool:
        """There are rounds enough to say how much they differ."""
        return self.rounds is None or self.rounds >= self.least

    def has_room(self, done: int, spent_s: float) -> bool:
        """One more round, which takes as long as those before, fits in."""
        if self.rounds is not None:
            return done < self.rounds
        fits = not done or spent_s * (done + 1) / done <= self.budget_s
        return done < self.least or (fits and done < self.most)


def take(
    probes: Sequence[Probe],
    pools: Any,
    effort: Effort,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Reading]:
    """Run all probes in turn, round after round.

    So whatever else the machine does in that minute falls on all figures alike, and shows in their
    spread.
    """
    found: dict[Name, list[float]] = {}
    begun_s, done = clock(), 0
    while effort.has_room(done, clock() - begun_s):
        for name, value in _run_all(probes, pools):
            found.setdefault(name, []).append(value)
        done += 1
    return [Reading(name, values) for name, values in found.items()]


def _run_all(probes: Sequence[Probe], pools: Any) -> Iterator[tuple[Name, float]]:
    for probe in probes:
        yield from probe(pools)
