"""Frames over a pipe: eight bytes of head (kind and length), then the payload.

A frame is handed on only when it is complete, so whatever a killed writer left half-written
is dropped with the pipe. One reader and one writer per pipe: no lock is shared.
"""

from __future__ import annotations

import os
import struct
from collections import deque
from collections.abc import Sequence

Frame = tuple[int, memoryview]
"""The kind of a frame and its payload."""

_HEAD = struct.Struct("<Q")
_LENGTH_BITS = 56
_LENGTH_MASK = (1 << _LENGTH_BITS) - 1

READ_BYTES = 128 * 1024
"""One read takes this much at most. Between 64 and 256 KiB made no difference in
``benchmarks/map_tiny``; below 16 KiB the system calls show."""

_BIG_BYTES = 64 * 1024
"""A frame that lacks more than this is read straight into its own buffer, not joined from parts."""

_MOST_BYTES = 1 << 47
"""The address space of a process on today's 64-bit processors: no frame is larger."""

_MOST_PARTS = 512
"""Parts handed to one ``writev``; POSIX allows IOV_MAX, which is 1024 on Linux and macOS."""


def frame(kind: int, payload: bytes) -> bytes:
    """Encode a frame, to be sent before another."""
    return _HEAD.pack(kind << _LENGTH_BITS | len(payload)) + payload


class FrameReader:
    """Reads frames from a file descriptor, blocking or not as the descriptor is."""

    __slots__ = ("_big", "_big_kind", "_fd", "_filled", "_rest")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = b""
        self._big: memoryview | None = None
        self._big_kind = 0
        self._filled = 0

    def read(self) -> list[Frame]:
        """Read once and return the frames that are complete now (none, often).

        :raises EOFError: the other end is closed; half a frame may be lost with it.
        :raises BlockingIOError: the descriptor does not block and nothing is there.
        :raises MemoryError: there is no memory for what is sent.
        :raises ValueError: this is no frame.
        """
        if self._big is not None:
            return self._read_big(self._big)
        data = os.read(self._fd, READ_BYTES)
        if not data:
            raise EOFError
        return self._split(self._rest + data if self._rest else data)

    def _split(self, data: bytes) -> list[Frame]:
        frames: list[Frame] = []
        view, at, end = memoryview(data), 0, len(data)
        while end - at >= _HEAD.size:
            (head,) = _HEAD.unpack_from(data, at)
            length = head & _LENGTH_MASK
            after = at + _HEAD.size + length
            if after > end:
                if after - end > _BIG_BYTES:
                    self._begin_big(head >> _LENGTH_BITS, length, view[at + _HEAD.size :])
                    at = end
                break
            frames.append((head >> _LENGTH_BITS, view[at + _HEAD.size : after]))
            at = after
        self._rest = data[at:]
        return frames

    def _begin_big(self, kind: int, length: int, first: memoryview) -> None:
        if length > _MOST_BYTES:
            message = f"a message of {length} bytes"
            raise ValueError(message)
        try:
            self._big = _fresh_memory(length)
        except MemoryError as error:
            message = f"there is no memory for a message of {length} bytes"
            raise MemoryError(message) from error
        self._big[: len(first)] = first
        self._big_kind, self._filled = kind, len(first)

    def _read_big(self, big: memoryview) -> list[Frame]:
        count = os.readv(self._fd, [big[self._filled :]])
        if not count:
            raise EOFError
        self._filled += count
        if self._filled < len(big):
            return []
        self._big = None
        return [(self._big_kind, big)]


class FrameWriter:
    """Writes frames to a file descriptor and keeps what a full pipe does not take.

    On a blocking descriptor nothing is ever kept. ``pending_bytes`` says how much waits, and
    ``written_bytes`` how much the pipe has taken since it was made.
    """

    __slots__ = ("_fd", "_pending", "pending_bytes", "written_bytes")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pending: deque[memoryview] = deque()
        self.pending_bytes = 0
        self.written_bytes = 0

    def write(self, kind: int, parts: Sequence[bytes | memoryview], before: bytes = b"") -> int:
        """Send one frame made of ``parts``; returns its length in bytes, head included.

        :param before: a whole frame that goes first.
        :raises BrokenPipeError: nobody reads any more.
        """
        length = sum(map(len, parts))
        head = before + _HEAD.pack(kind << _LENGTH_BITS | length)
        size = len(head) + length
        if not self._pending and length < _BIG_BYTES:
            whole = b"".join((head, *parts))
            done = self._try_write(whole)
            self.written_bytes += done
            if done < size:
                self._keep([memoryview(whole)[done:]])
            return size
        count = self._keep([memoryview(head), *(memoryview(part).cast("B") for part in parts)])
        if not self.flush():
            self._own_last(count)
        return size

    def flush(self) -> bool:
        """Write what waits, as far as the pipe takes it; True when nothing is left.

        :raises BrokenPipeError: nobody reads any more.
        """
        pending = self._pending
        while pending:
            batch = [pending[i] for i in range(min(len(pending), _MOST_PARTS))]
            try:
                done = os.writev(self._fd, batch)
            except BlockingIOError:
                return False
            self._drop(done)
        return True

    def _try_write(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    def _keep(self, parts: list[memoryview]) -> int:
        """Let parts wait; how many of them have to."""
        filled = [part for part in parts if len(part)]
        self._pending.extend(filled)
        self.pending_bytes += sum(map(len, filled))
        if os.get_blocking(self._fd):
            self.flush()
        return len(filled)

    def _own_last(self, count: int) -> None:
        """Copy what waits, of the last parts, and can be changed: its owner was told it is sent."""
        for at in range(-min(count, len(self._pending)), 0):
            part = self._pending[at]
            if not isinstance(part.obj, bytes):
                self._pending[at] = copy = _fresh_memory(len(part))
                copy[:] = part

    def _drop(self, done: int) -> None:
        self.pending_bytes -= done
        self.written_bytes += done
        while done:
            first = self._pending[0]
            if len(first) > done:
                self._pending[0] = first[done:]
                return
            done -= len(first)
            self._pending.popleft()


def _fresh_memory(length: int) -> memoryview:
    if length < _BIG_BYTES:
        return memoryview(bytearray(length))
    from poolwise.wire.pages import fresh_memory

    return fresh_memory(length)
