"""Inputs that slice: a chunk of them is a slice, and travels as one.

Listing an array item by item makes an object of each number, in the one process that everybody
waits for. A slice of it shows the same memory, and the worker makes the objects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from poolwise.payloads import registry

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
    if kind is list:
        return list(items)
    library = registry.of(kind)
    rows = None if library is None else library.rows(items)
    return list(items) if rows is None else rows


def is_held(items: Iterable[Any]) -> bool:
    """All items are there now, in a container that may change once the call has returned."""
    return type(items) in _HELD


def find_common(items: Sequence[Any]) -> dict[int, Any]:
    """Arrays that the first of the items holds and the last one too, by their ``id``.

    Those that every item holds are among them, and to find them takes no longer for many items.
    """
    few = 3  # with fewer there is nothing to gain
    if type(items) not in {list, tuple} or len(items) < few:
        return {}
    first = {id(part): part for part in _parts(items[0])}
    return {id(part): part for part in _parts(items[-1]) if id(part) in first}


def _parts(item: Any) -> list[Any]:
    parts = item if isinstance(item, (tuple, list)) else (item,)
    return [part for part in parts[:32] if type(part).__name__ == "ndarray"]
