"""Parcels: a pickle and the big buffers that travel beside it.

A pickle of protocol 5 can leave out the memory that numpy arrays, frames and the like hand to it.
What is large then goes through an arena (one copy in, and the receiver works on the block), or
where there is no room behind the pickle in the same frame. Payload of such a frame: a head of the
message's own, a table that says where each buffer lies, the pickle, the buffers that lie here.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poolwise.wire.arena import Borrower

LEAST_BYTES = 32 * 1024
"""A smaller buffer stays in the pickle."""

NOWHERE = -1
"""Stands for the offset of a block that could not be had."""

_ALIGN = 64
"""Where buffers begin in a frame: some libraries want the width of a vector register."""

_COUNTS = struct.Struct("<qq")

Packed = tuple[bytes, list[memoryview]]
"""A pickle and the buffers that it leaves out."""

Opened = tuple[memoryview, list[memoryview]]
"""The pickle of a parcel and its buffers."""

Part = bytes | memoryview


class Aside:
    """Collects the large buffers of a pickle, as its ``buffer_callback``."""

    __slots__ = ("buffers",)

    def __init__(self) -> None:
        self.buffers: list[memoryview] = []

    def __call__(self, buffer: pickle.PickleBuffer) -> bool:
        """True leaves the buffer in the pickle."""
        try:
            raw = buffer.raw()
        except BufferError:
            return True  # not contiguous: the pickler will say so
        if raw.nbytes < LEAST_BYTES:
            return True
        self.buffers.append(raw)
        return False


def seal(
    head: bytes, packed: Packed, put: Callable[[memoryview], int] | None
) -> tuple[list[Part], list[int]]:
    """The parts of a frame, and the blocks that they speak of.

    :param head: what stands before the parcel.
    :param put: puts a buffer into an arena, or answers :data:`NOWHERE`; None where there is none.
    """
    pickled, buffers = packed
    places = [NOWHERE if put is None else put(buffer) for buffer in buffers]
    table = [at for pair in zip(places, (b.nbytes for b in buffers), strict=True) for at in pair]
    parts: list[Part] = [
        head,
        _COUNTS.pack(len(buffers), len(pickled)),
        struct.pack(f"<{len(table)}q", *table),
        pickled,
    ]
    length = sum(map(len, parts))
    for buffer, place in zip(buffers, places, strict=True):
        if place == NOWHERE:
            gap = -length % _ALIGN
            parts += [bytes(gap), buffer]
            length += gap + buffer.nbytes
    return parts, [place for place in places if place != NOWHERE]


def unseal(payload: memoryview, at: int, borrower: Borrower | None) -> Opened:
    """The pickle of a parcel that begins at ``at``, and its buffers, each the receiver's own.

    :raises OutOfSharedMemory: the arena cannot be mapped here.
    """
    count, length = _COUNTS.unpack_from(payload, at)
    at += _COUNTS.size
    table = struct.unpack_from(f"<{2 * count}q", payload, at)
    at += 16 * count
    pickled = payload[at : at + length]
    at += length
    buffers = []
    for offset, size in zip(table[::2], table[1::2], strict=True):
        if offset == NOWHERE:
            at += -at % _ALIGN
            buffers.append(_own(payload[at : at + size]))
            at += size
        else:
            assert borrower is not None  # noqa: S101 - who has no arena is sent no block
            buffers.append(borrower.view(offset, size))
    return pickled, buffers


def blocks_in(payload: memoryview, at: int) -> list[int]:
    """The blocks that a parcel speaks of, without opening it."""
    count, _ = _COUNTS.unpack_from(payload, at)
    offsets = struct.unpack_from(f"<{2 * count}q", payload, at + _COUNTS.size)[::2]
    return [offset for offset in offsets if offset != NOWHERE]


def loads(pickled: Part, buffers: Sequence[memoryview]) -> Any:
    """Unpickle with the buffers that were left out."""
    return pickle.loads(pickled, buffers=buffers)


def size_of(packed: Packed) -> int:
    """Bytes that travel, by whatever way."""
    return len(packed[0]) + sum(buffer.nbytes for buffer in packed[1])


def _own(part: memoryview) -> memoryview:
    """The part of a frame as memory that may be written to: small frames share theirs."""
    return memoryview(bytearray(part)) if part.readonly else part
