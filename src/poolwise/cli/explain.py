"""`poolwise explain`: the page of a finding, in the terminal or as files."""

from __future__ import annotations

import argparse
import os
import sys
from difflib import get_close_matches

_EPILOG = """\
Without a code: the list of all findings. Pages are Markdown; in a terminal they are rendered if
`rich` is installed. --write DIR writes them all, as they stand in docs/findings.
"""


def main(argv: list[str]) -> int:
    """Print what was asked for; 2 if there is no such finding."""
    options = _parser().parse_args(argv)
    if options.write:
        try:
            return _write(options.write)
        except OSError as error:
            sys.stderr.write(f"poolwise explain: cannot write the pages: {error}\n")
            return 2
    if not options.finding:
        return _list()
    from poolwise.doctor.render.pages import find_verdict
    from poolwise.doctor.rules import find_rule

    if page := find_verdict(options.finding):
        _show(page)
        return 0
    rule = find_rule(options.finding)
    if rule is None:
        sys.stderr.write(_unknown(options.finding))
        return 2
    _show(rule.page())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poolwise explain",
        description="Explain a finding of poolwise doctor.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "finding",
        nargs="?",
        help="its code or name: PW006, 6, repeated-payload; healthy, cannot-tell",
    )
    parser.add_argument("--write", metavar="DIR", help="write all pages as files")
    return parser


def _list() -> int:
    from poolwise.doctor.rules import RULES

    for rule in RULES:
        print(f"{rule.code}  {rule.name:<26} {rule.summary()}")
    return 0


def _show(page: str) -> None:
    if sys.stdout.isatty():
        try:
            from rich.console import Console
            from rich.markdown import Markdown
        except ImportError:
            pass
        else:
            Console().print(Markdown(page))
            return
    sys.stdout.write(page)


def _write(folder: str) -> int:
    from poolwise.doctor.render.pages import all_pages

    os.makedirs(folder, exist_ok=True)
    for name, text in all_pages().items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
            stream.write(text)
    return 0


def _unknown(word: str) -> str:
    from poolwise.doctor.rules import RULES

    known = [rule.name for rule in RULES]
    parts = [name for name in known if word.strip().lower() in name]
    near = parts or get_close_matches(word.lower(), known, 1)
    meant = f" Did you mean {' or '.join(near[:3])}?" if near else ""
    return (
        f"poolwise explain: there is no finding {word!r}.{meant}\nAll findings: poolwise explain\n"
    )
