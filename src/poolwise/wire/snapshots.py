"""Snapshots of what is handed to a pool: what a task sees is what was handed in.

An input may reuse what it has yielded, and a caller what it has submitted, while that still waits
for a worker. So a mutable object is pickled when it is handed in, and its chunk carries the pickle.
Immutable objects, and arrays that nobody else can reach, wait as they are.
"""

from __future__ import annotations

import pickle
import sys
import threading
import weakref
from collections.abc import Sequence
from itertools import islice
from typing import Any

from poolwise.wire.packing import LEAST_PIECE_BYTES, Aside, dumps

_MOST_ITEMS = 1000
"""Items of one list that are looked at: it takes 0.1 ms, and 3 us for each that is pickled."""

ATOMIC = frozenset({int, float, complex, bool, str, bytes, type(None)})
"""Immutable built-in types that hold nothing else."""

_LEAST_BORROWED_BYTES = LEAST_PIECE_BYTES
"""A smaller array is copied without asking who else can reach it."""


class TooLarge(Exception):
    """What is to be kept as it is takes too much memory.

    :param pickled_bytes: what of it was in the pickle, and so was copied to find that.
    """

    def __init__(self, pickled_bytes: int) -> None:
        super().__init__(pickled_bytes)
        self.pickled_bytes = pickled_bytes


class Snapshot:
    """An object as it was, pickled; unpickling this gives the object itself.

    :raises TooLarge: it would take more memory than ``most_bytes``.
    """

    __slots__ = ("buffers", "pickled")

    def __init__(self, item: Any, most_bytes: int = sys.maxsize) -> None:
        aside = Aside()
        self.pickled = dumps(item, aside)
        if len(self.pickled) + sum(buffer.nbytes for buffer in aside) > most_bytes:
            raise TooLarge(len(self.pickled))
        self.buffers = [memoryview(bytearray(buffer)) for buffer in aside]

    @property
    def size_bytes(self) -> int:
        """Memory that it takes, about."""
        return len(self.pickled) + sum(buffer.nbytes for buffer in self.buffers)

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, (self.pickled, *map(pickle.PickleBuffer, self.buffers))


def _load(pickled: bytes, *buffers: Any) -> Any:
    return pickle.loads(pickled, buffers=buffers)


def fix(item: Any) -> tuple[Any, int]:
    """An item that an input has just yielded, safe from changes, and its weight in bytes.

    What cannot be pickled stays as it is: whoever sends it reports that.
    """
    kind = type(item)
    if kind is str or kind is bytes:
        return item, sys.getsizeof(item)
    if kind is tuple and ATOMIC.issuperset(map(type, item)):
        return item, sum(map(sys.getsizeof, item))
    if _is_numpys_number(item) or (_is_array(item) and _is_private(item)):
        return item, sys.getsizeof(item)
    kept = _pickled(item)
    return kept, kept.size_bytes if type(kept) is Snapshot else sys.getsizeof(kind)


def _pickled(item: Any) -> Any:
    try:
        return Snapshot(item)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if _is_refused(item):
            return item
        raise error from None  # the handler of a signal raised it, amid the pickling


def _is_refused(item: Any) -> bool:
    """Whether it is the item that cannot be pickled, rather than that a signal struck."""
    if threading.current_thread() is not threading.main_thread():
        return True
    try:
        Snapshot(item)
    except KeyboardInterrupt:
        raise
    except BaseException:
        return True
    return False


def fix_first(items: Sequence[Any], most_bytes: int) -> Sequence[Any]:
    """The items of a list, the first of them fixed: as many as fit into so many bytes."""
    if _is_array(items):
        return items.copy() if items.nbytes <= most_bytes else items  # type: ignore[attr-defined]
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
            held[at] = kept = Snapshot(item, most_bytes)
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
    return kind in ATOMIC or _is_numpys_number(item)


def _is_array(item: Any) -> bool:
    """By its type: other objects answer questions for attributes in ways of their own."""
    numpy = sys.modules.get("numpy")
    return issubclass(type(item), getattr(numpy, "ndarray", ()))


def _is_numpys_number(item: Any) -> bool:
    numpy = sys.modules.get("numpy")
    kind = type(item)
    return issubclass(kind, getattr(numpy, "generic", ())) and not hasattr(kind, "__setitem__")


# -- arrays that nobody else can reach


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


def _is_private(array: Any) -> bool:
    """Nobody but the loop that has just read this array can change it.

    So it need not be copied: of what is large, most is made anew for each item.
    """
    return (
        array.nbytes >= _LEAST_BORROWED_BYTES
        and array.base is None
        and array.flags.owndata
        and not array.dtype.hasobject
        and not weakref.getweakrefcount(array)
        and _references(array) <= _PRIVATE
    )
