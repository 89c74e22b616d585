"""The shape of a claim: cases, the entrants that run them, and the targets they are held to."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.harness import units

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

WORKERS = 2
WARM_ITEMS = 4


@dataclass(frozen=True)
class Entrant:
    """One pool at one setting. Opened once in a child process of its own, then runs its turns."""

    label: str
    run: Callable[[Any, Any], Any]
    """(pool, load) -> results; this is what is timed."""
    open: Callable[[], AbstractContextManager[Any]] = nullcontext
    warm: Callable[[Any, Any], object] | None = None
    """(pool, load), untimed, before each turn. None runs the first `WARM_ITEMS` of the load."""
    portion: float = 1.0
    """Part of the load that it is given, where all would take minutes. Values are per item."""
    cases: Sequence[str] = ()
    """Those that it takes part in; empty means all."""
    has_daemons: bool = False
    """Its helpers cannot be frozen while others run, so it runs in a heat of its own."""


@dataclass(frozen=True)
class Target:
    """What the first entrant promises: at least `at_least` times better than `against`."""

    against: str
    at_least: float = 1.0
    """1.0 asks for "not behind": within the spread of a tie is enough."""
    cases: Sequence[str] = ()
    """Empty means all."""


@dataclass(frozen=True)
class Limit:
    """What the first entrant promises by itself: a value that is not exceeded."""

    at_most: float
    cases: Sequence[str] = ()


def wall_time_per_item(run: Callable[[Any], Any], load: Any) -> tuple[float, Any]:
    """Seconds per item of the load, and the results."""
    start = time.perf_counter()
    results = run(load)
    return (time.perf_counter() - start) / len(load), results


def wall_time(run: Callable[[Any], Any], load: Any) -> tuple[float, Any]:
    """Seconds for the whole load, and the results."""
    start = time.perf_counter()
    results = run(load)
    return time.perf_counter() - start, results


def cpu_time_per_item(run: Callable[[Any], Any], load: Any) -> tuple[float, Any]:
    """CPU-seconds of this process and its children per item of the load, and the results."""
    start_s = cpu_time()
    results = run(load)
    return (cpu_time() - start_s) / len(load), results


def cpu_time() -> float:
    """CPU-seconds of this process and of the children that live; in steps of 10 ms for these."""
    import psutil

    times = [child.cpu_times() for child in psutil.Process().children()]
    return time.process_time() + sum(each.user + each.system for each in times)


@dataclass(frozen=True)
class Claim:
    """A table of the report. Lower values are better; ratios are against the first entrant."""

    title: str
    cases: Mapping[str, Callable[[], Any]]
    """Name of a case -> what builds its load, called in the child."""
    entrants: Sequence[Entrant]
    check: Callable[[Any, Any], None]
    """(load, results): raises AssertionError when they are not right."""
    targets: Sequence[Target] = ()
    limits: Sequence[Limit] = ()
    measure: Callable[[Callable[[Any], Any], Any], tuple[float, Any]] = wall_time
    unit: units.Unit = units.SECONDS
    reference: str | None = None
    """Label of an entrant that is no pool but the best the machine could do."""
    rounds: int = 7
    limit_s: float = 60.0
    """For one turn, and for opening."""
    is_fresh: bool = False
    """A new process for every turn: the first time counts."""
    is_grid: bool = False
    """Print a row per case and a column per entrant."""
    calibrate: Callable[[], Mapping[str, str]] = field(default=dict)
    """Run once in the host; the children find the result in their environment."""
