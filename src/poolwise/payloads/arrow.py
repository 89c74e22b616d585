"""Entry of Arrow (pyarrow): a slice of an array travels without the rest of the array."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from poolwise.payloads.registry import Library


class _Arrow(Library):
    whole_has = "ChunkedArray"

    def rows(self, items: Any) -> Sequence[Any] | None:
        pyarrow = sys.modules["pyarrow"]
        is_array = isinstance(items, (pyarrow.Array, pyarrow.ChunkedArray))
        return ArrowRows(items) if is_array else None


class ArrowRows(Sequence[Any]):
    """Sequence over an array of Arrow, whose slices are pickled alone.

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


def _itself(array: Any) -> Any:
    return array


LIBRARY = _Arrow()
