"""Numpy arrays in shared memory: ordinary arrays whose pickle is a handle.

What a pickle says is found out when it is made: an array lies in shared memory if its bytes do. So
views need no bookkeeping, and a copy, wherever numpy made it, is pickled like any array.
"""

from __future__ import annotations

import mmap
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwise.memory.segment_posix import Mapping, Mode
from poolwise.shared import packing
from poolwise.shared.holding import Handle, Held, receive

if TYPE_CHECKING:
    from numpy.typing import DTypeLike
    from typing_extensions import Self

_PAGE_BYTES = mmap.PAGESIZE
_PRESENT_OR_SWAPPED, _OF_A_FILE = 62, 61
"""Bits of an entry of /proc/self/pagemap, see proc_pid_pagemap(5)."""


class SharedArray(np.ndarray[Any, Any]):
    """An array in shared memory: pickled, it and its views are handles to the same memory.

    Everything else is numpy's. What numpy computes from it, and copies, are arrays of their own.
    """

    __slots__ = ()

    def __reduce_ex__(self, protocol: Any) -> Any:
        place = None if packing.is_active() else find_place(self)
        if place is None:
            return self.view(np.ndarray).__reduce_ex__(protocol)
        mapping, offset = place
        mode = mapping.mode if self.flags.writeable else "r"
        strides = None if self.flags.c_contiguous else self.strides
        dtype = self.dtype.str if _is_told_by_name(self.dtype) else self.dtype
        return attach, (mapping.segment.handle(), mode, offset, self.shape, strides, dtype)

    def __array_wrap__(self, array: Any, _: Any = None, return_scalar: bool = False) -> Any:
        if array is self:
            return self  # the result of an operation in place
        if _find_mapping(array) is not None:
            return array.view(SharedArray)  # squeeze() comes here with a view
        plain = array.view(np.ndarray)
        return plain[()] if return_scalar or not plain.shape else plain

    def copy(self, order: Any = "C") -> Any:
        """A plain array with the same values."""
        return np.array(self, order=order)

    def astype(self, *args: Any, **kwargs: Any) -> Any:
        """As of any array: a plain one, or this one where ``copy=False`` allows it."""
        cast = super().astype(*args, **kwargs)
        return self if cast is self else cast.view(np.ndarray)

    def __copy__(self) -> Any:
        return np.array(self)

    def __deepcopy__(self, memo: Any) -> Any:
        return np.array(self)

    def close(self) -> None:
        """Let go of the memory: from here, it can be opened by nobody any more.

        Arrays that look at it, here and elsewhere, stay valid; the memory is given back with the
        last of them.
        """
        mapping = _find_mapping(self)
        if mapping is not None:
            mapping.segment.segment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


# -- making


def empty(shape: int | tuple[int, ...], dtype: DTypeLike = float) -> SharedArray:
    """A new array in shared memory that every process may write, made to be filled by workers.

    The memory is reserved at once, so that no later write meets a full machine; so all is zero.

    :raises OutOfSharedMemory: the system or a limit refuses; the message says which.
    :raises TypeError: elements of that type are references to Python objects, or it is no shape.
    :raises ValueError: the shape has a negative dimension, or is beyond all addresses.
    """
    kind = np.dtype(dtype)
    if kind.hasobject:
        message = f"elements of type {kind} are Python objects, which cannot lie in shared memory"
        raise TypeError(message)
    dimensions = np.empty(shape, "V0").shape  # of nothing: numpy says what is no shape
    size_bytes = kind.itemsize * int(np.prod(dimensions, dtype=object))
    if size_bytes > sys.maxsize:
        message = f"an array of shape {dimensions} and type {kind} is too big for any memory"
        raise ValueError(message)
    held = Held.create(size_bytes)
    held.segment.reserve(0, max(1, size_bytes))
    return _array(held, "rw", 0, dimensions, None, kind)


zeros = empty
"""Alias by the name that says what is in it."""


def share_array(array: np.ndarray[Any, Any], mode: Mode) -> SharedArray:
    """Put a copy into shared memory; one that lies there already keeps its place.

    :raises OutOfSharedMemory: the system or a limit refuses.
    """
    place = find_place(array) if isinstance(array, SharedArray) else None
    if place is not None:
        mapping, offset = place
        return _array(mapping.segment, mode, offset, array.shape, array.strides, array.dtype)
    held = Held.create(array.nbytes)
    is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    if array.flags.forc and array.nbytes:
        held.segment.check_room(array.nbytes)
        flat = (array.T if is_fortran else array).reshape(-1)
        held.segment.write(0, flat.view(np.uint8).data)
    else:
        held.segment.reserve(0, max(1, array.nbytes))
        np.copyto(_array(held, "rw", 0, array.shape, None, array.dtype), array)
    strides = array.strides if is_fortran else None
    return _array(held, mode, 0, array.shape, strides, array.dtype)


def attach(  # noqa: PLR0913 - what an array is made of
    handle: Handle,
    mode: Mode,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    dtype: Any,
) -> SharedArray:
    """Array that a handle stands for; unpickling calls this.

    :raises SharedMemoryGone: who made the handle has ended, or has closed the memory.
    """
    return _array(receive(handle), mode, offset, shape, strides, dtype)


def _array(  # noqa: PLR0913 - what an array is made of
    held: Held,
    mode: Mode,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    dtype: Any,
) -> SharedArray:
    buffer: Any = held.map(mode)
    array: SharedArray = SharedArray(shape, dtype, buffer, offset, strides)
    return array


# -- finding out what an array is


def find_place(array: np.ndarray[Any, Any]) -> tuple[Mapping, int] | None:
    """The mapping that holds all bytes of the array, and where in it its first element lies.

    None: they lie elsewhere (it is a copy), or this process has changed copies of its own of them.
    """
    mapping = _find_mapping(array)
    if mapping is None:
        return None
    start = _address(np.frombuffer(mapping, np.uint8))
    first, end = _bounds(array)
    if first < start or end > start + len(mapping):
        return None
    if mapping.mode == "c" and _is_changed(first, end):
        return None
    return mapping, _address(array) - start


def _find_mapping(array: np.ndarray[Any, Any]) -> Mapping | None:
    """The mapping at the end of the chain of bases."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, Mapping) else None


def _address(array: np.ndarray[Any, Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _bounds(array: np.ndarray[Any, Any]) -> tuple[int, int]:
    """Begin and end of the array's bytes; strides may be negative."""
    first = end = _address(array)
    if array.size:
        steps = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
        first += sum(step for step in steps if step < 0)
        end += sum(step for step in steps if step > 0) + array.itemsize
    return first, end


def _is_changed(first: int, end: int) -> bool:
    """True if this process has written to its copy-on-write memory, or the kernel cannot tell.

    A page that was written is no longer the file's but the process's own.
    """
    page = first // _PAGE_BYTES
    wanted = (-(-end // _PAGE_BYTES) - page) * 8
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            file.seek(page * 8)
            entries = np.frombuffer(file.read(wanted), "<u8")
    except OSError:
        return True
    if entries.nbytes < wanted:
        return True
    is_own = (entries >> _PRESENT_OR_SWAPPED != 0) & (entries >> _OF_A_FILE & 1 == 0)
    return bool(is_own.any())


def _is_told_by_name(dtype: np.dtype[Any]) -> bool:
    """Its short name, such as ``<f8``, says all about it (not so for records)."""
    return dtype.fields is None and dtype.metadata is None and np.dtype(dtype.str) == dtype
