"""What numpy's own pickling leaves to wish for, when an array travels between two processes.

A read-only array arrives read-only where its memory travels beside the pickle, though it is the
receiver's own. A memory-mapped file would be read and copied, though the receiver can map it. And a
small array is pickled and rebuilt faster in the way of the older protocols.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

PROTOCOL = 5

_SMALL_BYTES = 4096
"""Up to this size an array is written into the pickle as a string: two thirds of the time at 100
bytes, and as long at this size (``benchmarks/small_payloads``)."""

Reduced = Any
"""What ``__reduce_ex__`` answers."""


@cache
def reducers() -> dict[type, Any]:
    """Reducers for a pickler of ours."""
    numpy = sys.modules["numpy"]
    return {numpy.ndarray: _reduce_array, numpy.memmap: _reduce_memmap}


def _reduce_array(array: Any) -> Reduced:
    if array.nbytes <= _SMALL_BYTES and array.dtype.isnative:  # they do not keep another order
        return array.__reduce__()
    reduced = array.__reduce_ex__(PROTOCOL)
    return reduced if array.flags.writeable else (_writable, reduced[:2], *reduced[2:])


def _writable(rebuild: Any, args: Any) -> Any:
    array = rebuild(*args)
    return array if array.flags.writeable else array.copy()


def _reduce_memmap(array: Any) -> Reduced:
    place = _place_in_file(array)
    if place is None:
        return array.__reduce_ex__(PROTOCOL)
    order = "C" if array.flags.c_contiguous else "F"
    return _map_file, (*place, array.dtype, array.shape, order)


def _map_file(path: str, offset: int, dtype: Any, shape: tuple[int, ...], order: str) -> Any:
    """The same part of the file; what is written to it stays here."""
    import numpy as np

    return np.memmap(path, dtype, "c", offset, shape, order)  # type: ignore[call-overload]


def _place_in_file(array: Any) -> tuple[str, int] | None:
    """The file and the offset that the array shows, or None where it shows something else."""
    root = array
    while root is not None and not isinstance(root.base, mmap.mmap):
        root = getattr(root, "base", None)
    flags = array.flags
    if root is None or getattr(root, "mode", "c") == "c" or not array.size:
        return None  # not a file's, or what it shows may differ from the file
    if not (flags.c_contiguous or flags.f_contiguous) or array.dtype.hasobject:
        return None
    address = _address(array)
    path = os.fspath(root.filename) if root.filename is not None else None
    if not isinstance(path, str) or not _is_mapped_there(path, address):
        return None
    return path, root.offset + address - _address(root)


class Scalars:
    """A list of numpy's numbers, all of one type; pickled as one array.

    One by one they take some 5 us each, which is more than most of what is computed with them.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values

    def __reduce__(self) -> tuple[Any, ...]:
        import numpy as np

        return list, (np.array(self._values),)


def compact(values: Sequence[Any]) -> Any:
    """The values, or what unpickles as a list of them and is pickled faster."""
    kinds = set(map(type, values))
    if len(kinds) == 1 and getattr(values[0], "dtype", None) is not None:
        dtype = values[0].dtype
        if values[0].shape == () and dtype.kind in "biufc" and dtype.type in kinds:
            return Scalars(values)
    return values


def _address(array: Any) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _is_mapped_there(path: str, address: int) -> bool:
    """The file of that name is still the one that was mapped: it may have been replaced."""
    try:
        stat = os.stat(path)
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            for line in maps:
                where, _, _, device, inode, *_ = line.split(maxsplit=5)
                start, end = (int(part, 16) for part in where.split("-"))
                if start <= address < end:
                    major, minor = (int(part, 16) for part in device.split(":"))
                    found = (os.makedev(major, minor), int(inode))
                    return found == (stat.st_dev, stat.st_ino)
    except (OSError, ValueError):
        pass  # no such file, or no such listing on this system
    return False
