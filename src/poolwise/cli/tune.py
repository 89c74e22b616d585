"""`poolwise tune`: finds by trials how a function, or a script's heaviest call, is best run."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from poolwise.cli import output
from poolwise.cli.program import find_complaint, interpreter_flags, split_options
from poolwise.errors import ExtraMissing, SampleFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poolwise.tuning.door import Tuned

_USAGE = """\
poolwise tune MODULE:FUNCTION (--items FILE | --items-from MODULE:NAME | --files GLOB)
              [OPTIONS]
       poolwise tune [--budget SECONDS] [--html FILE] [--json FILE] SCRIPT.py [ARGS...]"""

_SCRIPT = "[OPTIONS] SCRIPT.py [ARGS...]"

_VALUED = (
    "--items", "--items-from", "--files", "--budget", "--length", "--allow", "--save", "--check",
    "--html", "--json",
)  # fmt: skip

_EPILOG = """\
FUNCTION is called with one item (--star: with the parts of one). It runs again and again, in this
process and in workers, so it must be one that can be. MODULE may be the path of a file.

With a SCRIPT, which uses a pool of any kind, the call that keeps its workers busiest is tried in
other ways, as `poolwise doctor --verify` does it, and the report goes to standard error.

To use what was saved:  poolwise.map(f, items, profile="FILE"), poolwise.Pool.from_profile("FILE"),
or POOLWISE_PROFILE=FILE in the environment of a program that calls poolwise.map.

Exit code: 0; 1 if the function fails on an item, or a script had no call to try; 2 if the command
line makes no sense or a file cannot be read or written.
"""


def main(argv: Sequence[str]) -> int:
    """Tune, print the outcome and write what was asked for."""
    words, program = split_options(list(argv), _VALUED)
    is_script = bool(program) and program[0].endswith(".py")
    options = _parse(words + program[:1]) if is_script else _parse(argv)
    try:
        if is_script:
            return _tune_script(options, program)
        tuned = _tune(options)
        _show(options, tuned)
        _write(options, tuned)
    except SampleFailed as error:
        _complain(error)
        return 1
    except BrokenPipeError:
        raise
    except (OSError, ValueError, ExtraMissing) as error:
        _complain(error)
        return 2
    except KeyboardInterrupt:
        _complain("interrupted; nothing was saved")
        return 130
    return 0


def _complain(what: object) -> None:
    sys.stderr.write(f"poolwise tune: {what}\n")
    sys.stderr.flush()


def _tune_script(options: argparse.Namespace, program: list[str]) -> int:
    """Try the heaviest call of a program; the exit code: 1 if there was nothing to try."""
    from poolwise.report import html, text
    from poolwise.tuning import script

    _check_files(options)
    if options.save or options.check:
        message = (
            "a profile is for a function: poolwise tune SCRIPT.py:FUNCTION --items-from ... --save"
        )
        raise ValueError(message)
    if complaint := find_complaint("tune", f"poolwise tune {_SCRIPT}", program):
        raise ValueError(complaint.strip())
    seen, tried = script.tune_script([sys.executable, *interpreter_flags(), *program],
                                     options.budget)  # fmt: skip
    if tried is None:
        _complain(script.say_why_not(seen))
        return 1
    document = script.make_document(tried)
    text.show(document, sys.stderr)
    _write_files(
        [
            (options.html, lambda: html.render(document)),
            (options.json, lambda: json.dumps(script.as_dict(tried), indent=1)),
        ]
    )
    return 0


def _check_files(options: argparse.Namespace) -> None:
    """Refuse to begin if what is asked for could not be written."""
    from poolwise.report.extras import has_plotly

    if obstacle := output.find_obstacle((options.save, options.html, options.json)):
        raise ValueError(obstacle)
    if options.html and not has_plotly():
        what = "--html draws charts with plotly, which is not installed"
        raise ExtraMissing(what, "report")


def _tune(options: argparse.Namespace) -> Tuned:
    """Check all that can be known before the function runs; then tune."""
    from poolwise.tuning import target
    from poolwise.tuning.door import tune

    _check_files(options)
    if options.items is options.items_from is options.files is None:
        message = "no items: name them by --items, --items-from or --files"
        raise ValueError(message)
    return tune(
        target.load_function(options.target),
        _read_items(options),
        budget=options.budget,
        length=options.length,
        star=options.star,
        allow=options.allow,
        prior=options.check,
        say=_complain,
    )


def _read_items(options: argparse.Namespace) -> Any:
    from poolwise.tuning import target

    if options.items is not None:
        return target.read_lines(options.items)
    if options.items_from is not None:
        return target.load_items(options.items_from)
    found = target.list_files(options.files)
    if not found:
        message = f"no file matches {options.files!r}"
        raise ValueError(message)
    return found


def _show(options: argparse.Namespace, tuned: Tuned) -> None:
    from poolwise.report import text
    from poolwise.tuning.show import list_lines

    if output.STDOUT in {options.save, options.html, options.json}:
        return
    text.show(tuned.document(), sys.stdout)
    if not tuned.is_undecided:
        print("\nIn a program:")
        for line in list_lines(tuned, options.save):
            print(f"  {line}")
    sys.stdout.flush()


def _write(options: argparse.Namespace, tuned: Tuned) -> None:
    from poolwise.tuning.show import as_dict

    if options.save and tuned.is_undecided:
        message = "there was time for no comparison, so there is nothing to save: raise --budget"
        raise ValueError(message)
    _write_files(
        [
            (options.save, tuned.profile.as_text),
            (options.html, tuned.to_html),
            (options.json, lambda: json.dumps(as_dict(tuned), indent=1)),
        ]
    )


def _write_files(written: Sequence[tuple[str | None, Callable[[], str]]]) -> None:
    for path, make in written:
        if path:
            output.write(path, make())
            if path != output.STDOUT:
                _complain(f"wrote {path}")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="poolwise tune",
        usage=_USAGE,
        description="Find by trials how a function is best run: kind, workers and chunk size.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("target", metavar="TARGET", help="a function, or a script")
    items = parser.add_mutually_exclusive_group()
    items.add_argument("--items", metavar="FILE", help="items as JSON lines; - is standard input")
    items.add_argument("--items-from", metavar="MODULE:NAME", help="an iterable of a module")
    items.add_argument("--files", metavar="GLOB", help="the paths of files that match, as items")
    parser.add_argument("--star", action="store_true", help="an item is a list of arguments")
    parser.add_argument(
        "--budget", metavar="SECONDS", type=_seconds, default=20.0, help="for all trials (20)"
    )
    parser.add_argument(
        "--length", metavar="N", type=_count,
        help="items of the call that this is for (as many as are given)",
    )  # fmt: skip
    parser.add_argument(
        "--allow", metavar="KIND,...", type=_words,
        help="kinds that may be chosen: serial, threads, processes, asyncio (all)",
    )  # fmt: skip
    parser.add_argument("--save", metavar="FILE", help="write the setting as a profile (JSON)")
    parser.add_argument("--check", metavar="FILE", help="try the setting of this profile as well")
    parser.add_argument("--html", metavar="FILE", help="write a page with the chart; no network")
    parser.add_argument("--json", metavar="FILE", help="write all that was measured; - to stdout")
    return parser.parse_args(argv)


def _seconds(word: str) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        message = f"a number of seconds above 0, not {word!r}"
        raise argparse.ArgumentTypeError(message)
    return seconds


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        message = f"a number of items, 1 or more, not {word!r}"
        raise argparse.ArgumentTypeError(message)
    return int(word)


def _words(word: str) -> list[str]:
    return [each.strip() for each in word.split(",")]
