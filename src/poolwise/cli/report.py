"""`poolwise report`: a saved report again, in the terminal or as another kind of file."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import TYPE_CHECKING

from poolwise.errors import ExtraMissing
from poolwise.report import pool

if TYPE_CHECKING:
    from collections.abc import Sequence

_USAGE = "poolwise report FILE [--full] [--html FILE] [--trace FILE] [--json FILE]"

_EPILOG = """\
FILE is what pool.report().save("run.json") wrote, or the page of save("run.html"), which has the
same data inside. Without options the summary is printed.
"""

_RECORD = re.compile(r'<script type="application/json" id="record">(.*?)</script>', re.DOTALL)


def main(argv: Sequence[str]) -> int:
    """Show the file and write the files that are asked for; 2 if there is nothing to show."""
    options = _parse(argv)
    try:
        report = read_report(options.file)
        for path, written in _render(options, report):
            with open(path, "w", encoding="utf-8") as file:
                file.write(written)
            print(f"wrote {path}")
    except (OSError, ValueError, ExtraMissing) as error:
        sys.stderr.write(f"poolwise report: {error}\n")
        return 2
    if not (options.html or options.trace or options.json):
        report.show(is_full=options.full)
    return 0


def read_report(path: str) -> pool.Report:
    """The report in a file of data, or in a page.

    :raises OSError: the file cannot be read.
    :raises ValueError: there is no report in it.
    """
    with open(path, encoding="utf-8") as file:
        text = file.read()
    page = _RECORD.search(text)
    try:
        plain = json.loads(page.group(1) if page else text)
    except ValueError as error:
        message = f"{path} is neither a saved report nor a page of one ({error})"
        raise ValueError(message) from error
    if not isinstance(plain, dict):
        message = f"{path} holds no report but {type(plain).__name__}"
        raise ValueError(message)  # noqa: TRY004 - the file is wrong, not the caller
    return pool.Report.from_dict(plain)


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
    parser.add_argument("--json", metavar="FILE", help="write the data")
    return parser.parse_args(argv)
