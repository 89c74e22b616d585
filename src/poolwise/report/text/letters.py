"""Letters in place of colours: each part and state has one, the same all over a document."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

from poolwise.report import blocks as b

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def letters_of(blocks: Sequence[b.Block]) -> dict[str, str]:
    """Name -> the letter that it always has, or its own first that no name before it has."""
    letters = dict(_fixed_in(blocks))
    for name in _names_in(blocks):
        if name not in letters:
            own = [letter for letter in name.lower() + _ALPHABET if letter.isalnum()]
            free = (letter for letter in own if letter not in letters.values())
            letters[name] = next(free, "?")
    return letters


_ALPHABET = string.ascii_letters + string.digits


def _fixed_in(blocks: Sequence[b.Block]) -> Iterable[tuple[str, str]]:
    for block in blocks:
        if isinstance(block, b.Section):
            yield from _fixed_in(block.blocks)
        elif isinstance(block, b.StackedBar):
            yield from ((part.name, part.letter) for part in block.parts if part.letter)


def _names_in(blocks: Sequence[b.Block]) -> Iterable[str]:
    for block in blocks:
        if isinstance(block, b.Section):
            yield from _names_in(block.blocks)
        elif isinstance(block, b.StackedBar):
            yield from (part.name for part in block.parts if part.value > 0)
        elif isinstance(block, b.Bars):
            yield from (part.name for bar in block.bars for part in bar.parts if part.value > 0)
        elif isinstance(block, b.Timeline):
            yield from (state.name for state in block.states)
