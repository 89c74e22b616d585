"""Items of an input that fills one buffer again and again.

``multiprocessing.Pool.imap`` pickles each item before it asks for the next, so there such an input
works. Here items gather, to be pickled together when a worker is free. So the first few are pickled
at once, and all others as well if what one of them holds was met in the one or two before it.

Its ``apply_async`` and ``map_async`` have pickled what they were given a moment later, as far as a
pipe holds it; here it would wait for a worker. So what waits, and can change, is pickled as well.
"""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from poolwise.wire.address import address_of
from poolwise.wire.codec import is_atomic
from poolwise.wire.packing import Aside, dumps

_FIRST = 3
"""So many items tell whether an input has one or two buffers that it fills in turn."""

_MOST_ITEMS = 1000
"""Items of one call that are looked at: it takes 0.1 ms, and 3 us for each that is pickled."""

_MOST_PARTS = 32
"""Parts of an item that are looked at."""

_UNCHANGING = frozenset({
    int, float, complex, bool, str, bytes, type(None), tuple, range, frozenset, slice, type,
    types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType,
})  # fmt: skip


class TooLarge(Exception):
    """What is to be kept as it is takes too much memory.

    :param pickled_bytes: what of it was in the pickle, and so was copied to find that.
    """

    def __init__(self, pickled_bytes: int) -> None:
        super().__init__(pickled_bytes)
        self.pickled_bytes = pickled_bytes


class HoldsDescriptor(Exception):
    """What is handed to another process is pickled when it is sent: others may not take it."""


class Snapshot:
    """An item as it was; unpickling this gives the item itself.

    :raises TooLarge: it would take more memory than ``most_bytes``.
    :raises HoldsDescriptor: there is a connection, a socket or the like in it.
    """

    __slots__ = ("_buffers", "_pickled")

    def __init__(self, item: Any, most_bytes: int = sys.maxsize) -> None:
        from poolwise.wire import offers  # here, since workers load this file and need no offers

        aside = Aside()
        offers.take()
        self._pickled = dumps(item, aside)
        if offered := offers.take():
            offers.Offers(offered)
            raise HoldsDescriptor
        if len(self._pickled) + sum(buffer.nbytes for buffer in aside) > most_bytes:
            raise TooLarge(len(self._pickled))
        self._buffers = [bytearray(buffer) for buffer in aside]

    @property
    def size_bytes(self) -> int:
        """How much memory it takes, about."""
        return len(self._pickled) + sum(map(len, self._buffers))

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (self._pickled, *map(pickle.PickleBuffer, self._buffers))


def as_yielded(items: Iterable[Any]) -> Iterator[Any]:
    """The items, each as it is when it is yielded, unless every item is an object of its own.

    :raises Exception: whatever the input raises.
    """
    iterator = iter(items)
    before: list[
        tuple[Any, set[int]]
    ] = []  # with the items, lest others come to lie in their place
    for item in islice(iterator, _FIRST):
        places = _places_of(item)
        if any(places & others for _, others in before):
            yield _as_it_is(item)
            yield from map(_as_it_is, iterator)
            return
        before.append((item, places))
        yield _as_it_is(item) if places else item
    before.clear()
    yield from iterator


def as_called(items: Sequence[Any], most_bytes: int) -> Sequence[Any]:
    """The items, the first of them as they are now: as many as fit into so many bytes."""
    if _is_array(items):
        return items.copy() if items.nbytes <= most_bytes else items  # type: ignore[attr-defined]
    if type(items) not in {list, tuple}:
        return items
    first = items[:_MOST_ITEMS]
    if is_atomic(first):
        return items
    held = list(items)
    for at, item in enumerate(first):
        if _is_fixed(item):
            continue
        held[at] = kept = _as_it_is(item, most_bytes)
        if kept is None:
            held[at] = item
            break
        most_bytes -= kept.size_bytes if type(kept) is Snapshot else 0
    return held


def _is_fixed(item: Any) -> bool:
    """It, and what it holds, stays as it is."""
    kind = type(item)
    if kind is tuple:
        return is_atomic(item)
    return is_atomic((item,)) or (hasattr(kind, "dtype") and not hasattr(kind, "__setitem__"))


def _as_it_is(item: Any, most_bytes: int = sys.maxsize) -> Any:
    """A snapshot, or the item itself if it cannot be pickled, or None if it is too large."""
    try:
        return Snapshot(item, most_bytes)
    except TooLarge:
        return None
    except Exception:  # said by whoever sends it
        return item


def _load(pickled: bytes, *buffers: Any) -> Any:
    return pickle.loads(pickled, buffers=buffers)


def _places_of(item: Any) -> set[int]:
    """Where in memory the item, and what it holds, may be changed."""
    parts = [item]
    if isinstance(item, dict):
        parts += islice(item.values(), _MOST_PARTS)
    elif isinstance(item, (tuple, list)):
        parts += islice(item, _MOST_PARTS)
    return {_place_of(part) for part in parts if type(part) not in _UNCHANGING}


def _place_of(part: Any) -> int:
    """An array's or a view's memory, of whatever else its identity."""
    if isinstance(part, memoryview):
        return address_of(part) if part.contiguous else id(part.obj)
    if _is_array(part):
        address: int = part.__array_interface__["data"][0]
        return address
    return id(part)


def _is_array(part: Any) -> bool:
    """By its type: other objects answer questions for attributes in ways of their own."""
    numpy = sys.modules.get("numpy")
    return issubclass(type(part), getattr(numpy, "ndarray", ()))
