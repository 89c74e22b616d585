"""`poolwise checklist`: nine points about a program's pool, answered from one observed run."""

from __future__ import annotations

import argparse
import os
import sys
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from poolwise.cli import output
from poolwise.cli.program import find_complaint, interpreter_flags, split_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poolwise.doctor.diagnose import Diagnosis
    from poolwise.doctor.evidence.features import Evidence
    from poolwise.doctor.render.checklist import Point

_USAGE = "poolwise checklist [--bench FILE] (SCRIPT | -m MODULE) [ARGS...]"

_EPILOG = """\
The program runs once, unchanged. Where its main call can be made again (map, imap, imap_unordered,
starmap), a micro-benchmark of it is written: beside the script as bench_SCRIPT, unless a file of
that name is there, or to the file that --bench names. It is yours to keep.
"""


def main(argv: list[str]) -> int:
    """Observe the program and print the list; return the program's exit code."""
    words, program = split_options(argv, ("--bench",))
    options = _parse(words)
    complaint = find_complaint("checklist", _USAGE, program)
    if complaint:
        sys.stderr.write(complaint)
        return 2
    if obstacle := output.find_obstacle([options.bench]):
        sys.stderr.write(f"poolwise checklist: {obstacle}\n")
        return 2
    from poolwise.doctor import observe
    from poolwise.doctor.diagnose import diagnose
    from poolwise.doctor.render.checklist import go_through

    try:
        with TemporaryDirectory(prefix="poolwise-doctor-") as folder:
            seen = observe([sys.executable, *interpreter_flags(), *program], folder)
        diagnosis = diagnose(seen)
        _show(seen, go_through(seen, diagnosis))
        _write_benchmark(seen, diagnosis, options.bench)
    except OSError as error:
        sys.stderr.write(f"poolwise checklist: {error}\n")
        return 2
    status = seen.program.exit_status or 0
    return status if status >= 0 else 128 - status


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="poolwise checklist",
        usage=_USAGE,
        description="Go through nine points about a program's pool, answered by one run.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--bench", metavar="FILE", help="where to write the micro-benchmark")
    return parser.parse_args(words)


def _show(seen: Evidence, points: Sequence[Point]) -> None:
    from poolwise.report import blocks as b
    from poolwise.report import text

    tones: dict[str, b.Tone] = {"good": "good", "bad": "bad", "unknown": "plain"}
    marks = {"good": "[x]", "bad": "[ ]", "unknown": "[?]"}
    shown: list[b.Block] = [
        b.Verdict(point.title, tones[point.answer], f"{marks[point.answer]} {number}.", "",
                  [point.words])
        for number, point in enumerate(points, 1)
    ] or [b.Text("No pool got any work: there is nothing to go through.")]  # fmt: skip
    title = "poolwise checklist: " + " ".join(seen.program.command[1:])
    text.show(b.Document(title, shown), sys.stderr)


def _write_benchmark(seen: Evidence, diagnosis: Diagnosis, wanted: str | None) -> None:
    from poolwise.doctor import microbench
    from poolwise.doctor.render import checklist

    chosen = checklist.main_call(seen)
    if chosen is None or chosen[1].place is None or not checklist.can_be_repeated(chosen[1]):
        return
    pool, site = chosen
    program = site.place.file if site.place else ""
    path = wanted or os.path.join(os.path.dirname(program), f"bench_{os.path.basename(program)}")
    if not wanted and os.path.exists(path):
        sys.stderr.write(f"\n{path} is there already; --bench FILE writes elsewhere.\n")
        return
    plan = microbench.Plan(
        site.function.rpartition(".")[2],
        site.place.line if site.place else 0,
        site.api,
        checklist.chunk_sizes(pool, site, diagnosis),
        checklist.worker_counts(pool, diagnosis),
        sample=2000,  # a number that its owner may edit
    )
    microbench.write_file(path, program, plan)
    sys.stderr.write(f"\nA micro-benchmark of this call: python {path}\n")
