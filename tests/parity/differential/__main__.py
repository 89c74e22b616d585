"""The differential test as a program: as many cases as one likes.

    scripts/differential [--cases N] [--seed N] [--jobs N] [--program TEXT]

prints each difference with a small program that shows it, which `--program` runs again. Ends with
status 1 if there was one.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter

from tests.parity.differential import programs, tasks
from tests.parity.differential.compare import NO_REASON, Comparison
from tests.parity.differential.run import OURS, Farm
from tests.parity.differential.search import compare_all, draw, shrink

CASES = 1000
SHOWN_OF_A_KIND = 3
SHOW_S = 10.0


def main() -> int:
    """Run what the command line asks for; the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/differential", description=__doc__)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--jobs", type=int, default=12, help="how many run at a time")
    parser.add_argument("--side", default=OURS, help="or one of broken.py")
    parser.add_argument("--program", help="this one instead, as it was printed")
    given = parser.parse_args()
    if given.program:
        return run_again(given.program, given.cases or 1, given.side)
    return run_many(given.cases or CASES, given.seed, given.jobs, given.side)


def run_many(cases: int, seed: int, jobs: int, side: str) -> int:
    """Run so many random programs; shows progress, and each kind of difference."""
    print(f"{cases} programs, --seed {seed}", flush=True)
    began, totals = time.monotonic(), Totals()
    with Farm(jobs) as farm:
        pairs = ((program, side) for program in draw(cases, seed))
        for count, comparison in enumerate(compare_all(farm, pairs), 1):
            totals.add(comparison)
            totals.show_progress(f"{count} of {cases}")
        seconds = time.monotonic() - began
        for comparison in totals.firsts:
            print("\nMade small:", shrink(farm, comparison, side), flush=True)
    print(f"{cases} programs in {seconds:.0f} s ({cases / seconds:.1f} a second), --seed {seed}")
    return totals.print()


class Totals:
    """Counts of what was compared, by kind."""

    def __init__(self) -> None:
        self.allowed: Counter[str] = Counter()
        self.differences: Counter[str] = Counter()
        self.hangs: Counter[str] = Counter()
        self.firsts: list[Comparison] = []
        self._shown_s = time.monotonic()

    def add(self, comparison: Comparison) -> None:
        """Count one program, and print it if it has a difference."""
        self.allowed.update(comparison.allowed)
        self.hangs.update([comparison.hang] if comparison.hang else [])
        if comparison.hang == NO_REASON:
            print("\nThe standard side hung:", comparison.account(), flush=True)
        if comparison.differences:
            note(comparison, self.differences, self.firsts)

    def show_progress(self, text: str) -> None:
        """Print the text, now and then."""
        if time.monotonic() - self._shown_s > SHOW_S:
            self._shown_s = time.monotonic()
            print(text, flush=True)

    def print(self) -> int:
        """Print all counts; returns the exit status."""
        for reason, number in self.hangs.most_common():
            print(f"  {number:6} hung on the standard side: {reason}")
        for reason, number in self.allowed.most_common():
            print(f"  {number:6} allowed: {reason}")
        for kind, number in self.differences.most_common():
            print(f"  {number:6} DIFFERENT: {kind}")
        print(f"{sum(self.differences.values())} differences")
        return 1 if self.differences else 0


def note(comparison: Comparison, differences: Counter[str], firsts: list[Comparison]) -> None:
    """Print a difference, unless enough of its kind have been shown."""
    kind = " + ".join(sorted(comparison.kinds))
    differences[kind] += 1
    if differences[kind] == 1:
        firsts.append(comparison)
    if differences[kind] <= SHOWN_OF_A_KIND:
        print(comparison, flush=True)


def run_again(text: str, times: int, side: str) -> int:
    """Run one program, so many times; shows both sides."""
    program = eval(text, vars(programs) | {"Do": tasks.Do})
    with Farm() as farm:
        found = list(compare_all(farm, [(program, side)] * times))
    found.sort(key=lambda one: len(one.differences))
    print(found[-1].account())
    print(f"differences in {sum(bool(one.differences) for one in found)} of {times} runs")
    return 1 if found[-1].differences else 0


if __name__ == "__main__":
    raise SystemExit(main())
