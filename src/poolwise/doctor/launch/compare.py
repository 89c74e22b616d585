"""A program before and after: two commands in turns, times side by side, outputs compared.

In turns, because a machine that gets slower would otherwise pass for a program that does. Nothing
is observed meanwhile.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from poolwise.report import blocks as b
from poolwise.report import figures

ROUNDS = 3

_LEAST_OTHER = 1.1
"""Medians that differ by less than this are taken for the same."""


@dataclass(frozen=True)
class Side:
    """One of the commands: wall and CPU seconds of each round, and how the last one ended."""

    name: str
    wall_s: list[float]
    cpu_s: list[float]
    status: int

    @property
    def median_s(self) -> float:
        """The middle one of its wall times."""
        return statistics.median(self.wall_s)


@dataclass(frozen=True)
class Comparison:
    """Both sides, and what their outputs have to do with each other, in words."""

    before: Side
    after: Side
    is_same_output: bool
    output: str

    @property
    def times(self) -> float:
        """The factor by which it is faster afterwards."""
        return self.before.median_s / max(self.after.median_s, 1e-9)


@dataclass(frozen=True)
class _Ran:
    wall_s: float
    cpu_s: float
    status: int
    output: bytes


def compare(before: Sequence[str], after: Sequence[str], rounds: int = ROUNDS) -> Comparison:
    """Run both commands in turns.

    Standard input is empty, unless it is a file, which each run gets from its beginning.

    :raises OSError: a command cannot be started.
    """
    ran: tuple[list[_Ran], list[_Ran]] = ([], [])
    began = time.perf_counter()
    patience_s = 120.0  # no further round begins when rounds have taken so long
    for number in range(rounds):
        if number and time.perf_counter() - began > patience_s:
            break
        for side, command in zip(ran, (before, after), strict=True):
            side.append(_run(command))
    first, second = ran[0][-1].output, ran[1][-1].output
    is_same, said = compare_outputs(first, second, is_steady=_is_steady(ran[0]))
    return Comparison(_side("as it is", ran[0]), _side("poolwise run", ran[1]), is_same, said)


def compare_outputs(before: bytes, after: bytes, *, is_steady: bool = True) -> tuple[bool, str]:
    """True if outputs are the same, and how they are not.

    :param is_steady: whether the program itself writes the same each time.
    """
    if before == after:
        return True, "the same output" if before else "no output on either side"
    if not is_steady:
        return (
            False,
            "the program writes something else each time, so that outputs cannot be compared",
        )
    lines, others = before.splitlines(), after.splitlines()
    if sorted(lines) == sorted(others):
        return False, "the same lines of output, in another order"
    pairs = zip(lines, others, strict=False)
    at = next((n for n, (x, y) in enumerate(pairs, 1) if x != y), min(len(lines), len(others)) + 1)
    return False, f"outputs differ from line {at} on: {_line(lines, at)} became {_line(others, at)}"


def draw(comparison: Comparison) -> b.Section:
    """Both sides as a table, under a sentence."""
    sides = comparison.before, comparison.after
    rows: list[list[b.Cell]] = [
        [side.name, side.median_s, min(side.wall_s), max(side.wall_s),
         statistics.median(side.cpu_s), len(side.wall_s), str(side.status)]
        for side in sides
    ]  # fmt: skip
    columns = [b.Column(""), b.Column("wall, median", "s"), b.Column("least", "s"),
               b.Column("most", "s"), b.Column("CPU", "s"), b.Column("rounds", "count"),
               b.Column("exit")]  # fmt: skip
    return b.Section("Before and after", [_say(comparison), b.Table(columns, rows)])


def _say(comparison: Comparison) -> b.Verdict:
    times, before, after = comparison.times, comparison.before, comparison.after
    speeds = (
        f"{figures.seconds(before.median_s)}, under poolwise run {figures.seconds(after.median_s)}"
    )
    if after.status != before.status:
        return b.Verdict(
            f"It does not end as it did: {speeds}", "bad", "COMPARED", "", [comparison.output]
        )
    tone: b.Tone
    if 1 / _LEAST_OTHER < times < _LEAST_OTHER:
        verdict, tone = "No difference to speak of", "plain"
    elif times > 1:
        verdict, tone = f"{times:.2g} times as fast", "good"
    else:
        verdict, tone = f"{1 / times:.2g} times as slow", "bad"
    return b.Verdict(f"{verdict}: {speeds}", tone, "COMPARED", "", [comparison.output + "."])


def _side(name: str, ran: Sequence[_Ran]) -> Side:
    return Side(name, [x.wall_s for x in ran], [x.cpu_s for x in ran], ran[-1].status)


def _is_steady(ran: Sequence[_Ran]) -> bool:
    return all(each.output == ran[0].output for each in ran)


def _line(lines: Sequence[bytes], number: int) -> str:
    if number > len(lines):
        return "the end"
    text = lines[number - 1].decode(errors="replace")
    return repr(text if len(text) <= _LONGEST_LINE else text[:_LONGEST_LINE] + "...")


_LONGEST_LINE = 60


def _run(command: Sequence[str]) -> _Ran:
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603 - the user's own
            command, stdin=_input(), stdout=output, stderr=subprocess.DEVNULL
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.perf_counter() - began
        output.seek(0)
        cpu_s = usage.ru_utime + usage.ru_stime
        return _Ran(wall_s, cpu_s, process.returncode, output.read())


def _input() -> int:
    """Our standard input from its beginning, if it has one; else none."""
    try:
        number = sys.stdin.fileno()
        os.lseek(number, 0, os.SEEK_SET)
    except (OSError, ValueError, AttributeError):
        return subprocess.DEVNULL
    return number
