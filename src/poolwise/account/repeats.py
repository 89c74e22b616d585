"""Bytes that are sent again: the same object in message after message.

A table that each item brings along, the bound data of a function. It is looked for in large
messages only, where some microseconds are nothing, and by identity: equal copies are not found
(`poolwise doctor` compares by value). What part of a message an object makes is estimated from a
few of its elements, not pickled for.

Why this is not the doctor's way: to pickle and hash the 1st, 2nd, 3rd, 5th, 9th ... message again
takes 121 ms of the parent for 48 arrays of 4 MB, which a map sends and sums in 29 ms. And identity
would not find the table that a program of the standard pools makes anew for each task.
"""

from __future__ import annotations

import sys
import weakref
from functools import partial
from itertools import islice
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from poolwise.core.job import Chunk

_BYTES_FOR_A_LOOK = 32 * 1024
"""Bytes of a message for each item that is looked at, of 16 at most: to look at an item
takes 5 us, to pickle, move and unpickle these bytes 20 times as long (``benchmarks/ledger``)."""

_MOST_PARTS = 32
"""Limit of the parts of an item that are looked at."""

_LEAST_PART_BYTES = 1024
"""Smaller objects are not remembered."""

_SAMPLE = 4
_DEPTH = 3
"""Elements of a container that are looked at, and levels of them."""

_NUMBER_BYTES = 9
"""Size of a pickled float."""

_ATOMS = frozenset({int, float, complex, bool, type(None)})
_STRINGS = frozenset({str, bytes, bytearray})
_ROWS = frozenset({list, tuple})
_SETS = frozenset({set, frozenset})


class Repeats:
    """Remembers what large messages held."""

    def __init__(self) -> None:
        self._met: dict[int, Any] = {}

    def count(self, chunk: Chunk) -> int:
        """About how many of the bytes that went out with a chunk had been sent before."""
        job, again = chunk.job, 0
        if chunk.function_bytes >= _LEAST_PART_BYTES:
            bound = self._share(chunk.function_bytes, [_bound_to(job.function.call)])
            again += chunk.function_bytes if self._is_met(job.function) else bound
        if chunk.sent_bytes >= _LEAST_PART_BYTES:
            looks = max(1, chunk.sent_bytes // _BYTES_FOR_A_LOOK)
            items = _spread(chunk.items, min(looks, 16))
            parts = [_call_parts(item.call) if job.has_calls else _parts(item) for item in items]
            again += self._share(
                chunk.sent_bytes, parts, of=len(chunk.items), put_down=job.deposits.keys()
            )
        return again

    def _share(
        self,
        size_bytes: int,
        items: Sequence[Sequence[Any]],
        of: int = 1,
        put_down: Collection[int] = (),
    ) -> int:
        """The part of a message that had been sent before.

        :param items: some of the message's items, each as its parts; there are ``of`` in all.
        :param put_down: the ``id`` of what lies in shared memory, so did not travel.
        """
        counts: dict[int, int] = {}
        parts: dict[int, Any] = {}
        for item in items:
            for part in item:
                counts[id(part)] = counts.get(id(part), 0) + 1
                parts[id(part)] = part
        whole = again = 0.0
        for key, part in parts.items():
            if key not in put_down:
                weight = _weigh(part)
                whole += weight * (of / len(items) if counts[key] == 1 else 1)
                if weight >= _LEAST_PART_BYTES and self._is_met(part):
                    again += weight
        return round(size_bytes * again / whole) if whole else 0

    def _is_met(self, part: Any) -> bool:
        """True if this very object was sent before; it is remembered now."""
        mark = _mark(part)
        before = self._met.get(id(part))
        most = 4096  # memory is bounded
        if len(self._met) >= most:
            self._met.clear()
        self._met[id(part)] = mark
        if isinstance(before, weakref.ref):
            return before() is part
        return before is not None and bool(before == mark)


def _parts(item: Any) -> Sequence[Any]:
    """Parts of an item: an array or a list is one, a tuple holds several."""
    if type(item) is tuple:
        return item[:_MOST_PARTS]
    if type(item) is dict and len(item) <= _MOST_PARTS:
        return list(item.values())
    return (item,)


def _call_parts(call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]] | None) -> Any:
    if call is None:
        return ()
    function, args, kwargs = call
    return [*_bound_to(function), *args[:_MOST_PARTS], *islice(kwargs.values(), _MOST_PARTS)]


def _bound_to(function: Any) -> list[Any]:
    """The data that a partial or a method brings along."""
    if isinstance(function, partial):
        return [*function.args, *function.keywords.values()][:_MOST_PARTS]
    return [function.__self__] if isinstance(function, MethodType) else []


def _mark(part: Any) -> Any:
    """Mark that tells an object from a later one at the same address, or None."""
    kind = type(part)
    if kind in _ROWS:
        return kind, len(part), [_name(each) for each in _spread(part, _SAMPLE)]
    if kind is dict:
        pairs = islice(part.items(), _SAMPLE)
        return kind, len(part), [(_name(key), _name(value)) for key, value in pairs]
    if kind in _SETS:
        return kind, len(part), [_name(each) for each in islice(part, _SAMPLE)]
    if kind in _STRINGS:
        return kind, len(part), part[:: max(1, len(part) // 64)]
    try:
        return weakref.ref(part)
    except TypeError:
        return None


def _name(element: Any) -> Any:
    return element if type(element) in _ATOMS else id(element)


def _weigh(part: Any, depth: int = _DEPTH) -> float:
    """About how many bytes an object takes in a message, from a few of its elements."""
    kind = type(part)
    if kind in _ATOMS:
        return _NUMBER_BYTES
    if kind in _STRINGS:
        return float(len(part))
    if kind in _ROWS or kind in _SETS or kind is dict:
        return _weigh_container(part, depth)
    size = _ask(part, "nbytes")
    if isinstance(size, int):
        return float(size)
    state = _ask(part, "__dict__")
    if depth and isinstance(state, dict):
        return _weigh(state, depth - 1)
    return float(sys.getsizeof(part, _NUMBER_BYTES))


def _ask(part: Any, name: str) -> Any:
    """An attribute, or None: a proxy may answer with any error."""
    try:
        return getattr(part, name, None)
    except Exception:
        return None


def _weigh_container(part: Any, depth: int) -> float:
    count = len(part)
    if not depth or not count:
        return float(_NUMBER_BYTES * count)
    elements: Iterable[Any]
    if type(part) is dict:
        elements = islice(part.items(), _SAMPLE)
    else:
        elements = _spread(part, _SAMPLE) if type(part) in _ROWS else islice(part, _SAMPLE)
    weights = [_weigh(element, depth - 1) for element in elements]
    return count * sum(weights) / len(weights)


def _spread(items: Sequence[Any], most: int) -> Sequence[Any]:
    """Sample of the items, evenly spread; all where they are few."""
    count = len(items)
    if count <= most:
        return items
    return [items[at * count // most] for at in range(most)]
