"""`poolwise whatif`: the time of a pool's calls with other workers, chunk sizes or kinds."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from poolwise.cli import output
from poolwise.errors import ExtraMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poolwise.account.whatif import Forecast

_EPILOG = """\
RECORD is what pool.report().save("run.json") wrote, its page, or a folder that
`poolwise doctor --keep DIR` has filled; - is standard input. Without options: 1, 2, 4, ... workers,
threads, and a plain loop. Each bar ends in its band of uncertainty.
"""


def main(argv: Sequence[str]) -> int:
    """Print the predictions and write the files that are asked for; 2 if there are none."""
    options = _parser().parse_args(argv)
    try:
        if obstacle := output.find_obstacle((options.html, options.json)):
            raise ValueError(obstacle)  # noqa: TRY301 - said as the others are
        title, asked = _read(options.record)
        document = _predict(title, asked, options)
        _write(document, options)
    except (OSError, ValueError, ExtraMissing) as error:
        sys.stderr.write(f"poolwise whatif: {error}\n")
        return 2
    if output.STDOUT not in {options.html, options.json}:
        from poolwise.report import text

        text.show(document, sys.stdout)
    return 0


def _read(record: str) -> tuple[str, Any]:
    """A model that can be asked, and what it is of.

    :raises OSError, ValueError: there is none in the file or folder.
    """
    if os.path.isdir(record):
        return _read_folder(record)
    from poolwise.account.whatif import calibrate
    from poolwise.cli.report import read_report

    report = read_report(record)
    try:
        model = calibrate(report)
    except (TypeError, AttributeError, ArithmeticError, KeyError) as error:
        message = f"{record} holds a report in which numbers are missing or make no sense ({error})"
        raise ValueError(message) from error
    names = ", ".join(dict.fromkeys(each.function for each in report.functions))
    title = f"{report.items:,} items of {names} on {report.workers} {model.kind}"
    return title, model


def _read_folder(folder: str) -> tuple[str, Any]:
    from poolwise.doctor import replay
    from poolwise.doctor.records.store import UnreadableError
    from poolwise.doctor.whatif import ask_heaviest

    try:
        asked = ask_heaviest(replay(folder))
    except UnreadableError as error:
        raise ValueError(error) from error
    return asked.title, asked


def _predict(title: str, asked: Any, options: argparse.Namespace) -> Any:
    from poolwise.quantities import say_seconds
    from poolwise.report import whatif

    kinds = options.kind or [asked.kind]
    counts = options.workers or _usual_counts(asked)
    by_workers: list[Forecast] = []
    for kind in kinds:
        asks = [1] if kind == "serial" else counts
        by_workers += [asked.ask(workers=count, kind=kind) for count in asks]
    by_chunk = [
        asked.ask(workers=options.workers[0] if options.workers else None, chunksize=size)
        for size in options.chunksize or ()
    ]
    if options.chunksize and not (options.workers and len(options.workers) > 1):
        by_workers = []
    others = [] if options.kind else _list_other_kinds(asked)
    now_s = asked.ask().now_s
    said = f"{title} took {say_seconds(now_s, 3)}."
    return whatif.make_document(said, by_workers, by_chunk, others)


def _usual_counts(asked: Any) -> list[int]:
    """1, 2, 4, ... to twice what there was, or twice the CPUs."""
    most = 2 * max(asked.workers, asked.cpus)
    return sorted({1 << at for at in range(most.bit_length()) if 1 << at <= most} | {asked.workers})


def _list_other_kinds(asked: Any) -> list[str]:
    kinds = [kind for kind in ("processes", "threads", "serial") if kind != asked.kind]
    return [f"Or {asked.ask(kind=kind)}." for kind in kinds]


def _write(document: Any, options: argparse.Namespace) -> None:
    from poolwise.report import html

    wanted: list[tuple[str | None, Callable[[], str]]] = [
        (options.html, lambda: html.render(document)),
        (options.json, lambda: json.dumps(document.record, indent=1)),
    ]
    written = [(path, make()) for path, make in wanted if path]  # all before any is written
    for path, content in written:
        output.write(path, content)
        if path != output.STDOUT:
            sys.stderr.write(f"wrote {path}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poolwise whatif",
        description="Predict how long a pool's calls would take in other settings, from one run.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("record", metavar="RECORD", help="a saved report, or a doctor's folder")
    parser.add_argument("--workers", metavar="1..64", type=_numbers, help="or 4, or 1,2,8")
    parser.add_argument("--chunksize", metavar="1,20,auto", type=_sizes, help="as for --workers")
    parser.add_argument(
        "--kind", metavar="KIND", type=_kinds, help="processes, threads, serial; or several"
    )
    parser.add_argument("--html", metavar="FILE", help="write a page with the curves")
    parser.add_argument("--json", metavar="FILE", help="write the data; - to stdout")
    return parser


def _numbers(words: str) -> list[int]:
    """Numbers of `1..64`, `4` or `1,2,8`; of a long range those that are evenly spread by ratio."""
    numbers: list[int] = []
    for word in words.split(","):
        first, dots, last = word.strip().partition("..")
        low, high = _number(first), _number(last if dots else first)
        if high < low:
            message = f"{word} goes down: write {high}..{low}"
            raise argparse.ArgumentTypeError(message)
        numbers += _spread(low, high)
    return sorted(set(numbers))


def _number(word: str) -> int:
    if not (word.isascii() and word.isdecimal()) or not 1 <= int(word[:8]) <= 10_000:  # noqa: PLR2004
        message = f"a whole number from 1 to 10,000 is wanted, not {word!r}"
        raise argparse.ArgumentTypeError(message)
    return int(word)


def _spread(low: int, high: int, most: int = 64) -> list[int]:
    if high - low < most:
        return list(range(low, high + 1))
    ratio = (high / low) ** (1 / (most - 1))
    return sorted({round(low * ratio**at) for at in range(most)} | {low, high})


def _sizes(words: str) -> list[int | str]:
    named = [word.strip() for word in words.split(",")]
    numbers = ",".join(word for word in named if word != "auto")
    return [*(["auto"] if "auto" in named else []), *(_numbers(numbers) if numbers else [])]


def _kinds(words: str) -> list[str]:
    from poolwise.account.whatif import check_kind

    try:
        return [check_kind(word.strip()) for word in words.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
