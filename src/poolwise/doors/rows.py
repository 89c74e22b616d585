"""Inputs that slice: a chunk of them is a slice, and travels as one.

Listing an array item by item makes an object of each number, in the one process that everybody
waits for. A slice of it shows the same memory, and the worker makes the objects.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

_SLICED = frozenset({tuple, range, str, bytes})
"""Built-in types whose slices have the items that the whole has there, now and later."""

_HELD = frozenset({
    list, tuple, range, set, frozenset, deque, dict, type({}.keys()), type({}.values()),
    type({}.items()),
})  # fmt: skip
"""Built-in containers, by their very type: a subclass may have its own idea of its items."""


def as_sequence(items: Iterable[Any]) -> Sequence[Any]:
    """The items as something that slices: itself where it does, else a list of them.

    A list is copied: it may be filled for the next call before this one has read it.
    """
    kind = type(items)
    if kind in _SLICED:
        return items  # type: ignore[return-value]
    find = _LIBRARIES.get(kind.__module__.partition(".")[0])
    rows = None if find is None else find(items)
    return list(items) if rows is None else rows


def is_held(items: Iterable[Any]) -> bool:
    """All items are there now, in a container that may change once the call has returned."""
    return type(items) in _HELD


def _rows_of_numpy(items: Any) -> Any:
    return items if _is_plain_array(items) else None


def _rows_of_polars(items: Any) -> Any:
    return items if type(items).__name__ == "Series" else None


def _rows_of_pandas(items: Any) -> Any:
    if type(items).__name__ == "Series":
        return Rows(items.iloc)
    return items if isinstance(items, sys.modules["pandas"].Index) else None


def _rows_of_arrow(items: Any) -> Any:
    pyarrow = sys.modules["pyarrow"]
    is_array = isinstance(items, (pyarrow.Array, pyarrow.ChunkedArray))
    return ArrowRows(items) if is_array else None


_LIBRARIES: dict[str, Callable[[Any], Any]] = {
    "numpy": _rows_of_numpy,
    "pandas": _rows_of_pandas,
    "polars": _rows_of_polars,
    "pyarrow": _rows_of_arrow,
}
"""Whose types slice: what gives the items as something that does, or None."""


def _is_plain_array(items: Any) -> bool:
    """Subclasses may have their own idea of an item."""
    numpy = sys.modules["numpy"]
    return type(items) in {numpy.ndarray, numpy.memmap} and bool(items.ndim)


def find_common(items: Sequence[Any]) -> dict[int, Any]:
    """Arrays that the first of the items holds and the last one too, by their ``id``.

    Those that every item holds are among them, and to find them takes no longer for many items.
    """
    if type(items) not in {list, tuple} or len(items) < 3:  # noqa: PLR2004 - nothing to gain
        return {}
    first = {id(part): part for part in _parts(items[0])}
    return {id(part): part for part in _parts(items[-1]) if id(part) in first}


def _parts(item: Any) -> list[Any]:
    parts = item if isinstance(item, (tuple, list)) else (item,)
    return [part for part in parts[:32] if type(part).__name__ == "ndarray"]


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


class ArrowRows(Sequence[Any]):
    """An array of Arrow; a slice of it is pickled without the memory that the slice does not show.

    Arrow's own pickling takes the whole array along with each of its slices.
    """

    __slots__ = ("_array",)

    def __init__(self, array: Any) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, at: Any) -> Any:
        found = self._array[at]
        return ArrowRows(found) if isinstance(at, slice) else found

    def __iter__(self) -> Iterator[Any]:
        return iter(self._array)

    def __reduce__(self) -> tuple[Any, ...]:
        chunks = getattr(self._array, "chunks", [self._array])
        return _itself, (sys.modules["pyarrow"].concat_arrays(chunks) if chunks else self._array,)


def _itself(rows: Any) -> Any:
    return rows
