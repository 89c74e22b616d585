"""Stream of an imap's values, which is read as they come."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from poolwise.errors import never_ran

if TYPE_CHECKING:
    from poolwise.core.job import Chunk, Fed, Job, News

T = TypeVar("T")

_INPUT_BYTES = 64 << 20
"""And no more bytes than this: an input is read ahead to keep lanes busy, not to be stored."""

_NEVER = sys.maxsize


class Raised:
    """Stands in a stream for a value: reading it raises.

    :param item: the item, if its function was not called: it can be run elsewhere.
    """

    __slots__ = ("error", "item")

    def __init__(self, error: BaseException, item: object = None) -> None:
        self.error = error
        self.item = item


class Stream(Generic[T]):
    """Values that are read one by one, while later ones are still being worked on.

    Backpressure: no more is handed out while unread values, and those that are expected of what is
    under way, weigh ``most_bytes``; one value for each lane is always let through. Whoever has to
    wait for the reader says so in ``tell_at``: once ``count_read`` is there, the reader calls
    :meth:`told` and wakes them.

    :param is_ordered: read them in the order of the items, else as they come.
    :param buffer_size: at most so many items are read whose values are not (None: the limit is
        ``most_bytes``).
    """

    def __init__(
        self,
        *,
        is_ordered: bool,
        buffer_size: int | None = None,
        most_bytes: int = 1 << 30,
    ) -> None:
        self.ready: deque[T | Raised] = deque()
        self.is_over = False
        self.owner: object = None
        """Object that lives until no more values will come."""
        self.count_read = 0
        self.item_raised: object = None
        """Item of the last error that was read, if its function was not called."""
        self.tell_at = _NEVER
        self._is_ordered = is_ordered
        self._buffer_size = buffer_size
        self._most_bytes = most_bytes
        self._early: dict[int, tuple[list[T | Raised], int]] = {}
        self._next = 0
        self._count_delivered = self._count_ready = 0
        self._delivered_bytes = self._unread_bytes = 0
        self._weights: deque[tuple[int, int]] = deque()
        self._is_lifted = False
        self._is_ignored = False

    # -- the reader

    def has_news(self) -> bool:
        """A value is there, or none will come."""
        return bool(self.ready) or self.is_over

    def told(self) -> None:
        """Wake the thread that waited for the reader."""
        self.tell_at = _NEVER

    def lift(self) -> None:
        """Work ahead without limit: somebody waits for the end of all, not for values."""
        self._is_lifted = True

    def ignore(self) -> None:
        """Let everything run, and keep nothing: the results will not be read."""
        self._is_ignored = self._is_lifted = True
        self.ready.clear()

    # -- the core

    def deliver(
        self, chunk: Chunk, first: int, values: Sequence[T], errors: dict[int, BaseException]
    ) -> News:
        self._count_delivered += len(values)
        if self._is_ignored:
            return ()
        marked: list[T | Raised] = list(values)
        for at, error in errors.items():
            marked[at] = Raised(error, chunk.items[first + at] if never_ran(error) else None)
        nbytes, chunk.answer_bytes = chunk.answer_bytes, 0
        # Values of a thread have travelled in no message.
        # A small object and its place in a queue weigh so much beside its bytes.
        weight = len(values) * 64 + (nbytes or sum(map(sys.getsizeof, values)))
        self._delivered_bytes += weight
        self._unread_bytes += weight
        if not self._is_ordered:
            self._enqueue(marked, weight)
            return ()
        self._early[chunk.start + first] = marked, weight
        while (now := self._early.pop(self._next, None)) is not None:
            self._next += len(now[0])
            self._enqueue(*now)
        return ()

    def _enqueue(self, values: list[T | Raised], weight: int) -> None:
        self.ready.extend(values)
        self._count_ready += len(values)
        self._weights.append((self._count_ready, weight))

    def end(self, error: BaseException | None) -> News:
        """No more values; ``error`` is read in the place of the first that is missing.

        What was to come behind that place is dropped: it would be read in the place of another.
        """
        self._early.clear()
        if error is not None and not self._is_ignored:
            self.ready.append(Raised(error))
        self.is_over = True
        self.owner = None
        return ()

    # -- working ahead

    def room(self, job: Job) -> int | None:
        """Number of items that may still be handed out now (None: any number)."""
        if self._is_lifted:
            return None
        if self._buffer_size is not None:
            return self._room_in_buffer(job, job.handed_out, self._buffer_size)
        if not self._count_delivered:
            return None  # chunks are single items until there is something to weigh
        if (room := self._room_in_memory(job)) <= 0:
            self._tell_after(job.handed_out - self.count_read)
            room = self._room_in_memory(job)  # again: nobody tells of what was just read
        return max(0, room)

    def _room_in_memory(self, job: Job) -> int:
        weights = self._weights
        while weights and weights[0][0] <= self.count_read:
            self._unread_bytes -= weights.popleft()[1]
        each = max(self._delivered_bytes / self._count_delivered, job.sizer.item_bytes)
        under_way = (job.handed_out - self._count_delivered) * each
        room = int((self._most_bytes - self._unread_bytes - under_way) / each)
        # However heavy values are, there is one for each lane: else nothing would ever come.
        return max(room, job.lanes - (job.handed_out - self.count_read))

    def room_in_input(self, job: Job, source: Fed) -> int:
        """Number of items that may still be read from the input."""
        if self._buffer_size is not None and not self._is_lifted:
            return self._room_in_buffer(job, source.count_fed, self._buffer_size)
        each, lanes = job.sizer.item_bytes, job.lanes
        # For each lane two chunks on their way, and twice as many again: fewer starve lanes
        # where costs are uneven.
        ahead = 8 * lanes * max(1, job.sizer.size(None, lanes))
        if each:
            light = int(_INPUT_BYTES / each)
            # 1024 light items whatever they cost: a thread that reads the input should not
            # hand the interpreter over for each.
            ahead = max(min(ahead, max(2 * lanes, light)), min(1024, light), source.unit)
        if source.waiting_bytes > _INPUT_BYTES and source.has_items:
            return 0
        return ahead - len(source.items)

    def _room_in_buffer(self, job: Job, count: int, size: int) -> int:
        if count - self.count_read >= size:
            # Only what was handed out can be read: the rest may be less than a unit.
            self._tell_after(min(size, job.handed_out - self.count_read))
        return max(0, self.count_read + size - count)

    def _tell_after(self, unread: int) -> None:
        """Report room when a quarter has been read: to do so for each item costs too much."""
        self.tell_at = min(self.tell_at, self.count_read + max(1, unread // 4))
