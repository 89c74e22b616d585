"""Snapshots of what is handed to a pool: what a task sees is what was handed in.

An input may reuse what it has yielded, and a caller what it has submitted, while that still waits
for a worker. So a mutable object is pickled when it is handed in, and its chunk carries the pickle.
Immutable objects, and arrays that nobody else can reach, wait as they are.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from poolwise.payloads import registry
from poolwise.wire import offers
from poolwise.wire.codec import ATOMIC, Snapshot
from poolwise.wire.pickling import LEAST_PIECE_BYTES, OutOfBandBuffers, dumps

_MOST_ITEMS = 1000
"""Items of one list that are looked at: it takes 0.1 ms, and 3 us for each that is pickled."""

_LEAST_BORROWED_BYTES = LEAST_PIECE_BYTES
"""A smaller array is copied without asking who else can reach it."""


class TooLarge(Exception):
    """Error of a snapshot that would take too much memory.

    :param pickled_bytes: what of it was in the pickle, and so was copied to find that.
    """

    def __init__(self, pickled_bytes: int) -> None:
        super().__init__(pickled_bytes)
        self.pickled_bytes = pickled_bytes


def take_snapshot(
    item: Any,
    most_bytes: int = sys.maxsize,
    dump: Callable[[Any, OutOfBandBuffers], bytes] = dumps,
) -> Snapshot:
    """Pickle an object, and copy the large buffers in it.

    :param dump: how it is pickled.
    :raises TooLarge: it would take more memory than ``most_bytes``.
    :raises Exception: it cannot be pickled.
    """
    aside = OutOfBandBuffers()
    offers.take()
    pickled = dump(item, aside)
    kept = Snapshot(pickled, aside, _hold(offers.take()))
    if kept.size_bytes > most_bytes:
        raise TooLarge(len(pickled))
    kept.buffers = _copies(aside)
    return kept


def _hold(offered: Sequence[int]) -> object:
    return offers.Offers(offered) if offered else None


def _copies(buffers: Sequence[memoryview]) -> list[memoryview]:
    return [memoryview(bytearray(buffer)) for buffer in buffers]


def fix(item: Any) -> tuple[Any, int]:
    """An item that an input has just yielded, safe from changes, and its weight in bytes.

    What cannot be pickled stays as it is: whoever sends it reports that.
    """
    kind = type(item)
    if kind is tuple and ATOMIC.issuperset(map(type, item)):
        return item, sum(map(sys.getsizeof, item))
    library = registry.of(kind)
    if library is not None:
        weight = library.weigh(item)
        if library.is_immutable(item):
            return item, weight
        if weight < _LEAST_BORROWED_BYTES:
            # A copy costs a hundredth of a pickle, and many copies travel in one.
            copy = library.copy(item)
            if copy is not None:
                return copy, weight
        elif library.owns_memory(item) and _is_private(item):
            return item, weight
    return _fix_by_pickling(item)


def _fix_by_pickling(item: Any) -> tuple[Any, int]:
    aside = OutOfBandBuffers()
    offers.take()
    try:
        pickled = dumps(item, aside)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if _is_refused(item):
            return item, sys.getsizeof(type(item))
        raise error from None  # the handler of a signal raised it, amid the pickling
    kept = Snapshot(pickled, _copies(aside) if aside else (), _hold(offers.take()))
    return kept, kept.size_bytes if aside else len(pickled)


def _is_refused(item: Any) -> bool:
    """True if the item cannot be pickled; False if a signal handler raised meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        return True
    try:
        dumps(item)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return True
    return False


def fix_first(items: Sequence[Any], most_bytes: int) -> Sequence[Any]:
    """The items of a list, the first of them fixed: as many as fit into so many bytes."""
    library = registry.of(type(items))
    if library is not None and library.weigh(items) <= most_bytes:
        copy = library.copy(items)
        return items if copy is None else copy
    if type(items) not in {list, tuple}:
        return items
    first = items[:_MOST_ITEMS]
    if ATOMIC.issuperset(map(type, first)):
        return items
    held = list(items)
    for at, item in enumerate(first):
        if _is_fixed(item):
            continue
        try:
            held[at] = kept = take_snapshot(item, most_bytes)
        except TooLarge:
            break
        except Exception:  # noqa: S112 - reported by whoever sends it
            continue
        most_bytes -= kept.size_bytes
    return held


def _is_fixed(item: Any) -> bool:
    """It, and what it holds, stays as it is."""
    kind = type(item)
    if kind is tuple:
        return ATOMIC.issuperset(map(type, item))
    if kind in ATOMIC:
        return True
    library = registry.of(kind)
    return library is not None and library.is_immutable(item)


# -- objects that nobody else can reach


def _references(item: Any) -> int:
    """References to an item that `fix` was called with, as they are counted in here."""
    return sys.getrefcount(item)


def _count_private() -> int:
    """References to an object that only the reading loop holds, on this interpreter.

    The loop has the shape of that in `Fed.read`, and the calls are as many as to `_is_private`.
    """

    def fix(item: object) -> int:
        return is_private(item)

    def is_private(item: object) -> int:
        return _references(item)

    count = 0
    for item in islice((object() for _ in range(1)), 1):
        count = fix(item)
    return count


_PRIVATE = 0 if sys.gettrace() else _count_private()
"""A tracer may hold on to what it looks at, which would make others' arrays look private."""


def _is_private(item: Any) -> bool:
    """True if only the loop that has just read this object can change it.

    So it need not be copied: of what is large, most is made anew for each item.
    """
    return not weakref.getweakrefcount(item) and _references(item) <= _PRIVATE
