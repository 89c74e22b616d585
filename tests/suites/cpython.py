"""Runs this interpreter's own tests of its pools under `poolwise.install()`; prints a table.

python -m tests.suites.cpython [WORD...]

A row for each suite and start method, of which all WORDs are said (`fork`, `executor`, `3.13`).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from textwrap import indent

from tests.suites.environment import ROOT, interpreter, run_apart

SUITES = ("pool", "executor", "main", "threads")
METHODS = ("fork", "spawn", "forkserver")
WHOLE = "the suite"
OPEN = ("not run", "started")
OUT = "left out"
LIMIT_S = 900
VERSION = "{}.{}.{}".format(*sys.version_info[:3])


@dataclass(frozen=True)
class Ended:
    """How each test of a suite ended: "passed", "failed", "skipped" or "left out", and why."""

    outcomes: dict[str, tuple[str, str]]

    def failures(self) -> dict[str, str]:
        return {name: why for name, (found, why) in self.outcomes.items() if found == "failed"}


def run_suite(suite: str, method: str, *tests: str, pools: str = "ours") -> Ended:
    """Run a suite, or only some of its tests."""
    with interpreter(pools) as python, tempfile.TemporaryDirectory() as folder:
        told, lines = Path(folder, "told"), Path(folder, "lines")
        words = [str(lines), pools, suite, method, *tests]
        ended = run_apart([python, "-m", "tests.suites.inside", *words], LIMIT_S, told, ROOT)
        return read(lines, f"{told.read_text(errors='replace')[-4000:]}\n{ended}")


def read(lines: Path, end: str) -> Ended:
    """What was written down; a test that started and did not end has failed."""
    outcomes: dict[str, tuple[str, str]] = {}
    written = lines.read_text().splitlines() if lines.exists() else []
    for name, outcome, why in map(json.loads, written):
        if name not in outcomes or outcomes[name][0] in OPEN:
            outcomes[name] = outcome, why
    for name, (outcome, _) in outcomes.items():
        if outcome in OPEN:
            outcomes[name] = "failed", f"{outcome}: {end}"
    return Ended(outcomes or {WHOLE: ("failed", end)})


def has_tests(suite: str) -> bool:
    """Whether this Python was installed with the suite."""
    module = {"executor": "test_concurrent_futures", "main": "test_multiprocessing_main_handling"}
    name = f"test.{module.get(suite, '_test_multiprocessing')}"
    return find_spec("test") is not None and find_spec(name) is not None


def show(suite: str, method: str) -> Counter[str]:
    """Run a suite and print its row; what failed is run again under the standard pools."""
    row = f"{VERSION:8} {method:11} {suite:9}:"
    if not has_tests(suite):
        print(f"{row} this Python was installed without it", flush=True)
        return Counter()
    ours = run_suite(suite, method)
    failures = ours.failures()
    standard = run_suite(suite, method, *failures, pools="standard") if failures else Ended({})
    as_standard = failures.keys() & standard.failures().keys() - {WHOLE}
    counts = Counter(outcome for outcome, _ in ours.outcomes.values())
    counts.update(f"left out: {why}" for outcome, why in ours.outcomes.values() if outcome == OUT)
    counts["failed"] -= len(as_standard)
    notes = [f"{counts[what]} {what}" for what in ("failed", "left out", "skipped")]
    notes.append(f"{len(as_standard)} fail under the standard pools too")
    print(
        row, ", ".join([f"{counts['passed']} of {len(ours.outcomes)} passed", *notes]), flush=True
    )
    for name, why in failures.items():
        print(f"    {name}", "(the standard's too)" * (name in as_standard), flush=True)
        if name not in as_standard:
            print(indent(why, " " * 8), flush=True)
    return counts


def main(words: list[str]) -> bool:
    """Print all rows, why tests were left out, and the totals; return whether none failed."""
    total: Counter[str] = Counter()
    for suite, method in product(SUITES, METHODS):
        if all(word in (suite, method) or VERSION.startswith(word) for word in words):
            total += show(suite, method)
    for what, count in total.items():
        if what.startswith(f"{OUT}: "):
            print(f"{count:3} {what}")
    print(f"{total['passed']} passed, {total['failed']} failed")
    return not total["failed"]


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
