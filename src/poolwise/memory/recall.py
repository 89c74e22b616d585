"""What lies in an arena already: data that is put down for several tasks, call after call.

The array that is bound in a function is met again with each call. Whether somebody has changed it
cannot be told by who it is, so it is compared with the block that holds it: that takes no longer
than a copy, and stops where the two differ, while a checksum takes three times as long
(``benchmarks/given_again``). What is saved is the other block: its memory, and the first use of it,
which is three times as slow as any later one.
"""

from __future__ import annotations

import sys
import weakref
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from poolwise.system.address import address_of
from poolwise.wire.payload import NO_BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable

    from poolwise.memory.segment_posix import Mapping

LEAST_BYTES = 4 << 20
"""What is shorter is copied again, which takes less time (``benchmarks/given_again``)."""

_MOST_BLOCKS = 4
"""So many blocks are remembered, those of last use; found by no benchmark."""


class _Met(NamedTuple):
    """The block that something was put down in, and whose memory it was."""

    offset: int
    owner: weakref.ref[Any]


class Recall:
    """Remembers blocks by the memory that they were filled from, for as long as that has its owner.

    Who has one holds every block that it names, until :meth:`forget` says that it does not.
    """

    __slots__ = ("_dropped", "_met")

    def __init__(self) -> None:
        self._met: dict[tuple[int, int], _Met] = {}
        self._dropped: list[int] = []

    def find(self, data: memoryview, mapped: Callable[[], Mapping]) -> int:
        """The block that shows just what ``data`` does, or :data:`NO_BLOCK`.

        :param mapped: gives the memory that blocks lie in.
        :raises OutOfSharedMemory: it cannot be mapped.
        """
        key = address_of(data), data.nbytes
        if key not in self._met:
            return NO_BLOCK
        with memoryview(mapped()) as whole:
            base = address_of(whole)
        met = self._met.pop(key)
        if not _is_equal(key[0], base + met.offset, data.nbytes):
            self._dropped.append(met.offset)
            return NO_BLOCK
        self._met[key] = met  # as the one of last use
        return met.offset

    def note(self, data: memoryview, offset: int) -> bool:
        """Remember a block that was filled from ``data``; False if nobody tells when that goes."""
        owner = _owner_of(data)
        if owner is None:
            return False
        self._met[address_of(data), data.nbytes] = _Met(offset, owner)
        return True

    def forget(self, *, most: int = _MOST_BLOCKS) -> list[int]:
        """The blocks that are not remembered any more, so that ``most`` are."""
        dropped, self._dropped = self._dropped, []
        for key, met in list(self._met.items()):
            if met.owner() is None or len(self._met) > most:
                dropped.append(self._met.pop(key).offset)
        return dropped


def _owner_of(data: memoryview) -> weakref.ref[Any] | None:
    """The array whose memory this is, though a view of it may be what was handed over."""
    owner: Any = data.obj
    while (base := getattr(owner, "base", None)) is not None:
        owner = base
    try:
        return weakref.ref(owner)
    except TypeError:  # bytes and their like
        return None


def _is_equal(one: int, other: int, length: int) -> bool:
    return not _memcmp()(one, other, length)


@cache
def _memcmp() -> Any:
    """Of the C library; Python's own comparison of memoryviews takes items one by one."""
    import ctypes

    library = ctypes.PyDLL("msvcrt" if sys.platform == "win32" else None)
    memcmp = library.memcmp
    memcmp.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
    return memcmp
