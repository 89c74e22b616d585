"""What showing progress costs: the same maps in the same pool with and without it, in turns.

``python -m benchmarks.progress`` prints the CPU time that a display adds to the parent, where all
of it is spent, as a part of what the whole map costs (parent and workers). Less than 2 % is asked.
The times on the wall stand beside it; they only tell something on a machine that does nothing else.
Standard error is a terminal that forgets what is written: only the looking and drawing is measured.
"""

from __future__ import annotations

import io
import statistics
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import psutil

import poolwise
from benchmarks.harness.model import WORKERS
from benchmarks.tasks import burn

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUNDS = 9
ALLOWED = 0.02
LOADS = {
    "4,000,000 items of 0.1 us": [0] * 4_000_000,
    "20,000 items of 0.1 ms": [10_000] * 20_000,
    "400 items of 5 ms": [500_000] * 400,
}
KINDS: Mapping[str, bool | str] = {"without": False, "True": True, '"text"': "text"}


class Cost(NamedTuple):
    """Seconds of one map."""

    parent_s: float
    workers_s: float
    wall_s: float


class Terminal(io.TextIOWrapper):
    """Says that it is a terminal, and forgets what is written."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


def main() -> None:
    real, sys.stderr = sys.stderr, Terminal()
    is_met = True
    try:
        with poolwise.Pool(WORKERS) as pool:
            for kind in KINDS.values():
                pool.map(burn, range(100), progress=kind)  # what is imported once does not count
            for name, items in LOADS.items():
                is_met &= compare(name, run_in_turns(pool, items))
    finally:
        sys.stderr = real
    sys.exit(not is_met)


def run_in_turns(pool: poolwise.Pool, items: list[int]) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = {name: [] for name in KINDS}
    for _ in range(ROUNDS):
        for name, kind in KINDS.items():
            before = read_clocks()
            pool.map(burn, items, progress=kind)
            after = read_clocks()
            costs[name].append(
                Cost(*(end - start for start, end in zip(before, after, strict=True)))
            )
    return costs


def read_clocks() -> Cost:
    times = [child.cpu_times() for child in psutil.Process().children()]
    workers_s = sum(each.user + each.system for each in times)
    return Cost(time.process_time(), workers_s, time.perf_counter())


def compare(name: str, costs: dict[str, list[Cost]]) -> bool:
    plain = costs["without"]
    whole_s = statistics.median(cost.parent_s + cost.workers_s for cost in plain)
    plain_s = statistics.median(cost.wall_s for cost in plain)
    print(f"{name}: {whole_s:.2f} s of CPU, {plain_s:.2f} s on the wall")
    is_met = True
    for kind, ours in costs.items():
        added = [
            (with_it.parent_s - without.parent_s) / whole_s
            for with_it, without in zip(ours, plain, strict=True)
        ]
        low, median, high = statistics.quantiles(added, n=4)
        wall = statistics.median(cost.wall_s for cost in ours) / plain_s
        is_met = is_met and median < ALLOWED
        if kind != "without":
            print(
                f"   progress={kind:<7} adds {median:6.2%} of CPU [{low:.2%} .. {high:.2%}], "
                f"wall x {wall:.3f}"
            )
    return is_met


if __name__ == "__main__":
    main()
