"""Rows of whole numbers in one array: a fifth of the memory of lists or tuples of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain


class Table:
    """Rows that are read one after the other; what a pool keeps of its past once it is over.

    :param rows: all of the same length.
    """

    __slots__ = ("_cells", "_width")

    def __init__(self, rows: Iterable[Sequence[int]]) -> None:
        rows = list(rows)
        self._width = len(rows[0]) if rows else 1
        self._cells = array("q", chain.from_iterable(rows))

    def __len__(self) -> int:
        return len(self._cells) // self._width

    def __iter__(self) -> Iterator[Sequence[int]]:
        for at in range(0, len(self._cells), self._width):
            yield self._cells[at : at + self._width]

    def append(self, row: Sequence[int]) -> None:
        """One more row; there is none as a rule."""
        self._width = len(row)
        self._cells.extend(row)
