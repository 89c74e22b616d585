"""Earlier benchmarks of this machine, a JSON line each; and what has changed since the last."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from poolwise.system import figures

if TYPE_CHECKING:
    from poolwise.bench.readings import Name, Reading

Band = tuple[float, float, float]
"""Median, and the first and last tenth of what was measured."""


class HistoryError(Exception):
    """The file cannot be read or written, or is something else; the text says which."""


@dataclass(frozen=True)
class Entry:
    """One benchmark: when, on what, and its figures by key."""

    at: str
    facts: Mapping[str, str]
    figures: Mapping[str, Band]
    schema: int = field(default=1)

    @staticmethod
    def of(readings: Sequence[Reading], facts: Mapping[str, str]) -> Entry:
        """The entry of a benchmark that is over now."""
        bands = {each.name.key: (each.value, each.low, each.high) for each in readings}
        return Entry(datetime.now().astimezone().isoformat(timespec="seconds"), facts, bands)


def default_path() -> str | None:
    """The file of this machine in the user's cache folder; None where there is no such folder."""
    home = figures.folder()
    return home and os.path.join(home, f"bench-{figures.machine_name()}.jsonl")


def read(path: str) -> list[Entry]:
    """All entries, oldest first; none if there is no such file.

    :raises HistoryError: it cannot be read, or holds something else.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        message = f"the history {path} cannot be read: {error}"
        raise HistoryError(message) from error
    return [_read_line(path, at, line) for at, line in enumerate(lines, 1) if line.strip()]


def _read_line(path: str, at: int, line: str) -> Entry:
    try:
        plain = json.loads(line)
        bands = {key: _band(values) for key, values in plain["figures"].items()}
        return Entry(str(plain["at"]), dict(plain["facts"]), bands, int(plain["schema"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        message = (
            f"{path} is no history of poolwise bench: line {at} is no entry of it. Name another "
            "file with --history, or move this one away"
        )
        raise HistoryError(message) from error


def _band(values: Any) -> Band:
    value, low, high = map(float, values)
    return value, low, high


def append(path: str, entry: Entry) -> None:
    """Add an entry to the file, which is made if need be.

    :raises HistoryError: it cannot be written.
    """
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry)) + "\n")
    except OSError as error:
        message = f"the history {path} cannot be written: {error}"
        raise HistoryError(message) from error


@dataclass(frozen=True)
class Change:
    """A figure now and at the last benchmark."""

    name: Name
    before: float
    now: float
    is_noise: bool

    @property
    def ratio(self) -> float:
        """Now, as a multiple of before."""
        return self.now / self.before if self.before else 1.0

    @property
    def is_better(self) -> bool:
        """True if it has changed for the better."""
        return (self.now < self.before) == self.name.is_better_low


def compare(readings: Sequence[Reading], earlier: Sequence[Entry]) -> list[Change]:
    """Every figure that the last entry has as well, and whether its change is more than noise.

    It is where the band of now and the bands of the recent entries have nothing in common, and the
    medians differ by a tenth.
    """
    if not earlier:
        return []
    last, recent = earlier[-1], earlier[-5:]  # a machine differs from day to day
    changes = []
    for reading in readings:
        before = last.figures.get(reading.name.key)
        if before is not None:
            bands = [entry.figures.get(reading.name.key) for entry in recent]
            is_noise = _is_noise(reading, before[0], [band for band in bands if band is not None])
            changes.append(Change(reading.name, before[0], reading.value, is_noise))
    return changes


def _is_noise(reading: Reading, before: float, bands: Sequence[Band]) -> bool:
    low, high = min(band[1] for band in bands), max(band[2] for band in bands)
    is_apart = reading.low > high or reading.high < low
    return not is_apart or 1 / 1.1 < reading.value / max(before, 1e-12) < 1.1  # noqa: PLR2004


def differing_facts(now: Mapping[str, str], before: Mapping[str, str]) -> Iterator[str]:
    """Facts that are others than at the last benchmark; how full a disk is changes by itself."""
    for key, value in now.items():
        if key != "/dev/shm" and before.get(key, value) != value:  # noqa: S108 - a name of a fact
            yield f"{key}: {before[key]} -> {value}"
