"""`poolwise report`: a saved report again, in the terminal or as another kind of file."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import TYPE_CHECKING, Any

from poolwise.cli import output
from poolwise.errors import ExtraMissing
from poolwise.report import pool

if TYPE_CHECKING:
    from collections.abc import Sequence

_USAGE = "poolwise report FILE [--full] [--html FILE] [--trace FILE] [--json FILE]"

_EPILOG = """\
FILE is what pool.report().save("run.json") wrote, or the page of save("run.html"), which has the
same data inside; - is standard input. Without options the summary is printed. A FILE to write that
is - is standard output.
"""

_RECORD = re.compile(r'<script type="application/json" id="record">(.*?)</script>', re.DOTALL)


def main(argv: Sequence[str]) -> int:
    """Show the file and write the files that are asked for; 2 if there is nothing to show."""
    options = _parse(argv)
    try:
        report = read_report(options.file)
        if obstacle := output.find_obstacle((options.html, options.trace, options.json)):
            raise ValueError(obstacle)  # noqa: TRY301 - said as the others are
        for path, written in _render(options, report):
            output.write(path, written)
            if path != output.STDOUT:
                sys.stderr.write(f"wrote {path}\n")
    except (OSError, ValueError, ExtraMissing) as error:
        sys.stderr.write(f"poolwise report: {error}\n")
        return 2
    if options.full or not (options.html or options.trace or options.json):
        report.show(is_full=options.full)
    return 0


def read_report(path: str) -> pool.Report:
    """The report in a file of data, or in a page.

    :raises OSError: the file cannot be read.
    :raises ValueError: there is no report in it.
    """
    text = _read_text(path)
    page = _RECORD.search(text)
    try:
        plain = json.loads(page.group(1) if page else text)
    except ValueError as error:
        message = f"{path} is neither a saved report nor a page of one ({error}). {_SAVE_ONE}"
        raise ValueError(message) from error
    if (other := _name_other(plain)) is not None:
        message = f"{path} {other}"
        raise ValueError(message)
    return pool.Report.from_dict(plain)


def _read_text(path: str) -> str:
    if path == output.STDOUT:
        return sys.stdin.read()
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError as error:
        message = f"{path} is no text, so no saved report. {_SAVE_ONE}"
        raise ValueError(message) from error


_SAVE_ONE = "To save one: pool.report().save('run.json')"


def _name_other(plain: Any) -> str | None:
    """Describe a file that holds no report, and what to do with it."""
    if not isinstance(plain, dict):
        return f"holds no report but a {type(plain).__name__}. {_SAVE_ONE}"
    if "traceEvents" in plain:
        return f"is a trace: open it at https://ui.perfetto.dev. {_SAVE_ONE}"
    if "findings" in plain:
        return (
            "is a diagnosis of poolwise doctor, not a pool's report. To see one again: "
            "poolwise doctor --keep DIR SCRIPT, and then poolwise doctor --from DIR"
        )
    return None


def _render(options: argparse.Namespace, report: pool.Report) -> list[tuple[str, str]]:
    """Pairs of a path and what to write there; all are made before any is written."""
    wanted = [
        (options.html, report.to_html),
        (options.trace, report.to_trace),
        (options.json, lambda: report.to_json(indent=1)),
    ]
    return [(path, make()) for path, make in wanted if path]


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="poolwise report",
        usage=_USAGE,
        description="Show a saved report again.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", help="a saved report (.json), or its page (.html)")
    parser.add_argument("--full", action="store_true", help="print the details as well")
    parser.add_argument("--html", metavar="FILE", help="write a page that needs no network")
    parser.add_argument("--trace", metavar="FILE", help="write a trace for ui.perfetto.dev")
    parser.add_argument("--json", metavar="FILE", help="write the data; - to stdout")
    return parser.parse_args(argv)
