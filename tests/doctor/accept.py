"""The doctor's acceptance: every case, several times, on a quiet machine and beside a CPU hog.

    scripts/acceptance [--rounds N] [--only WORD] [--cases FOLDER] [--patience SECONDS]
        [--quiet-only | --hog-only]

prints how often the first verdict was right, and how far the account missed workers x time. Each
round runs `poolwise doctor --json` as a program of its own. A case says what is expected in the
fields of its docstring (see tests/doctor/cases), or in a first line `# expected verdict: NAME`.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
CASES = HERE / "cases"
HOG = "while True: pass"

GOAL_QUIET, GOAL_BESIDE_A_HOG, GOAL_IDENTITY = 0.95, 0.85, 0.005

QUIET_CPUS = 0.3
PATIENCE_S = 10.0
"""How long to wait, before each run, until other programs use less than that."""

TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Case:
    """A program and what the doctor shall say of it."""

    path: Path
    verdicts: tuple[str, ...]
    needs: tuple[str, ...] = ()
    cpus: int | None = None
    quota: float | None = None
    exit_code: int = 0


@dataclass
class Told:
    """What was said of one case, round by round."""

    case: Case
    verdicts: list[str] = field(default_factory=list)
    identities: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)

    @property
    def right(self) -> int:
        return sum(verdict in self.case.verdicts for verdict in self.verdicts)


# --- cases ---------------------------------------------------------------------------------------


def list_cases(folder: Path = CASES, word: str = "") -> list[Case]:
    """The cases of a folder whose name has the word in it."""
    found = [read_case(path) for path in sorted(folder.glob("[!_]*.py")) if word in path.name]
    return [case for case in found if case is not None]


def read_case(path: Path) -> Case | None:
    """A case from its first lines; None for a file that is none."""
    text = path.read_text(encoding="utf-8")
    first = text.partition("\n")[0]
    if first.startswith("# expected verdict:"):
        words = first.partition(":")[2].replace("(", ",").replace(")", "").split(",")
        return Case(path, tuple(filter(None, map(str.strip, words))))
    fields = read_fields(ast.get_docstring(ast.parse(text)) or "")
    if "verdict" not in fields:
        return None
    return Case(
        path,
        (fields["verdict"], *split_words(fields.get("also", ""))),
        tuple(split_words(fields.get("needs", ""))),
        int(fields["cpus"]) if "cpus" in fields else None,
        float(fields["quota"]) if "quota" in fields else None,
        int(fields.get("exit", "0")),
    )


def read_fields(docstring: str) -> dict[str, str]:
    fields = {}
    for line in docstring.splitlines():
        if line.startswith(":"):
            name, _, value = line[1:].partition(":")
            fields[name] = value.strip()
    return fields


def split_words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


# --- one run -------------------------------------------------------------------------------------


def diagnose(case: Case) -> tuple[int, dict[str, Any]]:
    """The program's exit code, and what `--json` says of it.

    :raises OSError: the machine does not let us set what the case needs (a quota).
    """
    with TemporaryDirectory() as folder, confine(case) as enter:
        record = Path(folder) / "record.json"
        command = [sys.executable, "-m", "poolwise", "doctor", "--json", str(record), case.path]
        ended = subprocess.run(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            preexec_fn=enter,
            timeout=TIMEOUT_S,
            check=False,
        )
        return ended.returncode, json.loads(record.read_text())


@contextlib.contextmanager
def confine(case: Case) -> Iterator[Callable[[], None] | None]:
    """What the child does before it becomes the program: take fewer CPUs, enter a group."""
    if case.cpus:
        some = set(sorted(os.sched_getaffinity(0))[: case.cpus])
        yield lambda: os.sched_setaffinity(0, some)
    elif case.quota:
        with control_group(case.quota) as folder:
            yield lambda: (folder / "cgroup.procs").write_text(str(os.getpid())) and None
    else:
        yield None


@contextlib.contextmanager
def control_group(cpus: float) -> Iterator[Path]:
    """A control group below our own that gets so many CPUs; version 2, or 1's cpu controller."""
    root = Path("/sys/fs/cgroup")
    is_v1 = (root / "cpu").is_dir()
    folder = (root / "cpu" if is_v1 else root) / f"poolwise-acceptance-{os.getpid()}"
    folder.mkdir()
    try:
        period_us = 100_000
        if is_v1:
            (folder / "cpu.cfs_period_us").write_text(str(period_us))
            (folder / "cpu.cfs_quota_us").write_text(str(int(cpus * period_us)))
        else:
            (folder / "cpu.max").write_text(f"{int(cpus * period_us)} {period_us}")
        yield folder
    finally:
        folder.rmdir()


# --- all of them ---------------------------------------------------------------------------------


def run_rounds(cases: list[Case], rounds: int, patience_s: float) -> list[Told]:
    """Every case in each round, so that a busy minute does not strike all rounds of one case."""
    told = [Told(case) for case in cases]
    for _ in range(rounds):
        for each in told:
            wait_until_quiet(patience_s)
            code, record = diagnose(each.case)
            note(each, code, record)
            print(f"{each.case.path.stem}: {each.verdicts[-1]}", flush=True)
    return told


def note(told: Told, code: int, record: dict[str, Any]) -> None:
    pools = [pool for pool in record["evidence"]["pools"] if pool["messages"]]
    told.verdicts.append(record["verdict"] if code == told.case.exit_code else f"exit {code}")
    told.identities += [pool["identity"] for pool in pools]
    told.others.append(record["evidence"]["program"]["other_cpus"] or 0.0)


def wait_until_quiet(patience_s: float) -> None:
    """Return when other programs leave the CPUs alone, or patience is over."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and busy_cpus() > QUIET_CPUS:
        pass


def busy_cpus(span_s: float = 0.3) -> float:
    """CPUs in use over a span."""
    before = busy_s()
    time.sleep(span_s)
    return (busy_s() - before) / span_s


def busy_s() -> float:
    user, nice, system, _, _, irq, softirq, *_ = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def hog() -> Iterator[None]:
    """Somebody who wants a CPU all the time."""
    process = subprocess.Popen([sys.executable, "-c", HOG])
    try:
        yield
    finally:
        process.kill()
        process.wait()


# --- what is printed -----------------------------------------------------------------------------


def show(title: str, told: list[Told], goal: float) -> bool:
    """Print the cases that were missed and the totals; whether the goals are met."""
    print(f"\n{title}")
    for each in told:
        if each.right < len(each.verdicts):
            said = ", ".join(f"{verdict}" for verdict in each.verdicts)
            expected = " or ".join(each.case.verdicts)
            print(f"  {each.case.path.stem}: expected {expected}; said {said}")
    runs = sum(len(each.verdicts) for each in told)
    right = sum(each.right for each in told)
    identities = [identity for each in told for identity in each.identities]
    worst = max((abs(identity - 1) for identity in identities), default=0.0)
    others = statistics.median(other for each in told for other in each.others)
    print(f"  first verdict right: {right} of {runs} ({right / runs:.1%}), goal {goal:.0%}")
    print(f"  account / (workers x time): off by {worst:.2%} at most, goal {GOAL_IDENTITY:.1%}")
    print(f"  other programs used {others:.2f} CPUs (median)")
    return right >= goal * runs and worst <= GOAL_IDENTITY


def main() -> int:
    """Run what the command line asks for; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="scripts/acceptance", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="cases with this word in their name")
    parser.add_argument("--cases", type=Path, default=CASES, help="another folder of cases")
    parser.add_argument("--patience", type=float, default=PATIENCE_S, metavar="SECONDS")
    parser.add_argument("--quiet-only", action="store_true")
    parser.add_argument("--hog-only", action="store_true")
    options = parser.parse_args()
    known = list_cases(options.cases, options.only)
    cases, left_out = select(known)
    for case, why in left_out:
        print(f"left out: {case.path.stem} ({why})")
    is_met = True
    if not options.hog_only:
        told = run_rounds(cases, options.rounds, options.patience)
        is_met &= show(f"Quiet: {len(cases)} cases, {options.rounds} rounds", told, GOAL_QUIET)
    if not options.quiet_only:
        with hog():
            told = run_rounds(cases, options.rounds, 0.0)
        title = f"Beside a CPU hog: {len(cases)} cases, {options.rounds} rounds"
        is_met &= show(title, told, GOAL_BESIDE_A_HOG)
    return 0 if is_met else 1


def select(cases: list[Case]) -> tuple[list[Case], list[tuple[Case, str]]]:
    """Cases that can run here, and those that cannot with the reason."""
    good, left_out = [], []
    for case in cases:
        missing = [name for name in case.needs if find_spec(name) is None]
        why = f"needs {', '.join(missing)}" if missing else why_no_group(case)
        if why:
            left_out.append((case, why))
        else:
            good.append(case)
    return good, left_out


def why_no_group(case: Case) -> str:
    if case.quota is None:
        return ""
    try:
        with control_group(case.quota):
            return ""
    except OSError as error:
        return f"no control group can be made here: {error}"


if __name__ == "__main__":
    sys.exit(main())
