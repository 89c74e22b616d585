"""Entry of polars: a series is cut into slices as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from poolwise.payloads.registry import Library


class _Polars(Library):
    whole_has = "Series"

    def rows(self, items: Any) -> Sequence[Any] | None:
        return items if type(items).__name__ == "Series" else None


LIBRARY = _Polars()
