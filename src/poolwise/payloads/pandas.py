"""Entry of pandas: a series is sliced by position, an index as it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from poolwise.payloads.registry import Library


class _Pandas(Library):
    whole_has = "Index"

    def rows(self, items: Any) -> Sequence[Any] | None:
        if type(items).__name__ == "Series":
            return Rows(items.iloc)
        return items if isinstance(items, sys.modules["pandas"].Index) else None


class Rows(Sequence[Any]):
    """Sequence of what is indexed by position through an accessor; pickled as a slice."""

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


def _itself(series: Any) -> Any:
    return series


LIBRARY = _Pandas()
