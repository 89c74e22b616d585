"""Shared memory of Windows: a file mapping without a file, gone with its last handle.

Written after the documentation of ``CreateFileMapping`` and the standard library's
``multiprocessing/shared_memory.py``; never run.
"""

from __future__ import annotations

import mmap
import secrets
import sys
from typing import TYPE_CHECKING, Any

from poolwise.errors import OutOfSharedMemory, SharedMemoryGone
from poolwise.memory.mapping import ACCESS, Mapping, Mode

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

assert sys.platform == "win32"  # noqa: S101 - tells type checkers which system this is about

Address = tuple[Any, ...]


class PagefileSegment:
    """Anonymous shared memory: a mapping of the page file that carries a random name."""

    __slots__ = ("__weakref__", "_hold", "_name", "size_bytes")

    def __init__(self, name: str, size_bytes: int) -> None:
        try:
            self._hold: mmap.mmap | None = mmap.mmap(-1, size_bytes, tagname=name)
        except OSError as error:
            message = f"cannot get {size_bytes} bytes of shared memory: {error}. Share less"
            raise OutOfSharedMemory(message) from error
        self._name = name
        self.size_bytes = size_bytes

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.size_bytes} bytes, {self._name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).open, (self.address(),)

    @classmethod
    def create(cls, size_bytes: int, *, findable: bool) -> Self:  # noqa: ARG003 - it always is
        """New memory of zeros; Windows reserves all of it at once.

        :param findable: no difference here: it can be found for as long as somebody holds it.
        :raises OutOfSharedMemory: the system refuses.
        """
        return cls(f"poolwise-{secrets.token_hex(16)}", size_bytes)

    @classmethod
    def open(cls, address: Address) -> Self:
        """The segment that another process, or this one, calls by this address.

        :raises SharedMemoryGone: nobody holds it any more.
        """
        import _winapi

        name, size_bytes = address
        try:
            handle = _winapi.OpenFileMapping(_winapi.FILE_MAP_READ, False, name)  # noqa: FBT003 - as the system names it
        except OSError as error:
            message = f"the shared memory {name} is gone: every process has let it go"
            raise SharedMemoryGone(message) from error
        try:
            return cls(name, size_bytes)
        finally:
            _winapi.CloseHandle(handle)

    def address(self) -> Address:
        """How other processes open it, for as long as somebody holds it."""
        return self._name, self.size_bytes

    @property
    def is_closed(self) -> bool:
        """It was let go here, and cannot be mapped any more."""
        return self._hold is None

    def close(self) -> None:
        """Let go of the memory; mappings that exist stay valid."""
        self._hold = None

    def duplicate(self) -> Self:
        """The same memory, held once more."""
        return type(self)(self._name, self.size_bytes)

    def map(self, mode: Mode = "rw", offset: int = 0, length: int | None = None) -> Mapping:
        """Map it, or ``length`` bytes from ``offset`` on (a multiple of `mapping.GRAIN_BYTES`)."""
        size = length or self.size_bytes - offset
        mapping = Mapping(-1, size, tagname=self._name, access=ACCESS[mode], offset=offset)
        mapping.mode, mapping.segment = mode, self
        return mapping

    def check_room(self, length: int) -> None:
        """Nothing to ask: Windows has refused before."""

    def reserve(self, offset: int, length: int) -> None:
        """Nothing to do: the page file backs the whole segment from the beginning."""

    def allocate(self, offset: int, length: int) -> None:
        """Nothing to do either."""

    def write(self, offset: int, data: Buffer) -> None:
        """Copy ``data`` (contiguous) into the segment."""
        source = memoryview(data).cast("B")
        with memoryview(self.map()) as whole:
            whole[offset : offset + len(source)] = source

    def sign(self, mark: bytes) -> bool:
        """Leave ``mark`` where every holder can read it; False: this system has no such place."""
        return False

    def marks(self) -> bytes:
        """Everything that was left by :meth:`sign`, by any process."""
        return b""
