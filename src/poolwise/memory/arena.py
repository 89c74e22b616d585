"""Arenas: shared memory of one process, lent block by block to whatever others make of it.

Each direction of a lane has its own arena, with one owner: the parent owns the memory that
arguments travel in, each worker the memory of its results. Only the owner decides where a block
lies; the other side tells it, with its next message, which blocks nobody looks at any more. So no
lock is shared, and what a killed worker held can be taken back by the owner.

An arena is a range of addresses at first. It takes memory when it is used, and keeps what it has:
memory touched for the first time costs ten times what copying into it costs.
"""

from __future__ import annotations

import os
import time
import warnings
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from poolwise.errors import OutOfSharedMemory
from poolwise.memory import views
from poolwise.memory.blocks import Blocks, block_size
from poolwise.memory.segment import Segment
from poolwise.memory.segment_posix import GRAIN_BYTES, forget_changes
from poolwise.system.limits import shared_limit_bytes
from poolwise.wire.payload import LEAST_BLOCK_BYTES as LEAST_BLOCK_BYTES  # noqa: PLC0414 - set by benchmarks
from poolwise.wire.payload import NO_BLOCK, BroadcastPayload, Payload

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Mapping as Mapping_

    from poolwise.memory.segment_posix import Mapping
    from poolwise.wire.payload import Part

_ARGUMENTS_SHARE = 4
_RESULTS_SHARE = 8
"""Arenas may grow to one quarter, and one eighth for each worker, of the machine's memory."""

_ROOM_BYTES = 32 << 20
_ROOM_S = 0.5
"""Once the limits on memory have been asked, so much may be taken and so long it holds; what is
left must be more than that. Found by no benchmark."""

_TRIM_S = 5.0
"""An arena in use shrinks this often by half of what it did not need; found by no benchmark."""

_arena_ends: weakref.WeakSet[_ArenaEnd] = weakref.WeakSet()


def _aligned(size_bytes: int) -> int:
    return size_bytes - size_bytes % GRAIN_BYTES


class _ArenaEnd:
    """End of an arena in one process, mapped when the first block passes.

    A process forked from this one gets a copy that it has no use for, and gives it up.
    """

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self._mapping: Mapping | None = None
        _arena_ends.add(self)

    def close(self) -> None:
        """Let go of the memory; views that exist stay valid and keep what they show."""
        self._let_go_of_memory()

    def prepare_fork(self) -> None:
        """Protect what a forked process is going to look at from changes."""

    def _let_go_of_memory(self) -> None:
        self.segment.close()
        mapping, self._mapping = self._mapping, None
        if mapping is not None:
            try:
                mapping.close()
            except BufferError:
                pass  # somebody looks at a block: the mapping ends with the last view

    def _mapped(self) -> Mapping:
        if self._mapping is None:
            self._mapping = self.segment.map()
        return self._mapping


def _prepare_fork() -> None:
    for end in list(_arena_ends):
        end.prepare_fork()


def _close_copies() -> None:
    for end in list(_arena_ends):
        end._let_go_of_memory()  # noqa: SLF001 - its own module
    _arena_ends.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_prepare_fork, after_in_child=_close_copies)


class Arena(_ArenaEnd):
    """The owner's end: puts data into blocks and takes them back.

    :param segment: the memory; its size is how far the arena may grow.
    """

    def __init__(self, segment: Segment) -> None:
        super().__init__(segment)
        self._blocks = Blocks(segment.size_bytes, GRAIN_BYTES)
        self._more_holds: dict[int, int] = {}
        self._let_go: deque[int] = deque()
        self._room_bytes = 0
        self._room_until_s = 0.0
        self._trim_at_s = time.monotonic() + _TRIM_S
        self.refusal: OutOfSharedMemory | None = None
        """Limit that was the reason why the last block could not be had."""

    def __repr__(self) -> str:
        return f"<Arena {self._blocks!r}>"

    @property
    def lent_bytes(self) -> int:
        """Bytes lent now."""
        return self._blocks.lent_bytes

    def put(self, data: memoryview) -> int:
        """Copy ``data`` (bytes) into a block and lend it: its offset, or :data:`NO_BLOCK`."""
        taken = self._blocks.take(data.nbytes)
        if taken is None:
            return NO_BLOCK
        offset, is_fresh = taken
        try:
            if is_fresh:
                self._fill_fresh(offset, data)
            else:
                self._fill(offset, data)
        except OutOfSharedMemory as refusal:
            self._blocks.forget(offset)
            self.refusal = refusal
            return NO_BLOCK
        return offset

    def place(self, parts: Iterable[Part]) -> list[int]:
        """Put down what is large enough: an offset or :data:`NO_BLOCK` for each part."""
        if self._let_go:
            self.take_back(_drained(self._let_go))
        if time.monotonic() >= self._trim_at_s:
            self._trim()
        return [
            NO_BLOCK if len(part) < LEAST_BLOCK_BYTES else self.put(memoryview(part))
            for part in parts
        ]

    def deposit(self, payload: Payload) -> BroadcastPayload:
        """Store a payload for as long as the answer lives, to be sent to several lanes."""
        return BroadcastPayload(payload, self.place(payload.parts), self._let_go)

    def hold(self, offsets: Iterable[int]) -> None:
        """Lend blocks once more."""
        for offset in offsets:
            self._more_holds[offset] = self._more_holds.get(offset, 0) + 1

    def take_back(self, offsets: Iterable[int]) -> None:
        """Return blocks that one reader does not look at any more.

        :raises NoSuchBlock: one of them is not lent.
        """
        for offset in offsets:
            more = self._more_holds.pop(offset, 0)
            if not more:
                self._blocks.give_back(offset)
            elif more > 1:
                self._more_holds[offset] = more - 1

    def _fill(self, offset: int, data: memoryview) -> None:
        with memoryview(self._mapped()) as whole:
            whole[offset : offset + data.nbytes] = data

    def _fill_fresh(self, offset: int, data: memoryview) -> None:
        """Fill a block whose memory is only now taken from the system.

        Written, not mapped: 100 MB take 26 ms and not 95, and the reader finds the pages made.
        """
        self._hand_back_dropped()
        size = self._blocks.size_of(data.nbytes)
        self._check_room(size)
        self.segment.write(offset, data)
        end = offset + data.nbytes + -data.nbytes % GRAIN_BYTES
        if end < offset + size:
            self.segment.allocate(end, offset + size - end)

    def _trim(self) -> None:
        """Let some of what was not needed lately go back to the system."""
        self._trim_at_s = time.monotonic() + _TRIM_S
        self._blocks.trim()
        try:
            self._hand_back_dropped()
        except OutOfSharedMemory:
            pass  # it cannot be mapped here, and so not be handed back

    def _check_room(self, size: int) -> None:
        """Ask the limits, which takes 0.5 ms, and then not again for some memory and some time."""
        now_s = time.monotonic()
        if size > self._room_bytes or now_s > self._room_until_s:
            # If this is refused, the data goes through a pipe and is in memory three times: pickled
            # here, received there, and rebuilt. That much must be left when the room is used up.
            self.segment.check_room(size + _ROOM_BYTES + 3 * size)
            self._room_bytes = size + _ROOM_BYTES
            self._room_until_s = now_s + _ROOM_S
        self._room_bytes -= size

    def _hand_back_dropped(self) -> None:
        """Give memory that the blocks no longer want back to the system, if it takes it."""
        import mmap

        dropped, self._blocks.dropped = self._blocks.dropped, []
        if not dropped:
            return
        remove = getattr(mmap, "MADV_REMOVE", None)
        if remove is not None:
            for start, end in dropped:
                self._mapped().madvise(remove, start, end - start)


class ArenaReader(_ArenaEnd):
    """The other end: looks at blocks, and notes which it does not look at any more.

    ``freed`` holds the offsets of those; whoever sends the next message takes them along.
    """

    def __init__(self, segment: Segment) -> None:
        super().__init__(segment)
        self.freed: deque[int] = deque()
        self._viewed: dict[int, int] = {}
        self._shares: weakref.WeakSet[SharedBlock] = weakref.WeakSet()

    def close(self) -> None:
        """The other end is gone. What is still looked at goes with its last view."""
        if not self._viewed:
            super().close()

    def view(self, offset: int, length: int) -> memoryview:
        """The block, for this process alone to read and to write until the last view is gone.

        :raises OutOfSharedMemory: there are no addresses left to map it at.
        """
        mapping = self._mapped()
        self._viewed[offset] = length
        return views.lend(mapping, offset, length, lambda: self._free(offset))

    def _free(self, offset: int) -> None:
        if self._viewed.pop(offset, None) is not None:
            self.freed.append(offset)

    def share(self, offset: int, length: int) -> SharedBlock:
        """The block, for several of this process to look at, each as if alone."""
        share = SharedBlock(self, offset, length)
        self._shares.add(share)
        return share

    def prepare_fork(self) -> None:
        """Make all views private; blocks that are looked at are never given back from now on.

        A forked process may look at them for as long as it lives, and nobody hears when it ends.
        """
        if not self._viewed and not self._shares:
            return
        from poolwise.memory.forking import make_private

        for offset in list(self._viewed):
            length = self._viewed.pop(offset, None)
            if length is not None:
                size = block_size(length, GRAIN_BYTES)
                make_private(self._mapped(), self.segment.fd, offset, size)
        for share in self._shares:
            share.is_pinned = True

    def take_freed(self) -> list[int]:
        """The blocks to be given back, each as often as it was sent."""
        return _drained(self.freed)


class SharedBlock:
    """A block that many look at; each may write, and only he sees what he wrote.

    It is freed when neither this nor any view of it is left, unless it is pinned.
    """

    __slots__ = ("__weakref__", "_idle", "_length", "_offset", "_reader", "is_pinned")

    def __init__(self, reader: ArenaReader, offset: int, length: int) -> None:
        self._reader = reader
        self._offset = offset
        self._length = length
        self._idle: deque[Mapping] = deque()
        self.is_pinned = False

    def __del__(self) -> None:
        if not self.is_pinned:
            self._reader.freed.append(self._offset)

    def view(self) -> memoryview:
        """The block as it was sent, for one to whom it shall belong alone.

        :raises OutOfSharedMemory: no addresses are left.
        """
        mapping = self._clean_mapping()
        return views.lend(mapping, 0, self._length, lambda: self._idle.append(mapping))

    def _clean_mapping(self) -> Mapping:
        if self._idle:
            mapping = self._idle.popleft()
            if forget_changes(mapping):
                return mapping
        size = block_size(self._length, GRAIN_BYTES)
        return self._reader.segment.map("c", self._offset, size)


def _shown_of(buffer: Part, common: Mapping_[int, Any]) -> int | None:
    """The ``id`` of the array whose whole memory this is, if it is a common one."""
    owner = buffer.obj if isinstance(buffer, memoryview) else None
    for array in (owner, getattr(owner, "base", None)):  # Fortran's order is seen through a view
        if id(array) in common and common[id(array)].nbytes == len(buffer):
            return id(array)
    return None


_said: set[str] = set()


def warn_once(refusal: OutOfSharedMemory) -> None:
    """Say, once in this process, that large data takes a slower way, and why."""
    if _said:
        return
    _said.add(str(refusal))
    message = f"large arguments and results go through pipes, which is slower: {refusal}"
    try:
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    except RuntimeWarning:  # made an error by the program: not one that may strike in here
        import logging

        logging.getLogger("poolwise").warning(message)


def _drained(queue: deque[int]) -> list[int]:
    """Take all out of a queue that other threads may add to."""
    taken = []
    while queue:
        taken.append(queue.popleft())
    return taken


Ends = tuple[Arena | None, ArenaReader | None]
"""Ends that one process has of the two arenas of a lane; both or neither."""


def open_ends(memory: tuple[Segment, ...]) -> Ends:
    """In a worker: its end of the parent's arena, and its own."""
    if not memory:
        return None, None
    arguments, results = memory
    return Arena(results), ArenaReader(arguments)


class PoolMemory:
    """The shared memory of one pool: an arena for arguments, and one for each worker's results.

    Where the system refuses it, big data goes through the pipes.
    """

    def __init__(self) -> None:
        self._refusal: OutOfSharedMemory | None = None
        segment = self._create(_ARGUMENTS_SHARE)
        self._arena = None if segment is None else Arena(segment)

    def say_refusal(self) -> None:
        """Warn if there is no shared memory for something large that is to be moved."""
        if self._refusal is not None:
            warn_once(self._refusal)

    def for_lane(self) -> tuple[tuple[Segment, ...], Ends]:
        """Segments for a new worker (closed here afterwards), and this process's ends of them."""
        results = self._create(_RESULTS_SHARE) if self._arena is not None else None
        if self._arena is None or results is None:
            return (), (None, None)
        reader = ArenaReader(results)
        try:
            return (self._arena.segment.duplicate(), results.duplicate()), (self._arena, reader)
        except OSError as error:
            self._refusal = OutOfSharedMemory(f"no descriptor is left for it: {error.strerror}")
            reader.close()
            return (), (None, None)

    def deposit(self, payload: Payload) -> BroadcastPayload:
        """Store a payload, to be sent to several lanes."""
        if self._arena is None:
            return BroadcastPayload(payload, [NO_BLOCK] * len(payload.parts), deque())
        return self._arena.deposit(payload)

    def hold(self, blocks: Iterable[int]) -> None:
        """Lend blocks once more."""
        if self._arena is not None:
            self._arena.hold(blocks)

    def take_back(self, blocks: Iterable[int]) -> None:
        """Return blocks that one reader never got."""
        if self._arena is not None:
            self._arena.take_back(blocks)

    def find_deposits(
        self, payload: Payload, common: Mapping_[int, Any], deposits: dict[int, BroadcastPayload]
    ) -> dict[int, BroadcastPayload]:
        """Those of a payload's buffers, by position, that show something common, put down once.

        :param common: what stays as it is, by ``id``.
        :param deposits: what was put down for it, by the same; more may be added.
        """
        found: dict[int, BroadcastPayload] = {}
        for at, buffer in enumerate(payload.buffers):
            key = _shown_of(buffer, common)
            if key is None or self._arena is None:
                continue
            if key not in deposits:
                deposits[key] = self._arena.deposit(Payload([], [buffer]))
            if deposits[key].places != [NO_BLOCK]:
                found[at] = deposits[key]
        return found

    def close(self) -> None:
        """Let go of the arena for arguments; workers that live keep what they have."""
        if self._arena is not None:
            self._arena.close()

    def _create(self, share: int) -> Segment | None:
        try:
            return Segment.create(_aligned(shared_limit_bytes(share)), findable=False)
        except OutOfSharedMemory as refusal:
            self._refusal = refusal
            return None
