"""`poolwise doctor`: runs a program as it is, looks at its pools, and says what is slow and why."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from poolwise.cli import output
from poolwise.cli.program import find_complaint, interpreter_flags, split_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from poolwise.doctor.compare import Comparison
    from poolwise.doctor.diagnose import Diagnosis
    from poolwise.doctor.features import Evidence
    from poolwise.doctor.store import Run

_USAGE = "poolwise doctor [OPTIONS] (SCRIPT | -m MODULE | -c CODE | -) [ARGS...]"

_EPILOG = """\
The program runs once, unchanged, in an interpreter of its own, with your terminal, input, output
and signals. The report goes to standard error, so that the program's output stays its own; with
--from, to standard output.

Exit code: the program's own; 128 + N if signal N ended it. 1 if the program ended well and a
finding of --fail-on was made. 2 if the command line makes no sense.

poolwise explain CODE says more of a finding. Records hold times, sizes and hashes of what your
program sent to its workers, never the contents.
"""

_VALUED = (
    "--json",
    "--html",
    "--trace",
    "--from",
    "--keep",
    "--fail-on",
    "--verify-seconds",
    "--compare-rounds",
)

FOUND = 1
"""Exit code of a program that ended well and has what --fail-on names."""


def main(argv: list[str]) -> int:
    """Observe the program, report; return its exit code, or what --fail-on makes of it."""
    words, program = split_options(argv, _VALUED)
    options = _parse(words)
    complaint = _find_complaint(options, program)
    if complaint:
        sys.stderr.write(complaint)
        return 2
    if obstacle := output.find_obstacle((options.html, options.json, options.trace)):
        sys.stderr.write(f"poolwise doctor: {obstacle}\n")
        return 2
    from poolwise.doctor.store import UnreadableError

    try:
        with _records(options, program) as run:
            seen, diagnosis = _look(run)
            comparison = _compare(program, options.compare_rounds) if options.compare else None
            _report(options, run, seen, diagnosis, comparison)
    except (OSError, UnreadableError, ImportError) as error:
        sys.stderr.write(f"poolwise doctor: {error}\n")
        return 2
    return _exit_code(options, seen, diagnosis)


@contextmanager
def _records(options: argparse.Namespace, program: list[str]) -> Iterator[Run]:
    """The records of the program's run, or of the earlier one that --from names."""
    from poolwise.doctor.launch import launch
    from poolwise.doctor.store import read

    if options.records:
        yield read(options.records)
        return
    with TemporaryDirectory(prefix="poolwise-doctor-") as folder:
        directory = options.keep or folder
        os.makedirs(directory, exist_ok=True)
        verify_s = options.verify_seconds if options.verify else 0.0
        command = [sys.executable, *interpreter_flags(), *program]
        launch(
            command, directory, verify_s=verify_s, is_profiled=options.profile, say=_say_standstill
        )
        yield read(directory)


def _say_standstill(directory: str, known: dict[str, Any]) -> None:
    from poolwise.doctor.alarm import make_line

    line = make_line(directory, known)
    if line:
        sys.stderr.write(f"poolwise doctor: {line}\n")
        sys.stderr.flush()


def _look(run: Run) -> tuple[Evidence, Diagnosis]:
    from poolwise.doctor.diagnose import diagnose
    from poolwise.doctor.gather import gather

    seen = gather(run)
    return seen, diagnose(seen)


def _compare(program: list[str], rounds: int) -> Comparison:
    """The program as it is and under `poolwise run`, in turns."""
    from poolwise.doctor.compare import compare

    flags = interpreter_flags()
    ours = [sys.executable, *flags, "-m", "poolwise", "run", *program]
    return compare([sys.executable, *flags, *program], ours, rounds)


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="poolwise doctor",
        usage=_USAGE,
        description="Run a program as it is and say why its pools are slow.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--full", action="store_true", help="print the details as well")
    parser.add_argument("--html", metavar="FILE", help="write a page that needs no network")
    parser.add_argument("--json", metavar="FILE", help="write diagnosis and evidence; - to stdout")
    parser.add_argument("--trace", metavar="FILE", help="write a trace for ui.perfetto.dev")
    parser.add_argument("--keep", metavar="DIR", help="keep the records there")
    parser.add_argument(
        "--verify", action="store_true",
        help="try the remedies on the program's own function, which runs again for that",
    )  # fmt: skip
    parser.add_argument(
        "--verify-seconds", metavar="S", type=_seconds, default=4.0,
        help="how long experiments on one call may take (4)",
    )  # fmt: skip
    parser.add_argument(
        "--compare", action="store_true",
        help="run the program again, as it is and under poolwise run in turns, and compare",
    )  # fmt: skip
    parser.add_argument(
        "--compare-rounds", metavar="N", type=_rounds, default=3, help="how often each runs (3)"
    )
    parser.add_argument(
        "--profile", action="store_true",
        help="show the hot lines inside tasks (py-spy if installed, else cProfile, which slows)",
    )  # fmt: skip
    parser.add_argument(
        "--from", metavar="DIR", dest="records", help="no program: the records that --keep left"
    )
    parser.add_argument(
        "--fail-on", metavar="PW001,...", type=_codes, default=[],
        help="exit with 1 if one of these is found (codes or names; any: whatever is found)",
    )  # fmt: skip
    return parser.parse_args(words)


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < _LONGEST_S:
        message = f"a number of seconds above 0, not {word!r}"
        raise argparse.ArgumentTypeError(message)
    return seconds


_LONGEST_S = 86_400


def _rounds(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        message = f"the number of rounds is 1 or more, not {word!r}"
        raise argparse.ArgumentTypeError(message)
    return int(word)


def _codes(words: str) -> list[str]:
    """Codes of the rules that are named, separated by commas."""
    from poolwise.doctor.rules import RULES, find_rule

    if words.strip().lower() == "any":
        return [rule.code for rule in RULES]
    found = []
    for word in words.split(","):
        rule = find_rule(word)
        if rule is None:
            message = f"there is no finding {word!r} (all findings: poolwise explain)"
            raise argparse.ArgumentTypeError(message)
        found.append(rule.code)
    return found


def _find_complaint(options: argparse.Namespace, program: list[str]) -> str | None:
    if not options.records:
        return find_complaint("doctor", _USAGE, program)
    if program or options.keep or options.compare or options.verify or options.profile:
        return f"usage: {_USAGE}\npoolwise doctor: --from DIR looks at records, and runs nothing\n"
    return None


def _report(
    options: argparse.Namespace,
    run: Run,
    seen: Evidence,
    diagnosis: Diagnosis,
    comparison: Comparison | None,
) -> None:
    from poolwise.doctor import timeline
    from poolwise.doctor.present import make_document
    from poolwise.report import html, text

    timelines = timeline.draw_pools(run) if options.html else {}
    document = make_document(seen, diagnosis, timelines, comparison)
    writers: list[tuple[str | None, Callable[[], str]]] = [
        (options.html, lambda: html.render(document)),
        (options.json, lambda: json.dumps(document.record, indent=1)),
        (options.trace, lambda: timeline.render_trace(run)),
    ]
    for path, write in writers:
        if path:
            output.write(path, write())
    if output.STDOUT not in {options.html, options.json, options.trace}:
        stream = sys.stdout if options.records else sys.stderr
        text.show(document, stream, is_full=options.full)


def _exit_code(options: argparse.Namespace, seen: Evidence, diagnosis: Diagnosis) -> int:
    status = 0 if options.records else seen.program.exit_status or 0
    if status:
        return status if status > 0 else 128 - status
    found = {finding.code for finding in diagnosis.findings}
    return FOUND if found & set(options.fail_on) else 0
