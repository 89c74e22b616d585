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


class Score:
    """What has come of the programs so far.

    :param differences: how many of each kind; the first of each kind is kept to be made small.
    """

    def __init__(self) -> None:
        self.count = 0
        self.hangs: Counter[str] = Counter()
        self.allowed: Counter[str] = Counter()
        self.differences: Counter[str] = Counter()
        self.firsts: list[Comparison] = []

    def take(self, comparison: Comparison) -> None:
        """Count one; print it if it tells something new."""
        self.count += 1
        self.allowed.update(comparison.allowed)
        if comparison.hang is not None:
            self.hangs[comparison.hang] += 1
        if comparison.hang == NO_REASON:
            print("\nThe standard side hung:", comparison.account(), flush=True)
        if not comparison.differences:
            return
        kind = " + ".join(sorted(comparison.kinds))
        self.differences[kind] += 1
        if self.differences[kind] == 1:
            self.firsts.append(comparison)
        if self.differences[kind] <= SHOWN_OF_A_KIND:
            print(comparison, flush=True)

    def print(self) -> None:
        """Print all counts."""
        tables = {
            "hung on the standard side": self.hangs,
            "allowed": self.allowed,
            "DIFFERENT": self.differences,
        }
        for word, counts in tables.items():
            for reason, number in counts.most_common():
                print(f"  {number:6} {word}: {reason}")


def run_many(cases: int, seed: int, jobs: int, side: str) -> int:
    """Run so many random programs; shows progress, and each kind of difference."""
    print(f"{cases} programs, --seed {seed}", flush=True)
    score, began = Score(), time.monotonic()
    shown = began
    with Farm(jobs) as farm:
        for comparison in compare_all(farm, ((program, side) for program in draw(cases, seed))):
            score.take(comparison)
            if (now := time.monotonic()) > shown + SHOW_S:
                shown = now
                rate = score.count / (now - began)
                print(f"{score.count} of {cases}, {rate:.1f} a second", flush=True)
        seconds = time.monotonic() - began
        for comparison in score.firsts:
            print("\nMade small:", shrink(farm, comparison, side), flush=True)
    print(f"{cases} programs in {seconds:.0f} s ({cases / seconds:.1f} a second), --seed {seed}")
    score.print()
    print(f"{sum(score.differences.values())} differences")
    return 1 if score.differences else 0


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
