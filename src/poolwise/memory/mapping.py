"""A piece of shared memory as this process sees it, on every system."""

from __future__ import annotations

import mmap
import sys
from typing import Any, Literal

Mode = Literal["r", "c", "rw"]
"""Read only; copy on write (this mapping's changes stay its own); read and write for everybody."""

ACCESS = {"r": mmap.ACCESS_READ, "c": mmap.ACCESS_COPY, "rw": mmap.ACCESS_WRITE}

GRAIN_BYTES = mmap.ALLOCATIONGRANULARITY
"""A mapping can begin at multiples of this: 4 KiB on most Linux, 16 on Apple, 64 on Windows."""

_KEEPS_NO_FD = sys.version_info >= (3, 13) and sys.platform != "win32"
_OPTIONS: dict[str, Any] = {"trackfd": False} if _KEEPS_NO_FD else {}
"""An ``mmap`` keeps a copy of its descriptor, which nobody needs here: half of all descriptors."""


class Mapping(mmap.mmap):
    """Memory of a segment in this process; it holds on to the segment for as long as it lives.

    Whatever exports this memory (a memoryview, a numpy array) holds on to the mapping in turn, so
    neither can go while somebody can still look at it.
    """

    __slots__ = ("mode", "segment")
    mode: Mode
    segment: Any


def map_fd(fd: int, mode: Mode, length: int, offset: int = 0) -> Mapping:
    """Map ``length`` bytes of an open file from ``offset`` on (a multiple of `GRAIN_BYTES`)."""
    mapping = Mapping(fd, length, access=ACCESS[mode], offset=offset, **_OPTIONS)
    mapping.mode = mode
    return mapping


def forget_changes(mapping: Mapping) -> bool:
    """Let a copy-on-write mapping show the memory below it again; False where that cannot be done.

    Elsewhere than on Linux this advice to the system is one it may ignore.
    """
    if sys.platform != "linux":
        return False
    mapping.madvise(mmap.MADV_DONTNEED)
    return True
