"""The flight recorder: slots in shared file pages, and rare events as lines of text.

`PID-T.rec` is an array of slots of 24 signed 64-bit integers, mapped MAP_SHARED: writing one is
no system call, and the pages outlive the process however it ends. `PID-T.ev` holds one Python
literal a line. A recorder belongs to one process; a forked child gets its own with its first
record. No file descriptor is kept where Python allows it (3.13), and never one of ours is used
after its number could have been given to somebody else.
"""

import mmap
import os
import sys
import time
from _struct import Struct
from itertools import count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSION = 1

SLOT_BYTES = 192
FIRST_SLOTS = 256  # 48 KiB: most processes write fewer records than that
SEGMENTS = 10  # each twice the one before: at most 50 MB a process, then records are dropped

# Kinds of slots. `store.py` names their fields.
TASK, SEND, RESULT, THREAD, CALL, LAST_GET, BEAT, ITEMS, METER, LIFE, COST, HEADER = range(1, 13)

now = time.perf_counter_ns
_pack = Struct("24q").pack_into
pack_1 = Struct("q").pack_into
pack_2 = Struct("2q").pack_into
pack_5 = Struct("5q").pack_into
pack_6 = Struct("6q").pack_into

_NONE = (0, 0, b"")

_directory = ""
_base = ""
_pid = 0
_next = count().__next__
_segment: "tuple[int, int, Any]" = _NONE
_segments: "dict[int, tuple[int, int, Any]]" = {}
_keep: "list[Any]" = []
_is_silent = False
dropped = 0

fresh = 0, -1
"""The process that this interpreter was started as, and its own memory before the program."""


def use(directory: str) -> None:
    """Write records to this directory (an absolute path) from now on."""
    global _directory  # noqa: PLW0603 - one recorder a process
    _directory = directory


def directory() -> str:
    """Directory of the records."""
    return _directory


def forget_parent() -> None:
    """Reset in a forked child: the next record opens this process's own files.

    The parent's maps are kept, because unmapping would close descriptors whose numbers may be
    the user's by now.
    """
    global _base, _directory, _next, _segment, _segments, dropped  # noqa: PLW0603 - one recorder a process
    _keep.append(_segments)
    if _is_silent:
        _directory = ""
    _base, _segment, _segments, dropped = "", _NONE, {}, 0
    _next = count().__next__


class silence:  # noqa: N801 - a word of a sentence: with silence()
    """Children that are forked meanwhile record nothing."""

    def __enter__(self) -> None:
        global _is_silent  # noqa: PLW0603 - one recorder a process
        _is_silent = True

    def __exit__(self, *error: object) -> None:
        global _is_silent  # noqa: PLW0603 - one recorder a process
        _is_silent = False


def put(*values: int) -> "tuple[Any, int]":
    """Write one slot of 24 integers. Returns where it stands, for those that are patched later."""
    index = _next()
    segment = _segment
    if not segment[0] <= index < segment[1]:
        segment = _locate(index)
    offset = (index - segment[0]) * SLOT_BYTES
    _pack(segment[2], offset, *values)
    return segment[2], offset


def reserve(kind: int, *values: int) -> "tuple[Any, int]":
    """Write a slot whose other fields are patched as things happen. Returns where it stands."""
    return put(kind, *values, *[0] * (23 - len(values)))


def event(kind: str, /, **facts: "Any") -> None:
    """Append one line to this process's events. Costs about 10 us: for rare things."""
    if not _directory:
        return
    _open()
    facts.update(ev=kind, pid=_pid)
    facts.setdefault("t", now())
    line = ascii(facts) + "\n"
    try:
        file = os.open(_base + ".ev", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)
    except OSError:
        pass


def trouble(where: str, error: BaseException) -> None:
    """Note that a probe failed; what it would have seen will be missing."""
    event("trouble", where=where, error=repr(error))


def _open() -> None:
    global _base, _pid  # noqa: PLW0603 - one recorder a process
    if not _base:
        _pid = os.getpid()
        _base = f"{_directory}/{_pid}-{now()}"
        header = (HEADER, VERSION, _pid, os.getppid(), now(), *[0] * 19)
        put(*header)


def _locate(index: int) -> "tuple[int, int, Any]":
    """The segment of this slot: (first slot, one after the last, its map)."""
    global _segment, dropped  # noqa: PLW0603 - one recorder a process
    if not _directory:
        return index, index, bytearray(SLOT_BYTES)
    _open()
    number = (index // FIRST_SLOTS + 1).bit_length() - 1
    segment = _segments.get(number)
    if segment is None:
        first = FIRST_SLOTS * ((1 << number) - 1)
        slots = FIRST_SLOTS << number
        try:
            segment = (first, first + slots, _map(first * SLOT_BYTES, slots * SLOT_BYTES))
        except (OSError, ValueError):
            dropped += 1
            return index, index, bytearray(SLOT_BYTES)
        _segments[number] = segment
    _segment = segment
    return segment


def _map(offset: int, size: int) -> "Any":
    if size >= SLOT_BYTES * FIRST_SLOTS << SEGMENTS:
        message = "enough was recorded"
        raise ValueError(message)

    options = {"trackfd": False} if sys.version_info >= (3, 13) else {}
    file = os.open(_base + ".rec", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, offset, size)  # a full disk shall be an error, not SIGBUS
        else:
            os.ftruncate(file, offset + size)
        return mmap.mmap(file, size, offset=offset, **options)
    finally:
        os.close(file)
