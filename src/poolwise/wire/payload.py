"""Payloads: a pickle in pieces and the buffers that it leaves out, and how they lie in a frame.

What is large goes through an arena (one copy in, and the receiver works on the block), or where
there is no room behind the table in the same frame. Payload of such a frame: a head of the
message's own, a table that says where each piece and each buffer lies, and those that lie here.

What several tasks are given is put down once. Each of them gets memory of its own all the same:
the block is mapped anew for each, and a page is copied when it is first written to.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from poolwise.system.limits import setting_bytes

if TYPE_CHECKING:
    from collections import deque

NO_BLOCK = -1
"""Stands for the offset of a block that could not be had."""

LEAST_BLOCK_BYTES = setting_bytes("POOLWISE_SHARE_FROM_BYTES", 64 * 1024)
"""Shorter parts travel in the frame (``benchmarks/payload_threshold``; ``poolwise bench`` finds
this machine's own)."""

_ALIGN = 64
"""Alignment of buffers in a frame: some libraries want the width of a vector register."""

_HERE, _REPEATED = 1, 2
"""Flags of an entry: behind the table, else in a block; looked at several times, else once."""

_COUNTS = struct.Struct("<qq")
_ENTRY = struct.Struct("<qqq")

Part = bytes | memoryview


class Payload:
    """A value on its way: its pickle in pieces, and the memory that the pickle leaves out.

    :param repeated: positions among :attr:`parts` of what is for several tasks.
    """

    __slots__ = ("buffers", "pieces", "repeated")

    def __init__(
        self, pieces: Sequence[Part], buffers: Sequence[Part], repeated: Iterable[int] = ()
    ) -> None:
        self.pieces = pieces
        self.buffers = buffers
        self.repeated = frozenset(repeated)

    @property
    def parts(self) -> list[Part]:
        """Pieces, then buffers."""
        return [*self.pieces, *self.buffers]

    def __len__(self) -> int:
        """Bytes that travel, by whatever way; of a small pickle ``len`` says the same."""
        return sum(map(len, self.parts))


class BroadcastPayload(Payload):
    """A payload that is stored once and sent to many; its blocks go with the last who has them.

    :param places: for each part, the block it lies in or :data:`NO_BLOCK`. What has none is copied:
        its owner may change it while this lives.
    :param let_go: takes the blocks when this is gone.
    """

    __slots__ = ("_let_go", "places")

    def __init__(self, payload: Payload, places: list[int], let_go: deque[int]) -> None:
        parts = [
            bytes(part) if place == NO_BLOCK and isinstance(part, memoryview) else part
            for part, place in zip(payload.parts, places, strict=True)
        ]
        count = len(payload.pieces)
        super().__init__(parts[:count], parts[count:], range(len(parts)))
        self.places = places
        self._let_go = let_go

    @property
    def blocks(self) -> list[int]:
        """Those that it lies in."""
        return [place for place in self.places if place != NO_BLOCK]

    def __del__(self) -> None:
        self._let_go.extend(self.blocks)


Packed = bytes | Payload
"""A pickle, where that is short and all; else a payload."""


class Source(Protocol):
    """Memory that is looked at several times."""

    def view(self) -> memoryview:
        """As it was sent, for one to whom it shall belong alone."""


class BlockSource(Protocol):
    """Opens blocks that another process has filled; see `memory.arena.ArenaReader`."""

    def view(self, offset: int, length: int) -> memoryview:
        """The block, for one."""

    def share(self, offset: int, length: int) -> Source:
        """The block, for several."""


class _FrameBuffer:
    """Memory that arrived in a frame: everybody gets a copy."""

    def __init__(self, part: memoryview) -> None:
        self._part = part

    def view(self) -> memoryview:
        return memoryview(bytearray(self._part))


BufferRef = memoryview | Source
"""Memory that is looked at once, or several times."""


def view_of(look: BufferRef) -> memoryview:
    """The memory, writable and its receiver's own."""
    return look if isinstance(look, memoryview) else look.view()


class DecodedPayload:
    """A payload that has arrived: its pickle, the buffers that were left out, the size of all."""

    __slots__ = ("buffers", "nbytes", "pieces")

    def __init__(self, pieces: list[BufferRef], buffers: list[BufferRef], nbytes: int) -> None:
        self.pieces = pieces
        self.buffers = buffers
        self.nbytes = nbytes


def encode_payload(head: bytes, payload: Payload, places: Sequence[int]) -> list[Part]:
    """The parts of a frame.

    :param head: what stands before the payload.
    :param places: for each piece, then each buffer, the block it lies in or :data:`NO_BLOCK`.
    """
    table, here = [len(payload.pieces), len(payload.buffers)], []
    for at, part in enumerate(payload.parts):
        place = places[at]
        way = 0
        if place == NO_BLOCK:
            way = _HERE
            here.append(part)
        if at in payload.repeated:
            way |= _REPEATED
        table += (way, place, len(part))
    sealed: list[Part] = [head, struct.pack(f"<{len(table)}q", *table)]
    length = len(head) + len(sealed[1])
    for part in here:
        gap = -length % _ALIGN
        sealed += (bytes(gap), part)
        length += gap + len(part)
    return sealed


def decode_payload(
    payload: memoryview, at: int, reader: BlockSource | None = None
) -> DecodedPayload:
    """Decode the payload that begins at ``at``.

    :raises OutOfSharedMemory: the arena cannot be mapped here.
    """
    count, table, at = _table(payload, at)
    looks: list[BufferRef] = []
    total = 0
    for way, offset, length in table:
        total += length
        if way & _HERE:
            at += -at % _ALIGN
            part = payload[at : at + length]
            at += length
            if way & _REPEATED:
                looks.append(_FrameBuffer(part))
            else:
                looks.append(part if len(looks) < count else _own(part))
        else:
            assert reader is not None  # noqa: S101 - who has no arena is sent no block
            open_block = reader.share if way & _REPEATED else reader.view
            looks.append(open_block(offset, length))
    return DecodedPayload(looks[:count], looks[count:], total)


def blocks_in(payload: memoryview, at: int) -> list[int]:
    """The blocks that a payload speaks of, without opening it."""
    return [offset for way, offset, _ in _table(payload, at)[1] if not way & _HERE]


def _table(payload: memoryview, at: int) -> tuple[int, list[tuple[int, int, int]], int]:
    """Decode the table: the number of pieces, all entries, and where it ends."""
    pieces, buffers = _COUNTS.unpack_from(payload, at)
    at += _COUNTS.size
    end = at + _ENTRY.size * (pieces + buffers)
    return pieces, list(_ENTRY.iter_unpack(payload[at:end])), end


def _own(part: memoryview) -> memoryview:
    """The part of a frame as memory that may be written to: small frames share theirs."""
    return memoryview(bytearray(part)) if part.readonly else part
