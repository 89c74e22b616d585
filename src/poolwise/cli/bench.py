"""`poolwise bench`: what workers, messages, pickles, copies and CPUs cost on this machine."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

import poolwise
from poolwise.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from poolwise.bench.history import Entry
    from poolwise.bench.readings import Effort, Reading

_EPILOG = """\
Each figure is the median of many rounds; the spread leaves out a tenth at either end. Figures are
kept for each machine in the user's cache folder, and poolwise.map and predictions go by them.
"""


def main(argv: Sequence[str]) -> int:
    """Measure, print figures and what has changed, and keep them; 2 if a file is in the way."""
    options = _parser().parse_args(argv)
    from poolwise.bench import history

    obstacle = output.find_obstacle((options.json, options.history))
    if obstacle is None and options.history == output.STDOUT:
        obstacle = "the history is a file to add to: - is none"
    path = None if obstacle else options.history or history.default_path()
    earlier: list[Entry] = []
    try:
        earlier = history.read(path) if path else []
    except history.HistoryError as error:
        obstacle = str(error) if options.history else None
        if not options.history:
            sys.stderr.write(f"poolwise bench: {error}. Nothing is kept.\n")
            path = None
    if obstacle:
        sys.stderr.write(f"poolwise bench: {obstacle}\n")
        return 2
    effort = _effort(options)
    readings, entry = _measure(effort)
    _print(options, readings, entry, earlier if effort.tells_noise else [])
    if not effort.tells_noise:
        sys.stderr.write("So few rounds tell nothing of noise: compared with nothing, not kept.\n")
    is_kept = effort.tells_noise and not options.no_save
    return _keep(options, path, readings, entry) if is_kept else 0


def _measure(effort: Effort) -> tuple[list[Reading], Entry]:
    from poolwise.bench import machine, readings
    from poolwise.bench.history import Entry

    facts = {**machine.list_facts(), "poolwise": poolwise.__version__}
    if load := machine.say_other_load():
        sys.stderr.write(f"Other programs use this machine ({load}): figures spread the more.\n")
    if sys.stderr.isatty():
        sys.stderr.write("measuring...\n")
    with machine.Pools() as pools:
        found = readings.take(list(machine.SECTIONS.values()), pools, effort)
    return found, Entry.of(found, facts)


def _print(
    options: argparse.Namespace, readings: list[Reading], entry: Entry, earlier: Sequence[Entry]
) -> None:
    from poolwise.bench import history, present
    from poolwise.report import text

    changes = history.compare(readings, earlier)
    if options.json:
        record = present.make_record(entry, readings, changes)
        output.write(options.json, json.dumps(record, indent=1))
    if options.json == output.STDOUT:
        return
    last = earlier[-1] if earlier else None
    before = last.at[:16].replace("T", " ") if last else ""
    text.show(present.make_document(entry.facts, readings, changes, before), sys.stdout)
    for sentence in present.say_facts(entry.facts, last):
        print(f"Different since then: {sentence}")


def _keep(
    options: argparse.Namespace, path: str | None, readings: list[Reading], entry: Entry
) -> int:
    """Add to the history, and let choices go by the figures; 2 if a file that was named refuses."""
    from poolwise.bench import history, machine
    from poolwise.system import figures

    refused = figures.save(machine.make_figures(readings))
    try:
        if path:
            history.append(path, entry)
    except history.HistoryError as error:
        refused = str(error)
        if options.history:
            sys.stderr.write(f"poolwise bench: {error}\n")
            return 2
    if refused:
        sys.stderr.write(f"poolwise bench: the figures are not kept ({refused})\n")
    elif options.json != output.STDOUT:
        print(f"Kept in {path}")
    return 0


def _effort(options: argparse.Namespace) -> Effort:
    from poolwise.bench.readings import Effort

    return Effort(10 if options.quick else 50, options.rounds)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poolwise bench",
        description="Measure in about a minute what pools cost on this machine.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--quick", action="store_true", help="about ten seconds")
    parser.add_argument("--rounds", metavar="N", type=_rounds, help="so many rounds instead")
    parser.add_argument("--history", metavar="FILE", help="keep the figures there")
    parser.add_argument("--no-save", action="store_true", help="keep nothing")
    parser.add_argument(
        "--json", metavar="FILE", nargs="?", const=output.STDOUT, help="write the data; - to stdout"
    )
    return parser


def _rounds(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        message = f"the number of rounds is 1 or more, not {word!r}"
        raise argparse.ArgumentTypeError(message)
    return int(word)
