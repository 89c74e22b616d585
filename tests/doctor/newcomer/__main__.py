"""The doctor looks at each script, its first edit is made in a copy, and both are timed.

    python -m tests.doctor.newcomer [--busy] [--rounds N] [NAME...]

prints, for each script: whether the headline and the first remedy are the expected ones; whether
the edit runs, prints the same and gains what it should; the time that was promised for the program
after it and the time that it took; and how long after the program's end the report was complete.

An edit is right if it runs, prints the same, and is 1.2 times as fast at least where 1.5 times was
promised. `--busy` does all of it beside a program that wants one CPU all the time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from poolwise.account.plain import from_plain
from poolwise.doctor.advice import patch
from poolwise.doctor.diagnose import Diagnosis
from poolwise.doctor.findings import Change
from tests.doctor.accept import hog
from tests.doctor.newcomer.kinds import Kind, copy, list_kinds

TIMEOUT_S = 180.0

PROMISED, GAINED = 1.5, 1.2
"""An edit that promises the first has to bring the second."""

LEAST_PATIENCE_S = 10.0
PATIENCE = 4
"""An edited program may take so many times what it took, and so long at least, before it is ended:
advice to run for ever is wrong advice."""


@dataclass(frozen=True)
class Run:
    """How a program ended, what it printed, how long it took."""

    code: int | str
    output: str
    seconds: float
    errors: str = ""


@dataclass
class Told:
    """What the doctor said of one script, and what came of it."""

    kind: Kind
    headline: str
    first: str
    report_s: float
    promised: float = 1.0
    gained: float | None = None
    ratio: float | None = None
    trouble: str = ""
    has_edit: bool = False

    @property
    def is_headline_right(self) -> bool:
        return self.headline in self.kind.headlines

    @property
    def is_advice_right(self) -> bool:
        """The remedy is an expected one, and its edit does what it shall."""
        is_expected = self.first in self.kind.first or (not self.first and not self.kind.first)
        is_enough = self.promised < PROMISED or (self.gained or GAINED) >= GAINED
        return is_expected and not self.trouble and is_enough


def run(*command: str | Path, folder: Path, stop_s: float | None, limit_s: float) -> Run:
    """Run a command in a group of its own, which Ctrl-C or the limit ends altogether."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(timeout=stop_s or limit_s)
        code: int | str = process.returncode
    except subprocess.TimeoutExpired:
        out, errors, code = _stop(process, stop_s)
    return Run(code, out, time.perf_counter() - began, errors)


def _stop(process: subprocess.Popen[str], stop_s: float | None) -> tuple[str, str, int | str]:
    """Ctrl-C as a terminal sends it; whoever is left after that is killed."""
    if stop_s is not None:
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            out, errors = process.communicate(timeout=LEAST_PATIENCE_S)
            return out, errors, process.returncode
    os.killpg(process.pid, signal.SIGKILL)
    out, errors = process.communicate()
    return out, errors, "too long"


def examine(kind: Kind, rounds: int) -> Told:
    """What the doctor says of a script, and what its first edit brings."""
    with TemporaryDirectory(prefix="newcomer-") as name:
        folder = Path(name)
        script, record = copy(kind, folder), folder / "record.json"
        command = (sys.executable, "-m", "poolwise", "doctor", "--json", record, script.name)
        seen = run(*command, folder=folder, stop_s=kind.stop_s, limit_s=TIMEOUT_S)
        if not record.exists():
            last = seen.errors.strip().rpartition("\n")[2]
            return Told(kind, "none", "", seen.seconds, trouble=f"no report: {last}")
        plain = json.loads(record.read_text())
        diagnosis = from_plain(Diagnosis, plain)
        wall_s = plain["evidence"]["program"]["wall_s"]
        told = _read(kind, diagnosis, seen.seconds - wall_s)
        remedy = patch.first_edit(diagnosis.findings[0].remedies) if diagnosis.findings else None
        if remedy is None or kind.stop_s is not None:
            return told
        told.has_edit = True
        then_s = wall_s
        if remedy.prediction is not None:
            then_s = max(0.01, wall_s - remedy.prediction.now_s + remedy.prediction.then_s)
            told.promised = wall_s / then_s
        _try_edit(told, script, remedy.changes, then_s, rounds)
        return told


def _read(kind: Kind, diagnosis: Diagnosis, report_s: float) -> Told:
    if not diagnosis.findings:
        return Told(kind, diagnosis.outcome.upper(), "", report_s)
    first = diagnosis.findings[0]
    remedy = first.remedies[0].kind if first.remedies else ""
    return Told(kind, first.code, remedy, report_s)


def _try_edit(told: Told, script: Path, changes: list[Change], then_s: float, rounds: int) -> None:
    """The script as it was and with the edit, in turns."""
    edited = script.with_name(f"edited_{script.name}")
    text = patch.new_text(changes, changes[0].file)
    if text is None:
        told.trouble = "does not apply"
        return
    edited.write_text(text)
    before: list[float] = []
    after: list[float] = []
    for _ in range(rounds):
        was = run(sys.executable, script.name, folder=script.parent, stop_s=None, limit_s=TIMEOUT_S)
        limit_s = max(LEAST_PATIENCE_S, PATIENCE * was.seconds)
        now = run(sys.executable, edited.name, folder=script.parent, stop_s=None, limit_s=limit_s)
        before.append(was.seconds)
        after.append(now.seconds)
        told.trouble = told.trouble or _compare(told.kind, was, now)
    told.gained = min(before) / min(after)
    if told.promised > 1:
        told.ratio = max(then_s / min(after), min(after) / then_s)


def _compare(kind: Kind, was: Run, now: Run) -> str:
    if now.code != was.code:
        last = now.errors.strip().rpartition("\n")[2]
        return f"ends with {now.code}: {last}"
    is_same = kind.is_random or was.output == now.output
    return "" if is_same else "prints something else"


# --- what is printed -----------------------------------------------------------------------------

COLUMNS = "{:<26} {:<22} {:<20} {:>8} {:>8} {:>6} {:>8}  {}"


def show(told: Told) -> None:
    """One line of the table."""
    headline = (
        told.headline if told.is_headline_right else f"{told.headline} NOT {told.kind.headlines[0]}"
    )
    first = told.first or "-"
    if told.first not in {*told.kind.first, ""}:
        first += " NOT " + (told.kind.first[0] if told.kind.first else "any")
    print(
        COLUMNS.format(
            told.kind.name,
            headline,
            first,
            f"{told.promised:.2f}x" if told.promised > 1 else "-",
            f"{told.gained:.2f}x" if told.gained else "no edit" if told.first else "-",
            f"{told.ratio:.2f}" if told.ratio else "-",
            f"{told.report_s:.1f} s",
            told.trouble or ("" if told.is_advice_right else "advice"),
        ).rstrip(),
        flush=True,
    )


def sum_up(all_told: list[Told]) -> None:
    """The totals below the table."""
    ratios = [each.ratio for each in all_told if each.ratio]
    edits = [each for each in all_told if each.has_edit]
    print(f"\nheadline right: {_count(each.is_headline_right for each in all_told)}")
    print(f"advice right: {_count(each.is_advice_right for each in all_told)}")
    print(f"edits that run and print the same: {_count(not each.trouble for each in edits)}")
    if ratios:
        print(
            f"promised against measured time of the program: {statistics.median(ratios):.2f} "
            f"(median), {max(ratios):.2f} (worst)"
        )
    print(
        f"report after the program's end: {max(each.report_s for each in all_told):.1f} s (worst)"
    )


def _count(answers: Iterable[bool]) -> str:
    known = list(answers)
    return f"{sum(known)} of {len(known)}"


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.doctor.newcomer", description=__doc__)
    parser.add_argument("--busy", action="store_true", help="beside a program that takes a CPU")
    parser.add_argument("--rounds", type=int, default=2, help="runs of both programs (2)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="scripts; all if none")
    options = parser.parse_args()
    kinds = list_kinds(*options.names)
    for kind in kinds:
        if kind.missing:
            print(f"left out: {kind.name} (needs {', '.join(kind.missing)})")
    head = ("", "headline", "first remedy", "promised", "gained", "ratio", "report", "")
    print(COLUMNS.format(*head).rstrip())
    all_told = []
    with hog() if options.busy else contextlib.nullcontext():
        for kind in kinds:
            if not kind.missing:
                all_told.append(examine(kind, options.rounds))
                show(all_told[-1])
    sum_up(all_told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
