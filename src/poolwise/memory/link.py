"""Messages with large buffers, as one end of a channel sends and opens them.

What a process is given at its start goes the same way. A forked process has it already. Into any
other it is pickled while that is being started, for locks and queues travel only then; and large
data in it through the arena, not through the pipe that the new interpreter reads its orders from.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from poolwise.system import descriptors
from poolwise.wire import codec, frames, pickling
from poolwise.wire.payload import (
    NO_BLOCK,
    BroadcastPayload,
    DecodedPayload,
    Packed,
    Payload,
    blocks_in,
    decode_payload,
    encode_payload,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from poolwise.memory.arena import Arena, ArenaReader, Ends, PoolMemory
    from poolwise.memory.segment import Segment


class MessageLink:
    """Sender of messages with large buffers, and reader of those that the other end sent.

    ``lent`` says how often the other end has each block that it did not give back.

    :param open_ends: gives this process's ends of the two arenas, when they are first needed.
    """

    __slots__ = ("arena", "lent", "open_ends", "reader", "writer")

    def __init__(self, writer: frames.FrameWriter, open_ends: Callable[[], Ends]) -> None:
        self.writer = writer
        self.open_ends: Callable[[], Ends] | None = open_ends
        self.arena: Arena | None = None
        self.reader: ArenaReader | None = None
        self.lent: dict[int, int] = {}

    def send(
        self,
        kind: int,
        head: bytes,
        packed: Packed,
        placed: Mapping[int, BroadcastPayload] | None = None,
    ) -> None:
        """Send a message; blocks that nobody here looks at any more are given back with it.

        :param placed: buffers, by position, that are put down already.
        :raises BrokenPipeError: nobody reads any more.
        """
        before = b""
        if self.reader is not None and self.reader.freed:
            before = self._freed_frame(self.reader)
        if isinstance(packed, bytes):
            self.writer.write(kind, (head, packed), before)
            return
        self._open_ends()
        places = self._place(packed, placed or {})
        self._note(places)
        self.writer.write(kind | codec.BIG, encode_payload(head, packed, places), before)

    def _place(self, packed: Payload, placed: Mapping[int, BroadcastPayload]) -> list[int]:
        """The block of each part: where it lies already, or one that it is copied into."""
        arena = self.arena
        if arena is None:
            return [NO_BLOCK] * len(packed.parts)
        if isinstance(packed, BroadcastPayload):
            arena.hold(packed.blocks)
            return packed.places
        first, parts = len(packed.pieces), packed.parts
        for at, stored in placed.items():
            parts[first + at] = b""  # too short to be put down
            arena.hold(stored.places)
        places = arena.place(parts)
        for at, stored in placed.items():
            (places[first + at],) = stored.places
        packed.repeated |= {first + at for at in placed}
        if arena.refusal is not None:
            self._say(arena)
        return places

    def record_lent(self, blocks: Sequence[int]) -> None:
        """Count blocks as lent that the other end was told of in some other way."""
        if blocks:
            self._open_ends()
            self._note(blocks)

    def open(self, payload: memoryview, at: int) -> DecodedPayload:
        """The payload that begins at ``at``; its blocks are this process's to look at."""
        self._open_ends()
        try:
            return decode_payload(payload, at, self.reader)
        except Exception:
            self.refuse(payload, at)
            raise

    def refuse(self, payload: memoryview, at: int) -> None:
        """Give the blocks of a payload back unseen."""
        self._open_ends()
        if self.reader is not None:
            self.reader.freed.extend(blocks_in(payload, at))

    def take_back(self, payload: memoryview) -> None:
        """The other end does not look at these blocks any more."""
        blocks = struct.unpack(f"<{len(payload) // 8}q", payload)
        self._return(blocks)

    def close(self) -> None:
        """The other end is gone: take back what it had, and let go of its memory.

        What was made of its blocks in this process stays valid.
        """
        self._open_ends()
        self._return([block for block, count in self.lent.items() for _ in range(count)])
        if self.reader is not None:
            self.reader.close()

    def _say(self, arena: Arena) -> None:
        from poolwise.memory.arena import warn_once

        refusal, arena.refusal = arena.refusal, None
        if refusal is not None:
            warn_once(refusal)

    def _open_ends(self) -> None:
        if self.open_ends is not None:
            self.arena, self.reader = self.open_ends()
            self.open_ends = None

    def _note(self, blocks: Sequence[int]) -> None:
        lent = self.lent
        for block in blocks:
            if block != NO_BLOCK:
                lent[block] = lent.get(block, 0) + 1

    def _return(self, blocks: Sequence[int]) -> None:
        lent = self.lent
        for block in blocks:
            if lent[block] > 1:
                lent[block] -= 1
            else:
                del lent[block]
        if self.arena is not None:
            self.arena.take_back(blocks)

    def _freed_frame(self, reader: ArenaReader) -> bytes:
        blocks = reader.take_freed()
        return frames.frame(codec.FREED, struct.pack(f"<{len(blocks)}q", *blocks))


class EncodedPayload:
    """Payload of a process that is being started, opened with its link."""

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded

    def open(self, link: MessageLink) -> Any:
        """The value, once.

        :raises Exception: whatever unpickling raised.
        """
        encoded, self._encoded = memoryview(self._encoded), b""
        has_blocks = bool(blocks_in(encoded, 0))  # else the arena need not be opened
        decoded = link.open(encoded, 0) if has_blocks else decode_payload(encoded, 0)
        return codec.load_payload(decoded)


class Handover:
    """Value for one process that is being started; ``blocks`` are lent to it then.

    :param memory: where large data goes; None: with the rest.
    """

    def __init__(self, value: Any, memory: PoolMemory | None) -> None:
        self._value = value
        self._memory = memory
        self.blocks: list[int] = []

    def open(self, _: MessageLink) -> Any:
        """The value, in the process that it is for."""
        value, self._value = self._value, None
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        payload = pickling.pack_to_spawn(self._value)
        places = [NO_BLOCK] * len(payload.parts)
        if self._memory is not None:
            payload = stored = self._memory.deposit(payload)
            places, self.blocks = stored.places, stored.blocks
            self._memory.hold(self.blocks)
        return EncodedPayload, (b"".join(encode_payload(b"", payload, places)),)


class WorkerEnds:
    """Pipes and segments of a new worker, on their way into it by any start method.

    :param task_fd: the worker reads its tasks here.
    :param result_fd: the worker answers here.
    :param life_fd: readable when the parent is gone (see :mod:`poolwise.system.lifeline`).
    :param memory: the segments of the parent's arena and of its own, or neither.
    """

    def __init__(
        self,
        task_fd: int,
        result_fd: int,
        life_fd: int,
        memory: tuple[Segment, ...] = (),
    ) -> None:
        self._fds: tuple[Any, ...] = (task_fd, result_fd, life_fd)
        self.memory = memory

    def __getstate__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        return tuple(map(DupFd, self._fds)), self.memory

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._fds, self.memory = state

    def take(self) -> tuple[int, int, int]:
        """In the worker: the descriptors, listed as this process's own."""
        task_fd, result_fd, life_fd = (
            descriptors.own(fd if isinstance(fd, int) else fd.detach()) for fd in self._fds
        )
        return task_fd, result_fd, life_fd
