"""Bookkeeping of the parts of an arena that are lent; no memory is touched here.

Blocks come in sizes of eight steps a doubling and are given back to a stack of their size, so
that the next one is the one used last: its pages exist and are in the caches. Everything else
follows from one number: memory touched for the first time costs some ten times what copying into
it costs. So a block up to twice as large is taken before fresh memory is; what is free returns to
the system slowly; and neighbours are only joined when nothing else is left.
"""

from __future__ import annotations

STEPS_PER_DOUBLING = 8
"""A block is at most 1/8 larger than what was asked for, 1/16 on average."""

KEPT_BYTES = 16 << 20
"""A trim never goes below this; found by no benchmark."""


Range = tuple[int, int]
"""Begin and end of some memory."""


class NoSuchBlock(ValueError):
    """A block was given back that is not lent: a second time, or by a stranger."""


def block_size(length: int, grain_bytes: int) -> int:
    """The size of the smallest block for ``length`` bytes."""
    step = max(grain_bytes, 1 << max(0, length - 1).bit_length() >> 4)
    return max(step, -(-length // step) * step)


class Blocks:
    """Hands out ranges of ``limit_bytes`` of memory, in multiples of ``grain_bytes``.

    Memory is *reserved* from when a block is first carved out of it until it is dropped again.
    What was dropped waits in :attr:`dropped`: its owner hands it back to the system before it
    touches any block lent afterwards.

    :param limit_bytes: the size of the memory.
    :param grain_bytes: each block begins and ends at a multiple of this, a power of two.
    """

    def __init__(self, limit_bytes: int, grain_bytes: int) -> None:
        self.limit_bytes = limit_bytes - limit_bytes % grain_bytes
        self.lent_bytes = 0
        self.reserved_bytes = 0
        self.dropped: list[Range] = []
        self._grain_bytes = grain_bytes
        self._lent: dict[int, int] = {}
        self._stacks: dict[int, list[int]] = {}
        self._unreserved = [(0, self.limit_bytes)]
        self._peak_bytes = 0
        self._last_peak_bytes = 0

    def __repr__(self) -> str:
        return (
            f"<Blocks: {len(self._lent)} lent ({self.lent_bytes} bytes), "
            f"{self.reserved_bytes} of {self.limit_bytes} bytes reserved>"
        )

    def __len__(self) -> int:
        return len(self._lent)

    def size_of(self, length: int) -> int:
        """The size of the block that ``length`` bytes are put into."""
        return block_size(length, self._grain_bytes)

    def take(self, length: int) -> tuple[int, bool] | None:
        """Lend a block: its offset, and whether its memory must be reserved before use.

        :return: None when no free range is long enough.
        """
        size = self.size_of(length)
        used = self._pop_used(size)
        if used is not None:
            return used, False
        fresh = self._carve(size)
        if fresh is None and self._stacks:
            self._drop([(o, o + size) for size, stack in self._stacks.items() for o in stack])
            self._stacks.clear()
            fresh = self._carve(size)
        return None if fresh is None else (fresh, True)

    def give_back(self, offset: int) -> None:
        """Take back a block that was lent.

        :raises NoSuchBlock: it is not lent.
        """
        size = self._lent.pop(offset, None)
        if size is None:
            message = f"no block at {offset} is lent: was it given back twice?"
            raise NoSuchBlock(message)
        self.lent_bytes -= size
        self._stacks.setdefault(size, []).append(offset)

    def forget(self, offset: int) -> None:
        """Take back a block that was lent and whose memory could not be reserved.

        :raises NoSuchBlock: it is not lent.
        """
        self.give_back(offset)
        size = next(size for size, stack in self._stacks.items() if stack[-1:] == [offset])
        self._stacks[size].pop()
        self._drop([(offset, offset + size)])

    def trim(self) -> None:
        """Drop half of what was not needed since the last call but one, the largest blocks first.

        Called every few seconds, it lets an idle arena shrink by halves and leaves a busy one
        alone.
        """
        surplus = self.reserved_bytes - max(self._peak_bytes, self._last_peak_bytes, KEPT_BYTES)
        self._last_peak_bytes, self._peak_bytes = self._peak_bytes, self.lent_bytes
        goal, ranges = surplus - surplus // 2, []
        for size in sorted(self._stacks, reverse=True):
            stack = self._stacks[size]
            while stack and goal > 0 and size <= surplus:
                offset = stack.pop(0)  # the bottom: unused for longest
                ranges.append((offset, offset + size))
                goal, surplus = goal - size, surplus - size
        self._drop(ranges)

    def _pop_used(self, size: int) -> int | None:
        """A free block of this size, or else the smallest one that is at most twice as large."""
        wanted = size
        while wanted <= 2 * size:
            stack = self._stacks.get(wanted)
            if stack:
                return self._lend(stack.pop(), wanted)
            wanted = self.size_of(wanted + 1)
        return None

    def _carve(self, size: int) -> int | None:
        """Cut a block off the lowest unreserved range that is long enough."""
        for at, (start, end) in enumerate(self._unreserved):
            if end - start >= size:
                self._unreserved[at] = (start + size, end)
                self.reserved_bytes += size
                return self._lend(start, size)
        return None

    def _lend(self, offset: int, size: int) -> int:
        self._lent[offset] = size
        self.lent_bytes += size
        self._peak_bytes = max(self._peak_bytes, self.lent_bytes)
        return offset

    def _drop(self, ranges: list[Range]) -> None:
        """Make ranges unreserved again; those that touch become one."""
        joined: list[Range] = []
        for start, end in sorted([*self._unreserved, *ranges]):
            if joined and joined[-1][1] == start:
                joined[-1] = (joined[-1][0], end)
            elif start < end:
                joined.append((start, end))
        self._unreserved = joined
        self.dropped += ranges
        self.reserved_bytes -= sum(end - start for start, end in ranges)
