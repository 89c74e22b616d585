"""Shared memory from memfd_create: it has no name, so no end of a process leaves it behind.

It is not bounded by the size of ``/dev/shm``, only by the machine's memory and the limits of the
control groups, which are asked before anything is reserved: a reservation beyond them would not
fail but make the kernel kill a process. Sources: memfd_create(2), proc_pid_fd(5), fallocate(2).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from poolwise.errors import OutOfSharedMemory, SharedMemoryGone
from poolwise.wire import cgroups
from poolwise.wire.memory_posix import Address, FdSegment, refuse

if TYPE_CHECKING:
    from typing_extensions import Self

assert sys.platform == "linux"  # noqa: S101 - tells type checkers which system this is about

_NOEXEC_SEAL = 0x0008
"""MFD_NOEXEC_SEAL, since Linux 6.3: memory that can never be run as a program. Some systems allow
no other kind (``vm.memfd_noexec=2``), older ones do not know it."""


class MemfdSegment(FdSegment):
    """Anonymous shared memory of Linux; other processes of the same user open it through /proc."""

    __slots__ = ()

    @classmethod
    def create(cls, size_bytes: int, *, findable: bool) -> Self:  # noqa: ARG003 - it always is
        """New memory of zeros, none of it reserved yet.

        :param findable: no difference here: it can be found for as long as somebody holds it.
        :raises OutOfSharedMemory: the system refuses.
        """
        try:
            segment = cls(_anonymous_file(), size_bytes)
            os.ftruncate(segment.fd, size_bytes)
        except OSError as error:
            refuse(size_bytes, error)
        return segment

    @classmethod
    def open(cls, address: Address) -> Self:
        """The segment that another process, or this one, calls by this address.

        :raises SharedMemoryGone: that process has ended or has let the memory go.
        :raises OutOfSharedMemory: this process has no descriptors left.
        """
        pid, fd, inode, size_bytes = address
        try:
            own = os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, PermissionError) as error:
            _raise_gone(pid, error)
        except OSError as error:
            refuse(size_bytes, error)
        segment = cls(own, size_bytes)
        stat = os.fstat(own)
        if (stat.st_ino, stat.st_size) != (inode, size_bytes):
            _raise_gone(pid, None)  # the descriptor's number stands for something else by now
        return segment

    def address(self) -> Address:
        """How other processes open it, for as long as this object is not closed."""
        return os.getpid(), self.fd, os.fstat(self.fd).st_ino, self.size_bytes

    def reserve(self, offset: int, length: int) -> None:
        """Make sure that this range can be written: no later write to it meets a full memory.

        :raises OutOfSharedMemory: the system or a limit refuses.
        """
        room_bytes, whose = min(_rooms(), default=(length, ""))
        if room_bytes < length:
            message = (
                f"cannot get {length} bytes of shared memory: {whose} leaves {room_bytes}. "
                "Share less at a time, or raise that limit"
            )
            raise OutOfSharedMemory(message)
        super().reserve(offset, length)


def _anonymous_file() -> int:
    if not hasattr(os, "memfd_create"):  # the interpreter was built for an older C library
        return os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)  # noqa: S108 - no name
    try:
        return os.memfd_create("poolwise", os.MFD_CLOEXEC | _NOEXEC_SEAL)
    except OSError:
        return os.memfd_create("poolwise", os.MFD_CLOEXEC)


def _rooms() -> list[tuple[int, str]]:
    """How many bytes each limit on memory leaves, and what it is called."""
    limits = cgroups.memory_limits()
    rooms = [
        (limit.room_bytes, f"the memory limit of {limit.limit_bytes} bytes in {limit.path}")
        for limit in limits
    ]
    free_bytes = _free_bytes()
    return rooms if free_bytes is None else [*rooms, (free_bytes, "this machine's free memory")]


def _free_bytes() -> int | None:
    """What the kernel could give without killing anybody, swap space included."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return sum(int(lines[key].split()[0]) << 10 for key in ("MemAvailable", "SwapFree"))
    except (OSError, LookupError, ValueError):
        return None  # no /proc, or one of another make: fallocate will say


def _raise_gone(pid: int, error: OSError | None) -> NoReturn:
    is_hidden = isinstance(error, PermissionError)
    why = "it hides its files from us" if is_hidden else "it has ended, or has let it go"
    message = (
        f"the shared memory of process {pid} cannot be opened: {why}. Whoever shares an object "
        "must keep it until everybody has received it"
    )
    raise SharedMemoryGone(message) from error
