"""Shared memory behind a file descriptor: what all POSIX systems have, and the form without memfd.

:class:`FdSegment` is the common part. :class:`NamedSegment` is for systems without memfd: memory
from ``shm_open``, whose name is either taken away at once (nothing can be left behind, and other
processes must be handed the descriptor) or kept until its creator lets go.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from poolwise.errors import OutOfSharedMemory, SharedMemoryGone
from poolwise.system.limits import resource

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

assert sys.platform != "win32"  # noqa: S101 - tells type checkers which systems this is about

Mode = Literal["r", "c", "rw"]
"""Read only; copy on write (this mapping's changes stay its own); read and write for everybody."""

ACCESS = {"r": mmap.ACCESS_READ, "c": mmap.ACCESS_COPY, "rw": mmap.ACCESS_WRITE}

GRAIN_BYTES = mmap.ALLOCATIONGRANULARITY
"""A mapping can begin at multiples of this: 4 KiB on most Linux, 16 on Apple."""

_KEEPS_NO_FD = sys.version_info >= (3, 13)
_OPTIONS: dict[str, Any] = {"trackfd": False} if _KEEPS_NO_FD else {}
"""An ``mmap`` keeps a copy of its descriptor, which nobody needs here: half of all descriptors."""

Address = tuple[Any, ...]
"""Address of a segment for other processes: plain values, small when pickled. The first tells one
segment from another, whoever holds it."""

_RESERVE_BYTES = 64 << 20
"""A signal makes the kernel undo the reservation that it interrupts, and Python begin it anew: one
long call could starve under a profiler's timer. 64 MiB take some 5 ms; found by no benchmark."""


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


class FdSegment:
    """Anonymous shared memory: a descriptor and a size. Closed with its last reference.

    Pickled only while a process is being started: the child gets a descriptor of its own. For
    processes that run already there is :meth:`address`.

    :param fd: a descriptor that now belongs to this object.
    :param size_bytes: the size, which never changes.
    """

    __slots__ = ("__weakref__", "fd", "size_bytes")

    def __init__(self, fd: int, size_bytes: int) -> None:
        self.fd = fd
        self.size_bytes = size_bytes

    def __repr__(self) -> str:
        state = "closed" if self.fd < 0 else f"fd={self.fd}"
        return f"<{type(self).__name__} {self.size_bytes} bytes, {state}>"

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.context import assert_spawning
        from multiprocessing.reduction import DupFd

        assert_spawning(self)
        return _from_duplicate, (type(self), DupFd(self.fd), self.size_bytes)

    def __del__(self) -> None:
        self.close()

    @property
    def is_closed(self) -> bool:
        """True if it was let go here, and cannot be mapped any more."""
        return self.fd < 0

    def close(self) -> None:
        """Let go of the memory; mappings that exist stay valid. A second call does nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def duplicate(self) -> Self:
        """Duplicate the descriptor, to be handed to a child."""
        return type(self)(os.dup(self.fd), self.size_bytes)

    def map(self, mode: Mode = "rw", offset: int = 0, length: int | None = None) -> Mapping:
        """Map it, or ``length`` bytes from ``offset`` on (a multiple of `GRAIN_BYTES`).

        :raises OutOfSharedMemory: no address space or no descriptors are left.
        :raises SharedMemoryGone: it is closed.
        """
        if self.fd < 0:
            raise_closed()
        try:
            mapping = map_fd(self.fd, mode, length or self.size_bytes - offset, offset)
        except OSError as error:
            refuse(length or self.size_bytes, error)
        mapping.segment = self
        return mapping

    def check_room(self, length: int) -> None:
        """Ask the limits whose breach would not be an error but the end of this process.

        :raises OutOfSharedMemory: one of them does not leave ``length`` bytes.
        """

    def reserve(self, offset: int, length: int) -> None:
        """Make sure that this range can be written: no later write to it meets a full memory.

        :raises OutOfSharedMemory: the system or a limit refuses.
        """
        self.check_room(length)
        self.allocate(offset, length)

    def allocate(self, offset: int, length: int) -> None:
        """:meth:`reserve` without asking the limits, for those who did."""
        if not hasattr(os, "posix_fallocate"):
            return  # macOS: shared memory is swapped out there, it does not run full
        for start in range(offset, offset + length, _RESERVE_BYTES):
            try:
                os.posix_fallocate(self.fd, start, min(_RESERVE_BYTES, offset + length - start))
            except OSError as error:
                refuse(length, error)

    def write(self, offset: int, data: Buffer) -> None:
        """Copy ``data`` (contiguous) into the segment without mapping it.

        Into memory never used before this takes 0.4 of the time that a copy through a mapping
        takes, because no page fault stands before each page (8 MB: 1.2 ms against 3.0;
        ``benchmarks/shared_memory``). In used memory the mapping is faster (0.6 ms against 0.9).
        Ask :meth:`check_room` first.

        :raises OutOfSharedMemory: the system or a limit refuses.
        """
        rest = memoryview(data).cast("B")
        while rest:
            try:
                done = os.pwrite(self.fd, rest, offset)
            except OSError as error:
                refuse(len(rest), error)
            rest, offset = rest[done:], offset + done

    def sign(self, mark: bytes) -> bool:
        """Leave ``mark`` where every holder can read it; False: this system has no such place."""
        return False

    def marks(self) -> bytes:
        """Marks left by :meth:`sign`, by any process."""
        return b""


class NamedSegment(FdSegment):
    """Memory from ``shm_open``: macOS, the BSDs, and Linux where memfd is not to be had."""

    __slots__ = ("_name", "_take_name")

    def __init__(self, fd: int, size_bytes: int, name: str = "", *, is_owner: bool = False) -> None:
        super().__init__(fd, size_bytes)
        self._name = name
        self._take_name: weakref.finalize[..., Any] | None = None
        if is_owner:  # a finalizer is called at the end of a program while imports still work
            self._take_name = weakref.finalize(self, _take_name, name, os.getpid())

    @classmethod
    def create(cls, size_bytes: int, *, findable: bool) -> Self:
        """New memory of zeros, none of it reserved yet.

        :param findable: keep the name, so that :meth:`address` works, until :meth:`close`. Should
            this process be killed, the standard library's resource tracker takes the name away.
        :raises OutOfSharedMemory: the system refuses.
        """
        import secrets

        name = f"/poolwise-{secrets.token_hex(8)}"  # macOS allows 31 characters
        try:
            fd = _shm_open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR)
        except OSError as error:
            refuse(size_bytes, error)
        if findable:
            _tracker("register", name)
            segment = cls(fd, size_bytes, name, is_owner=True)
        else:
            _shm_unlink(name)
            segment = cls(fd, size_bytes)
        try:
            os.ftruncate(fd, size_bytes)
        except OSError as error:
            segment.close()
            refuse(size_bytes, error)
        return segment

    @classmethod
    def open(cls, address: Address) -> Self:
        """The segment that another process, or this one, calls by this address.

        :raises SharedMemoryGone: it is no longer there.
        """
        name, size_bytes = address
        try:
            return cls(_shm_open(name, os.O_RDWR), size_bytes, name)
        except FileNotFoundError as error:
            message = f"the shared memory {name} is gone: the process that made it has let it go"
            raise SharedMemoryGone(message) from error

    def address(self) -> Address:
        """Address by which other processes open it, for as long as its creator holds it.

        :raises SharedMemoryGone: it is closed.
        """
        if self.fd < 0:
            raise_closed()
        return self._name, self.size_bytes

    def write(self, offset: int, data: Buffer) -> None:
        """Copy ``data`` (contiguous) into the segment; through a mapping, as macOS requires."""
        source = memoryview(data).cast("B")
        self.reserve(offset, len(source))
        with memoryview(self.map()) as whole:
            whole[offset : offset + len(source)] = source

    def close(self) -> None:
        """Let go of the memory, and take the name away if it was given here."""
        if self._take_name is not None:
            self._take_name()
        super().close()


def raise_closed() -> NoReturn:
    """Raise the error of a segment that was let go here."""
    message = (
        "this shared memory was closed in this process: it can be neither opened again nor sent to "
        "another. Close it after the last use"
    )
    raise SharedMemoryGone(message)


def refuse(length: int, error: OSError) -> NoReturn:
    """Raise the error that says what could not be had, why, and what to do."""
    message = f"cannot get {length} bytes of shared memory: {error.strerror}. {_advice(error)}"
    raise OutOfSharedMemory(message) from error


def _advice(error: OSError) -> str:
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return {
        errno.EMFILE: f"This process may open {descriptors} files (ulimit -n): raise that limit, "
        "or share fewer objects at a time",
        errno.EFBIG: "The limit on the size of a file (ulimit -f) forbids it: raise that limit",
        errno.ENOSPC: "Its file system is full (a container's /dev/shm is often 64 MB: docker run "
        "--shm-size), or the system has no memory left",
        errno.ENOMEM: "The memory or the address space of this process (ulimit -v) is used up: "
        "share less, or raise the limit",
    }.get(error.errno or 0, "Share less at a time, or ask the administrator of this machine")


def _from_duplicate(cls: type[FdSegment], duplicate: Any, size_bytes: int) -> FdSegment:
    return cls(duplicate.detach(), size_bytes)


def _take_name(name: str, owner_pid: int) -> None:
    if os.getpid() == owner_pid:  # and not a child that was forked from it
        _shm_unlink(name)
        _tracker("unregister", name)


def _shm_open(name: str, flags: int) -> int:
    import _posixshmem  # type: ignore[import-not-found]

    fd: int = _posixshmem.shm_open(name, flags, mode=0o600)
    return fd


def _shm_unlink(name: str) -> None:
    import _posixshmem

    try:
        _posixshmem.shm_unlink(name)
    except FileNotFoundError:
        pass  # somebody cleared the folder: it is gone, as it should be


def _tracker(verb: str, name: str) -> None:
    from multiprocessing import resource_tracker

    getattr(resource_tracker, verb)(name, "shared_memory")
