"""Shared memory from memfd_create: it has no name, so no end of a process leaves it behind.

It is not bounded by the size of ``/dev/shm``, only by the machine's memory and the limits of the
control groups, which are asked before anything is reserved: a reservation beyond them would not
fail but make the kernel kill a process. Sources: memfd_create(2), proc_pid_fd(5), fallocate(2).
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from poolwise.errors import OutOfSharedMemory, SharedMemoryGone
from poolwise.memory.segment_posix import Address, FdSegment, raise_closed, refuse
from poolwise.system import cgroups

if TYPE_CHECKING:
    from typing_extensions import Self

assert sys.platform == "linux"  # noqa: S101 - tells type checkers which system this is about

_NOEXEC_SEAL = 0x0008
"""MFD_NOEXEC_SEAL, since Linux 6.3: memory that can never be run as a program. Some systems allow
no other kind (``vm.memfd_noexec=2``), older ones do not know it."""

_UNASKED_BYTES = 1 << 20
"""Reading the limits takes some 0.3 ms, as long as filling 1 MiB; any other allocation of the
program may be that large, and is not asked about either."""


class MemfdSegment(FdSegment):
    """Anonymous shared memory of Linux; other processes of the same user open it through /proc."""

    __slots__ = ()

    @classmethod
    def create(cls, size_bytes: int, *, findable: bool) -> Self:
        """New memory of zeros, none of it reserved yet.

        :param findable: changes only how it looks in /proc: it can always be found.
        :raises OutOfSharedMemory: the system refuses.
        """
        try:
            name = "poolwise-shared" if findable else "poolwise-arena"
            segment = cls(_anonymous_file(name), size_bytes)
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
        identity, size_bytes, pid, fd = address
        path = f"/proc/{pid}/fd/{fd}"
        try:
            # That number may stand for anything by now: a terminal, a lock file, a device that
            # acts on being opened. So it is looked at before it is opened, and once more after.
            _check_is(os.stat(path), identity, size_bytes, pid)
            segment = cls(os.open(path, os.O_RDWR | os.O_CLOEXEC), size_bytes)
            _check_is(os.fstat(segment.fd), identity, size_bytes, pid)
        except (FileNotFoundError, PermissionError) as error:
            _raise_gone(pid, error)
        except OSError as error:
            refuse(size_bytes, error)
        return segment

    def address(self) -> Address:
        """Address by which other processes open it, until this object is closed.

        :raises SharedMemoryGone: it is closed.
        """
        if self.fd < 0:
            raise_closed()
        return os.fstat(self.fd).st_ino, self.size_bytes, os.getpid(), self.fd

    def sign(self, mark: bytes) -> bool:
        """Leave ``mark`` behind the end of the memory, where every holder can read it.

        Marks of several processes never mix: the kernel makes an append whole.

        :return: whether it could be done.
        """
        try:
            book = os.open(f"/proc/self/fd/{self.fd}", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except OSError:  # no descriptors are left
            return False
        try:
            return os.write(book, mark) == len(mark)
        finally:
            os.close(book)

    def marks(self) -> bytes:
        """Marks left by :meth:`sign`, by any process."""
        length = os.fstat(self.fd).st_size - self.size_bytes
        return os.pread(self.fd, length, self.size_bytes)

    def check_room(self, length: int) -> None:
        """Ask every limit whether it leaves ``length`` bytes; beyond one, the kernel would kill.

        :raises OutOfSharedMemory: one does not.
        """
        if length < _UNASKED_BYTES:
            return
        room_bytes, whose = min(_rooms(), default=(length, ""))
        if room_bytes < length:
            message = (
                f"cannot get {length} bytes of shared memory: {whose} leaves {room_bytes}. "
                "Share less at a time, or raise that limit"
            )
            raise OutOfSharedMemory(message)


def _anonymous_file(name: str) -> int:
    if not hasattr(os, "memfd_create"):  # the interpreter was built for an older C library
        return _nameless_file()
    for flags in (os.MFD_CLOEXEC | _NOEXEC_SEAL, os.MFD_CLOEXEC):
        try:
            return os.memfd_create(name, flags)
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE}:
                raise
    return _nameless_file()  # a sandbox forbids the other kind


def _nameless_file() -> int:
    return os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)  # noqa: S108 - no name


def _rooms() -> list[tuple[int, str]]:
    """Bytes that each limit on memory leaves, and its name."""
    limits = cgroups.memory_limits()
    rooms = [
        (limit.room_bytes, f"the memory limit of {limit.limit_bytes} bytes in {limit.path}")
        for limit in limits
    ]
    free_bytes = _free_bytes()
    return rooms if free_bytes is None else [*rooms, (free_bytes, "this machine's free memory")]


def _free_bytes() -> int | None:
    """Bytes that the kernel could give without killing a process, swap space included."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return sum(int(lines[key].split()[0]) << 10 for key in ("MemAvailable", "SwapFree"))
    except (OSError, LookupError, ValueError):
        return None  # no /proc, or one of another make: fallocate will say


def _check_is(stat: os.stat_result, identity: int, size_bytes: int, pid: int) -> None:
    if stat.st_ino != identity or stat.st_size < size_bytes:  # behind the end stand marks
        _raise_gone(pid, None)


def _raise_gone(pid: int, error: OSError | None) -> NoReturn:
    is_hidden = isinstance(error, PermissionError)
    why = "it belongs to another user" if is_hidden else "it has ended, or has let it go"
    message = (
        f"the shared memory of process {pid} cannot be opened: {why}. Keep a shared object (in a "
        "variable) until everybody has received it, and close it only then"
    )
    raise SharedMemoryGone(message) from error
