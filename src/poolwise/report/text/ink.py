"""Print lines to a stream: in colour through rich where that is wanted, else as plain text.

The layout is ours in both cases, so the words are the same with and without rich.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from poolwise.report import extras
from poolwise.report.palette import BAD, FAIR, GOOD, PALETTE
from poolwise.report.text.lines import Line, Sheet

if TYPE_CHECKING:
    from rich.text import Text

_SYMBOLS = "█▏▔●◆■░…µ"

STYLES: dict[str, str] = {
    "strong": "bold",
    "dim": "dim",
    "good": GOOD.dark,
    "fair": FAIR.dark,
    "bad": BAD.dark,
    **{str(meaning): ink.dark for meaning, ink in PALETTE.items()},
}


def sheet_for(stream: TextIO, width: int | None = None) -> Sheet:
    """Capabilities of a stream. Colour only on a terminal, with rich, and without NO_COLOR."""
    encoding = getattr(stream, "encoding", None) or "utf-8"  # None: text is kept in memory
    return Sheet(
        width or min(120, shutil.get_terminal_size().columns),
        has_color=is_terminal(stream) and not is_color_refused() and extras.find_rich() is not None,
        has_symbols=can_encode(encoding),
    )


def is_terminal(stream: TextIO) -> bool:
    """True if the stream is a terminal."""
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # a replaced or a closed stream
        return False


def is_color_refused() -> bool:
    """no-color.org: set and not empty; and terminals that know no colours."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def can_encode(encoding: str) -> bool:
    """True if this encoding has the characters that charts are drawn with."""
    try:
        _SYMBOLS.encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def to_plain(lines: Iterable[Line]) -> str:
    """The lines without any style."""
    return "".join("".join(piece.words for piece in line).rstrip() + "\n" for line in lines)


def to_rich(lines: Iterable[Line]) -> Text:
    """The lines as one text of rich, in colour."""
    text = extras.load_rich().text.Text(no_wrap=True, overflow="ignore", end="")
    for line in lines:
        for words, style in line:
            text.append(words, " ".join(STYLES[name] for name in style.split()))
        text.append("\n")
    styled: Text = text
    return styled


def print_lines(lines: list[Line], sheet: Sheet, stream: TextIO | None = None) -> None:
    """Write the lines to a stream (standard output if not given)."""
    stream = stream or sys.stdout
    if sheet.has_color:
        console = extras.load_rich().console.Console(file=stream, width=sheet.width)
        console.print(to_rich(lines), end="", soft_wrap=True)
        return
    words = to_plain(lines)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(words.encode(encoding, "replace").decode(encoding))
