"""`poolwise doctor`: runs a program as it is, looks at its pools, and says what is slow and why."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from shutil import rmtree
from tempfile import mkdtemp
from threading import Timer
from typing import TYPE_CHECKING, Any

from poolwise.cli import output
from poolwise.cli.program import find_complaint, interpreter_flags, split_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from poolwise.doctor.diagnose import Diagnosis
    from poolwise.doctor.launch.compare import Comparison

_USAGE = "poolwise doctor [OPTIONS] (SCRIPT | -m MODULE | -c CODE | -) [ARGS...]"

_EPILOG = """\
The program runs once, unchanged, in an interpreter of its own, with your terminal, input, output
and signals. The report goes to standard error, so that the program's output stays its own; with
--from, to standard output.

Exit code: the program's own; 128 + N if signal N ended it. 1 if the program ended well and a
finding of --fail-on was made. 2 if the command line makes no sense, or if something that was
asked for could not be written.

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
    "--diff",
)


def main(argv: list[str]) -> int:
    """Observe the program, report; return its exit code, or what --fail-on makes of it."""
    words, program = split_options(argv, _VALUED)
    options = _parse(words)
    complaint = _find_complaint(options, program)
    if complaint:
        sys.stderr.write(complaint)
        return 2
    obstacle = output.find_obstacle((options.html, options.json, options.trace, options.diff))
    if obstacle := obstacle or _find_obstacle(options):
        _complain(obstacle)
        return 2
    with _Folder(options) as folder:
        try:
            status = 0 if options.records else _run(options, program, folder.path)
        except OSError as error:
            _complain(error)
            return 2
        comparison = _compare(program, options.compare_rounds) if options.compare else None
        return _tell(options, folder, status, comparison)


class _Folder:
    """Folder of the records: of --from, of --keep, or one that goes when all is written."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.path: str = options.records or options.keep or ""
        self._is_ours = not self.path

    def __enter__(self) -> _Folder:  # noqa: PYI034 - Self is newer than 3.10
        if self._is_ours:
            self.path = mkdtemp(prefix="poolwise-doctor-")
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_ours:
            rmtree(self.path, ignore_errors=True)

    def keep(self) -> str:
        """Keep the records; how to look at them again, in words."""
        self._is_ours = False
        return f"the records are in {self.path}: poolwise doctor --from {self.path}"


def _run(options: argparse.Namespace, program: list[str], directory: str) -> int:
    """Run the program under observation; its exit code, or minus the signal that ended it."""
    from poolwise.doctor.launch.launcher import clear, launch

    clear(directory)
    return launch(
        [sys.executable, *interpreter_flags(), *program],
        directory,
        verify_s=options.verify_seconds if options.verify else 0.0,
        is_profiled=options.profile,
        say=_say_standstill,
    )


def _tell(
    options: argparse.Namespace, folder: _Folder, status: int, comparison: Comparison | None
) -> int:
    """Print the report, then write the files; the exit code."""
    from poolwise.doctor.records.store import UnreadableError

    try:
        with _patience(options):
            study = _Study(options, folder.path, comparison)
    except UnreadableError as error:
        _complain(error)
        return _shell_code(status) or 2
    except Exception as error:  # records that were cut off, or of somebody else
        why = f"the records cannot be understood ({type(error).__name__}: {error})"
        _complain(f"{why}; {folder.keep()}")
        return _shell_code(status) or 2
    _print(options, study)
    is_whole = _write_files(study, folder)
    try:
        _mend(options, study.diagnosis)
    except BrokenPipeError:
        raise
    except OSError as error:
        _complain(f"an edit was not written: {error}")
        is_whole = False
    found = {finding.code for finding in study.diagnosis.findings}
    # 1: the program ended well and has what --fail-on names.
    code = 2 if not is_whole else 1 if found & set(options.fail_on) else 0
    return _shell_code(status) or code


def _write_files(study: _Study, folder: _Folder) -> bool:
    """Write what was asked for beside the text; False if something was not written."""
    is_whole = True
    for path, write in study.files():
        try:
            output.write(path, write())
        except BrokenPipeError:
            raise
        except (OSError, ImportError) as error:
            where = "standard output" if path == output.STDOUT else path
            _complain(f"{where} was not written: {error}; {folder.keep()}")
            is_whole = False
    return is_whole


def _complain(what: object) -> None:
    sys.stderr.write(f"poolwise doctor: {what}\n")


def _shell_code(status: int) -> int:
    return status if status >= 0 else 128 - status


class _Study:
    """Evidence, diagnosis and report of the records of one run."""

    def __init__(
        self, options: argparse.Namespace, directory: str, comparison: Comparison | None
    ) -> None:
        from poolwise.doctor.predict import calls as predict

        self._options = options
        self._comparison = comparison
        self._directory = directory
        try:
            self._look()
        except KeyboardInterrupt:  # somebody waits: without predictions it is there at once
            predict.hurry()
            self._look()

    def _look(self) -> None:
        from poolwise.doctor.diagnose import diagnose
        from poolwise.doctor.gather.run import gather
        from poolwise.doctor.records import timeline
        from poolwise.doctor.records.store import read
        from poolwise.doctor.render.present import groups_of, make_document

        options, began_s = self._options, time.perf_counter()
        self._run = read(self._directory)
        self.seen = gather(self._run)
        self.diagnosis = diagnose(self.seen)
        shown = {group.pool.id for group in groups_of(self.seen)}
        timelines = timeline.draw_pools(self._run, shown) if options.html else {}
        is_full = bool(options.html or options.json or options.full)
        self.document = make_document(
            self.seen, self.diagnosis, timelines, self._comparison, is_full=is_full, began_s=began_s
        )

    def files(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Files to write beside the text, and what makes the content of each."""
        from poolwise.doctor.records import timeline
        from poolwise.doctor.render.record import for_page
        from poolwise.report import html

        options, document = self._options, self.document
        if options.html:
            page = replace(document, record=for_page(document.record, self.seen))
            yield options.html, lambda: html.render(page)
        if options.json:
            yield options.json, lambda: json.dumps(document.record, indent=1)
        if options.trace:
            yield options.trace, lambda: timeline.render_trace(self._run)


@contextmanager
def _patience(options: argparse.Namespace) -> Iterator[None]:
    """Say that the records are looked at, where that takes longer than people wait in silence."""
    words = "poolwise doctor: analysing ... (Ctrl-C: a report without predictions)\n"
    timer = Timer(1.5, sys.stderr.write, (words,))
    timer.daemon = True
    if not options.records or sys.stdout.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _print(options: argparse.Namespace, study: _Study) -> None:
    from poolwise.report import text

    if output.STDOUT not in {options.html, options.json, options.trace, options.diff}:
        stream = sys.stdout if options.records else sys.stderr
        text.show(study.document, stream, is_full=options.full)
        stream.flush()


def _say_standstill(directory: str, known: dict[str, Any]) -> None:
    from poolwise.doctor.render.alarm import make_line

    line = make_line(directory, known)
    if line:
        sys.stderr.write(f"poolwise doctor: {line}\n")
        sys.stderr.flush()


def _compare(program: list[str], rounds: int) -> Comparison:
    """The program as it is and under `poolwise run`, in turns."""
    from poolwise.doctor.launch.compare import compare

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
        "--apply", action="store_true",
        help="make the edits of what is found in the program's files; asks for each",
    )  # fmt: skip
    parser.add_argument("--yes", action="store_true", help="with --apply: make them all, unasked")
    parser.add_argument("--diff", metavar="FILE", help="write these edits as a patch; - to stdout")
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
    day_s = 24 * 60 * 60
    if not 0 < seconds < day_s:
        message = f"a number of seconds above 0, not {word!r}"
        raise argparse.ArgumentTypeError(message)
    return seconds


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


def _find_obstacle(options: argparse.Namespace) -> str | None:
    """Reason why what was asked for cannot be made, known before the program runs."""
    from poolwise.report.extras import has_plotly

    if options.html and not has_plotly():
        return "--html needs plotly, which is not installed: pip install 'poolwise[report]'"
    if options.keep:
        try:
            os.makedirs(options.keep, exist_ok=True)
        except OSError as error:
            return f"--keep {options.keep}: {error.strerror}"
        if not os.access(options.keep, os.W_OK):
            return f"--keep {options.keep}: there is no right to write there"
    return None


def _find_complaint(options: argparse.Namespace, program: list[str]) -> str | None:
    if not options.records:
        return find_complaint("doctor", _USAGE, program)
    if program or options.keep or options.compare or options.verify or options.profile:
        return f"usage: {_USAGE}\npoolwise doctor: --from DIR looks at records, and runs nothing\n"
    return None


def _mend(options: argparse.Namespace, diagnosis: Diagnosis) -> None:
    """Write the edits down as a patch, and make them, if that is wanted."""
    from poolwise.cli import mend

    if options.diff:
        mend.write_patch(diagnosis.findings, options.diff)
    if options.apply:
        mend.apply_edits(diagnosis.findings, is_agreed=options.yes)
