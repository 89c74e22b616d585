"""Runs suites and programs of others under the standard pools and under ours; prints a table.

python -m tests.suites.neighbours [NAME...]

What they require is installed beside this interpreter. Ends with 1 if a test passes under the
standard pools and not under ours, or what a program does differs, for no reason in
`table.DIFFERENCES`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from difflib import unified_diff
from fnmatch import fnmatch
from functools import partial
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.suites.environment import interpreter, run_apart
from tests.suites.table import DIFFERENCES, PACKAGES, PROGRAMS, SUITES, Program, Suite

Outcomes = dict[str, str]
"""A test -> "passed", "skipped" or "failed"; a program's product -> what it is."""

Run = Callable[[str, Path], Outcomes]
"""Runs something with an interpreter, in a folder."""

SOURCES = Path(sys.prefix) / "sources"
LIMIT_S = 1200
MOST_LINES = 30
PYTEST = ("-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-W", "ignore")


def install() -> None:
    """Install what they require, and fetch the source distributions that have tests."""
    wanted = [each.requires for each in (*SUITES, *PROGRAMS) if each.requires]
    wanted += [also for suite in SUITES for also in suite.also]
    pip("install", *wanted)
    for suite in SUITES:
        if suite.is_in_source and not any(SOURCES.glob(f"{stem(suite)}.tar.gz")):
            name = suite.requires.partition("=")[0]
            options = ("--no-deps", "--no-binary", name, "--dest", str(SOURCES))
            pip("download", *options, suite.requires)


def pip(*words: str) -> None:
    """Call pip; raises CalledProcessError."""
    options = ("--quiet", "--disable-pip-version-check", "--no-input")
    subprocess.run([sys.executable, "-m", "pip", *words, *options], check=True)


def stem(suite: Suite) -> str:
    """Name of its source distribution."""
    return suite.requires.replace("==", "-")


def run_suite(suite: Suite, runner: Sequence[str], python: str, folder: Path) -> Outcomes:
    """How each test ended; the tests alone are in the folder, not their package."""
    told, report = folder.parent / "told", folder.parent / "report.xml"
    where = ("--pyargs",)
    if suite.is_in_source:
        where = ()
        unpack(suite, folder)
    command = [python, *runner, *PYTEST, f"--junitxml={report}", *suite.options]
    ended = run_apart([*command, *where, *suite.tests], LIMIT_S, told, folder)
    if not report.exists():
        return {"the suite": f"failed: {told.read_text()[-2000:]}\n{ended}"}
    return dict(read_report(report))


def unpack(suite: Suite, folder: Path) -> None:
    """Put the top folders of its tests there."""
    tops = {f"{stem(suite)}/{test.partition('/')[0]}/" for test in suite.tests}
    with tarfile.open(SOURCES / f"{stem(suite)}.tar.gz") as archive:
        members = [each for each in archive if each.name.startswith(tuple(tops))]
        for each in members:
            each.name = each.name.partition("/")[2]
        archive.extractall(folder, members, filter="data")


def read_report(path: Path) -> Iterator[tuple[str, str]]:
    """The tests of a JUnit report."""
    for case in ET.parse(path).iter("testcase"):
        kinds = {child.tag: child for child in case}
        bad = kinds.get("failure", kinds.get("error"))
        name = f"{case.get('classname')}::{case.get('name')}"
        if bad is not None:
            yield name, f"failed: {(bad.text or '')[-2000:]}"
        else:
            yield name, "skipped" if "skipped" in kinds else "passed"


def run_program(program: Program, python: str, folder: Path) -> Outcomes:
    """What it printed and made, by name."""
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(
            f"{sysconfig.get_path('stdlib')}/{package}", folder / package, ignore=ignore
        )
    shell = 'out=$1 err=$2; shift 2; "$@" >"$out" 2>"$err"'
    out, err, told = (folder.parent / name for name in ("out", "err", "told"))
    command = ["sh", "-c", shell, "sh", str(out), str(err), python, *program.command.split()]
    ended = run_apart(command, LIMIT_S, told, folder)
    made = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    outcomes = {name: repr(path.read_bytes()) for name, path in sorted(made.items())}
    lines = [
        path.read_text().replace(str(folder), "").splitlines(keepends=True) for path in (out, err)
    ]
    printed = sorted(lines[0]) if program.in_any_order else lines[0]
    told_too = sorted(lines[1])
    return {"end": ended, "stdout": "".join(printed), "stderr": "".join(told_too), **outcomes}


def run_both(standard: Run, ours: Run, pools: str = "ours") -> tuple[Outcomes, Outcomes]:
    """Run it under the standard pools and under ours, each in a new folder of the same name.

    :param pools: of the interpreter that runs ours.
    """
    both = []
    with tempfile.TemporaryDirectory() as place:
        for number, (run, kind) in enumerate(((standard, "standard"), (ours, pools))):
            folder = Path(place, str(number), "work")
            folder.mkdir(parents=True)
            with interpreter(kind) as python:
                both.append(run(python, folder))
    return both[0], both[1]


def show_suite(suite: Suite) -> bool:
    """Print its row; return whether ours is as good."""
    run = partial(run_suite, suite, ["-m", "pytest"])
    if suite.runner:
        instead = partial(run_suite, suite, [str(Path(__file__).with_name(suite.runner))])
        standard, ours = run_both(run, instead, "standard")
    else:
        standard, ours = run_both(run, run)
    lost = {
        name: ours.get(name, "did not run")
        for name, outcome in standard.items()
        if outcome == "passed" and ours.get(name) != "passed"
    }
    counts = [Counter(one.values())["passed"] for one in (standard, ours)]
    print(
        f"{suite.requires:26} {counts[0]:4} of {len(standard)} passed under the standard pools,"
        f" {counts[1]:4} of {len(ours)} under ours",
        flush=True,
    )
    return bool(counts[0]) and tell(suite.requires, lost)


def show_program(program: Program) -> bool:
    """Print its row; return whether both did the same."""
    run = partial(run_program, program)
    standard, ours = run_both(run, run)
    differ = {
        name: "".join(compare(standard.get(name, ""), ours.get(name, "")))
        for name in standard.keys() | ours.keys()
        if standard.get(name) != ours.get(name)
    }
    size = sum(map(len, standard.values()))
    verdict = "differs" if differ else "the same to the byte"
    name = program.command.replace(f"{Path(__file__).parent}/", "")
    print(f"{name:50} {size:8} characters, {verdict}", flush=True)
    return tell(name, differ)


def compare(standard: str, ours: str) -> Iterator[str]:
    """The first lines of what differs."""
    lines = (each.splitlines(keepends=True) for each in (standard, ours))
    return islice(unified_diff(*lines, "standard", "ours", n=0), MOST_LINES)


def tell(name: str, found: Outcomes) -> bool:
    """Print each difference with its reason; return whether all have one."""
    is_well = True
    for what, text in found.items():
        key = f"{name} {what}"
        why = next((why for pattern, why in DIFFERENCES.items() if fnmatch(key, pattern)), None)
        is_well = is_well and why is not None
        print(f"    {what}: {why or text}", flush=True)
    return is_well


def main(words: list[str]) -> bool:
    """Print all rows, or those of the names."""
    install()
    bad = [
        each.requires or each.command
        for each in (*SUITES, *PROGRAMS)
        if not words or each.requires.partition("=")[0].partition("[")[0] in words
        if not (show_suite(each) if isinstance(each, Suite) else show_program(each))
    ]
    print(
        f"{len(bad)} differ without a reason: {', '.join(bad)}" if bad else "All as they should be."
    )
    return not bad


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
