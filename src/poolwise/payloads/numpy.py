"""Entry of numpy: its arrays arrive writable, and memory-mapped files are mapped anew, not read.

Where memory travels beside the pickle, numpy's own pickling makes a read-only array arrive so,
though the memory is the receiver's own. And a small array is pickled and rebuilt faster in the way
of the older protocols.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from poolwise.payloads.registry import Library

PROTOCOL = 5

_SMALL_BYTES = 4096
"""Up to this size an array is written into the pickle as a string: two thirds of the time at 100
bytes, and as long at this size (``benchmarks/small_payloads``)."""

Reduced = Any
"""Result of ``__reduce_ex__``."""


class _Numpy(Library):
    whole_has = "memmap"

    def reducers(self, *, beside: bool) -> Mapping[type, Any]:
        numpy = sys.modules["numpy"]
        return {numpy.ndarray: _reduce_array, numpy.memmap: _reduce_memmap} if beside else {}

    def rows(self, items: Any) -> Sequence[Any] | None:
        return items if self.as_array(items) is not None and items.ndim else None

    def as_array(self, obj: Any) -> Any | None:
        numpy = sys.modules["numpy"]
        # Subclasses may have their own idea of an item, or of how they travel.
        is_plain = type(obj) in {numpy.ndarray, numpy.memmap} and not obj.dtype.hasobject
        return obj if is_plain else None

    def is_immutable(self, item: Any) -> bool:
        is_number = isinstance(item, sys.modules["numpy"].generic)
        return is_number and not hasattr(type(item), "__setitem__")  # a record's fields can be set

    def owns_memory(self, item: Any) -> bool:
        return _is_array(item) and item.base is None and bool(item.flags.owndata)

    def copy(self, item: Any) -> Any | None:
        return item.copy("A") if _is_array(item) else None

    def compact(self, values: Sequence[Any]) -> Sequence[Any]:
        dtype = getattr(values[0], "dtype", None)
        if dtype is None or values[0].shape != () or dtype.kind not in "biufc":
            return values
        kinds = set(map(type, values))
        return Scalars(values) if kinds == {dtype.type} else values


def _is_array(item: Any) -> bool:
    return type(item) is sys.modules["numpy"].ndarray and not item.dtype.hasobject


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
    """Map a part of a file copy-on-write."""
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


class Scalars(Sequence[Any]):
    """List of numpy's numbers, all of one type; pickled as one array.

    One by one they take some 5 us each, which is more than most of what is computed with them.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, at: Any) -> Any:
        return self._values[at]

    def __reduce__(self) -> tuple[Any, ...]:
        import numpy as np

        return list, (np.array(self._values),)


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


LIBRARY = _Numpy()
