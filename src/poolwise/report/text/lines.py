"""Lines of text before they are inked: pieces of words, each with a style."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

WIDE = {"W", "F"}


class Piece(NamedTuple):
    """Words in one style: a name of the palette, ``strong``, ``dim``, a tone, or none."""

    words: str
    style: str = ""


Line = list[Piece]


@dataclass(frozen=True)
class Sheet:
    """Capabilities of what is written on: its width, colour, symbols.

    :param has_color: areas are told apart by colour, else by letters.
    :param has_symbols: blocks and lines of Unicode can be written, else ASCII stands for them.
    :param letters: the letter of each part and state by name, the same all over a document.
    """

    width: int = 80
    has_color: bool = False
    has_symbols: bool = True
    letters: Mapping[str, str] = field(default_factory=dict)

    def narrowed(self, by: int) -> Sheet:
        """The same, with a margin of ``by`` cells taken off."""
        return replace(self, width=max(20, self.width - by))


def count_cells(words: str) -> int:
    """Width of words in cells of a terminal."""
    if words.isascii():
        return len(words)
    return sum(_cells_of(letter) for letter in words)


def _cells_of(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in WIDE else 1


def clip(words: str, width: int) -> str:
    """The words, cut with a mark where they are too wide. Control characters become spaces."""
    words = "".join(letter if letter.isprintable() else " " for letter in words)
    if count_cells(words) <= width:
        return words
    kept = ""
    for letter in words:
        if count_cells(kept + letter) > width - 2:
            break
        kept += letter
    return (kept + "..")[: max(0, width)]


def pad(words: str, width: int, *, is_right: bool = False) -> str:
    """The words in exactly ``width`` cells."""
    words = clip(words, width)
    space = " " * (width - count_cells(words))
    return space + words if is_right else words + space


def wrap(words: str, width: int) -> list[str]:
    """Lines of at most ``width`` cells, broken between words; a word that is longer is cut up.

    A number and its unit are one word.
    """
    lines = [""]
    joined = _WITH_UNIT.sub("\\1\u00a0\\2", " ".join(words.split()))
    for word in _breakable(joined.split(" "), width):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if count_cells(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return [line.replace("\u00a0", " ") for line in lines]


_WITH_UNIT = re.compile(r"(\d) (%|[nµm]?s|min|h|[kMGT]?B|bytes)(?![\w])")


def _breakable(words: Iterable[str], width: int) -> Iterable[str]:
    for word in words:
        yield from (word[at : at + width] for at in range(0, len(word), width))


def fit(line: Line, sheet: Sheet) -> Line:
    """The line, cut where it is too wide, in letters that the sheet has."""
    room, kept = sheet.width, []
    for piece in line:
        words = piece.words if sheet.has_symbols else piece.words.replace("µ", "u")
        kept.append(Piece(words if count_cells(words) <= room else clip(words, room), piece.style))
        room -= count_cells(kept[-1].words)
    return kept


def width_of(line: Line) -> int:
    """Width of a line in cells."""
    return sum(count_cells(piece.words) for piece in line)


def indent(lines: Iterable[Line], by: int = 2) -> list[Line]:
    """The lines, moved to the right; empty ones stay empty."""
    return [[Piece(" " * by), *line] if line else [] for line in lines]
