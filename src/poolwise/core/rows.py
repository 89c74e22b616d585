"""Inputs that slice: a chunk of them is a slice, and travels as one.

Listing an array item by item makes an object of each number, in the one process that everybody
waits for. A slice of it shows the same memory, and the worker makes the objects.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_SLICED = frozenset({list, tuple, range, str, bytes})
"""Built-in types whose slices have the items that the whole has there."""


_FEW = 3
"""In fewer items nothing is worth looking for."""

_MOST_PARTS = 32
"""Arguments of one call that are looked at."""


def as_sequence(items: Iterable[Any]) -> Sequence[Any]:
    """The items as something that slices: itself where it does, else a list of them."""
    kind = type(items)
    if kind in _SLICED:
        return items  # type: ignore[return-value]
    library = kind.__module__.partition(".")[0]
    if library == "numpy" and _is_plain_array(items):
        return items  # type: ignore[return-value]
    if library == "polars" and kind.__name__ == "Series":
        return items  # type: ignore[return-value]
    if library == "pandas" and kind.__name__ == "Series":
        return Rows(items.iloc)  # type: ignore[attr-defined]
    return list(items)


def _is_plain_array(items: Any) -> bool:
    """Subclasses may have their own idea of an item."""
    numpy = sys.modules["numpy"]
    return type(items) in {numpy.ndarray, numpy.memmap} and bool(items.ndim)


def find_common(items: Sequence[Any]) -> dict[int, Any]:
    """Arrays that the first of the items holds and the last one too, by their ``id``.

    Those that every item holds are among them, and to find them takes no longer for many items.
    """
    if type(items) not in {list, tuple} or len(items) < _FEW:
        return {}
    first = {id(part): part for part in _parts(items[0])}
    return {id(part): part for part in _parts(items[-1]) if id(part) in first}


def _parts(item: Any) -> list[Any]:
    parts = item if isinstance(item, (tuple, list)) else (item,)
    return [part for part in parts[:_MOST_PARTS] if type(part).__name__ == "ndarray"]


class Rows(Sequence[Any]):
    """What is indexed by position through an accessor (``series.iloc``); pickled as a slice."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows.obj)

    def __getitem__(self, at: Any) -> Any:
        found = self._rows[at]
        return Rows(found.iloc) if isinstance(at, slice) else found

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows.obj)

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self._rows.obj,)


def _itself(rows: Any) -> Any:
    return rows
