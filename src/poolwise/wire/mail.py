"""Messages with large buffers, as one end of a channel sends and opens them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from poolwise.wire import codec, frames, packing, parcel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from poolwise.wire.arena import Arena, Borrower, Deposit, Ends


class Mail:
    """Sends through a writer and an arena of this process; opens what the other end put in its own.

    ``lent`` says how often the other end has each block that it did not give back.

    :param open_ends: gives this process's ends of the two arenas, when they are first needed.
    """

    __slots__ = ("arena", "borrower", "lent", "open_ends", "packer", "writer")

    def __init__(self, writer: frames.FrameWriter, open_ends: Callable[[], Ends]) -> None:
        self.writer = writer
        self.open_ends: Callable[[], Ends] | None = open_ends
        self.arena: Arena | None = None
        self.borrower: Borrower | None = None
        self.lent: dict[int, int] = {}
        self.packer = packing.Packer()

    def send(
        self,
        kind: int,
        head: bytes,
        packed: parcel.Packed,
        placed: Mapping[int, Deposit] | None = None,
    ) -> None:
        """Send a message; blocks that nobody here looks at any more are given back with it.

        :param placed: buffers, by position, that are put down already.
        :raises BrokenPipeError: nobody reads any more.
        """
        before = b""
        if self.borrower is not None and self.borrower.freed:
            before = self._freed_frame(self.borrower)
        if isinstance(packed, bytes):
            self.writer.write(kind, (head, packed), before)
            return
        self._open_ends()
        if self.arena is None:
            places = [parcel.NOWHERE] * len(packed.parts)
        else:
            places = self._place(self.arena, packed, placed or {})
        self._note(places)
        parts = parcel.seal(head, packed, places, all_repeated=False)
        self.writer.write(kind | codec.BIG, parts, before)

    def _place(
        self, arena: Arena, packed: parcel.Parcel, placed: Mapping[int, Deposit]
    ) -> list[int]:
        first = len(packed.pieces)
        parts = packed.parts
        for at, deposit in placed.items():
            parts[first + at] = b""  # too short to be put down
            arena.hold(deposit.places)
        places = arena.place(parts)
        for at, deposit in placed.items():
            (places[first + at],) = deposit.places
        if placed:
            packed.repeated |= placed.keys()
        if arena.refusal is not None:
            self._say(arena)
        return places

    def send_deposit(self, kind: int, head: bytes, deposit: Deposit) -> None:
        """Send what is put down already, for several tasks of the other end.

        :raises BrokenPipeError: nobody reads any more.
        """
        self._open_ends()
        if self.arena is not None:
            blocks = [place for place in deposit.places if place != parcel.NOWHERE]
            self.arena.hold(blocks)
            self._note(blocks)
        parts = parcel.seal(head, deposit.parcel, deposit.places, all_repeated=True)
        self.writer.write(kind | codec.BIG, parts)

    def note_lent(self, blocks: Sequence[int]) -> None:
        """The other end was told of these blocks in some other way."""
        if blocks:
            self._open_ends()
            self._note(blocks)

    def open(self, payload: memoryview, at: int) -> parcel.Opened:
        """The parcel that begins at ``at``; its blocks are this process's to look at."""
        self._open_ends()
        try:
            return parcel.unseal(payload, at, self.borrower)
        except Exception:
            self.refuse(payload, at)
            raise

    def refuse(self, payload: memoryview, at: int) -> None:
        """Give the blocks of a parcel back unseen."""
        self._open_ends()
        if self.borrower is not None:
            self.borrower.freed.extend(parcel.blocks_in(payload, at))

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
        if self.borrower is not None:
            self.borrower.close()

    def _say(self, arena: Arena) -> None:
        from poolwise.wire.arena import warn_once

        refusal, arena.refusal = arena.refusal, None
        if refusal is not None:
            warn_once(refusal)

    def _open_ends(self) -> None:
        if self.open_ends is not None:
            self.arena, self.borrower = self.open_ends()
            self.open_ends = None

    def _note(self, blocks: Sequence[int]) -> None:
        lent = self.lent
        for block in blocks:
            if block != parcel.NOWHERE:
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

    def _freed_frame(self, borrower: Borrower) -> bytes:
        blocks = borrower.take_freed()
        return frames.frame(codec.FREED, struct.pack(f"<{len(blocks)}q", *blocks))


class Sealed:
    """A parcel that came by some other way, to be opened by who has the mail."""

    def __init__(self, sealed: bytes) -> None:
        self._sealed = sealed

    def open(self, mail: Mail) -> Any:
        """The value, once.

        :raises Exception: whatever unpickling raised.
        """
        sealed, self._sealed = memoryview(self._sealed), b""
        has_blocks = bool(parcel.blocks_in(sealed, 0))
        return codec.load_opened(mail.open(sealed, 0) if has_blocks else parcel.unseal(sealed, 0))
