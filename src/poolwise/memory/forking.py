"""Copy-on-write before a fork: views of shared memory stay as they are in the child.

A forked process inherits shared mappings as shared: it would write into arrays of its parent, and
see them overwritten when the parent, done with them, gives their memory back. So before a fork the
pages in question are mapped anew at the same address, copy-on-write. That takes 2 us for each view,
copies nothing, and loses no write: a page that was not written to since still is the file's.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from poolwise.system.address import address_of

if TYPE_CHECKING:
    from poolwise.memory.segment_posix import Mapping

_PROT_READ_WRITE = 0x3
_MAP_PRIVATE_FIXED = 0x2 | 0x10


def make_private(mapping: Mapping, fd: int, offset: int, length: int) -> None:
    """Map ``length`` bytes at ``offset`` of a shared mapping copy-on-write, where they are now."""
    if sys.platform != "linux":  # elsewhere the constants differ, and fork is no start method
        return
    with memoryview(mapping) as whole:
        address = address_of(whole) + offset
    _mmap()(address, length, _PROT_READ_WRITE, _MAP_PRIVATE_FIXED, fd, offset)


@cache
def _mmap() -> Any:
    import ctypes

    mmap = ctypes.CDLL(None).mmap
    mmap.restype = ctypes.c_void_p
    mmap.argtypes = (
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_long,
    )
    return mmap
