"""Where the values of an imap end: a stream that is read as it comes."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from poolwise.core.job import Chunk, Job, News

T = TypeVar("T")

_WINDOW_CHUNKS = 4
"""A stream looks ahead by so many chunks for each lane: two on their way, two that wait to be read
(or for an earlier one to end). Fewer starve lanes where costs are uneven."""

_WINDOW_BYTES = 64 << 20
"""And by no more bytes than this, as far as the messages so far tell."""

_FEW = 1024
"""Items of a known weight that may be read ahead, whatever their cost: an input read by a thread of
its own should not have to hand the interpreter over for each."""

_NEVER = sys.maxsize


class Raised:
    """Stands in a stream for a value: reading it raises."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Stream(Generic[T]):
    """Values that are read one by one, while later ones are still being worked on.

    How far ahead of the reader others may be is counted in items: :meth:`window` of them may be
    handed out, and twice that may be read from the input. Whoever has to wait for the reader says
    so in ``tell_at``: once ``count_read`` is there, the reader calls :meth:`told` and wakes them.

    :param is_ordered: read them in the order of the items, else as they come.
    :param buffer_size: at most so many items are read whose values are not (None: as many as keep
        the lanes busy).
    """

    def __init__(self, *, is_ordered: bool, buffer_size: int | None = None) -> None:
        self.ready: deque[T | Raised] = deque()
        self.is_over = False
        self.count_read = 0
        self.tell_at = _NEVER
        self._is_ordered = is_ordered
        self._buffer_size = buffer_size
        self._early: dict[int, list[T | Raised]] = {}
        self._next = 0
        self._is_lifted = False
        self._is_ignored = False

    # -- the reader

    def has_news(self) -> bool:
        """A value is there, or none will come."""
        return bool(self.ready) or self.is_over

    def told(self) -> None:
        """Whoever waited for the reader is told now."""
        self.tell_at = _NEVER

    def lift(self) -> None:
        """Look ahead without limit: somebody waits for the end of all, not for values."""
        self._is_lifted = True

    def ignore(self) -> None:
        """Nobody will read: let everything run, and keep nothing."""
        self._is_ignored = self._is_lifted = True
        self.ready.clear()

    # -- the core

    def deliver(
        self, chunk: Chunk, first: int, values: Sequence[T], errors: dict[int, BaseException]
    ) -> News:
        if self._is_ignored:
            return ()
        marked: list[T | Raised] = list(values)
        for at, error in errors.items():
            marked[at] = Raised(error)
        if not self._is_ordered:
            self.ready.extend(marked)
            return ()
        self._early[chunk.start + first] = marked
        while (now := self._early.pop(self._next, None)) is not None:
            self.ready.extend(now)
            self._next += len(now)
        return ()

    def end(self, error: BaseException | None) -> News:
        if error is not None and not self._is_ignored:
            for start in sorted(self._early):
                self.ready.extend(self._early[start])
            self.ready.append(Raised(error))
        self.is_over = True
        return ()

    # -- looking ahead

    def room(self, job: Job) -> int | None:
        if self._is_lifted:
            return None
        window = self.window(job)
        if job.handed_out - self.count_read >= window:
            self._tell_after(window)  # and then look again: nobody tells of what was just read
        return max(0, window - (job.handed_out - self.count_read))

    def window(self, job: Job) -> int:
        """How many items may be handed out and not yet read."""
        if self._buffer_size is not None:
            return self._buffer_size
        window = _WINDOW_CHUNKS * job.lanes * max(1, job.sizer.size(None, job.lanes))
        if job.sizer.item_bytes:
            window = min(window, max(2 * job.lanes, int(_WINDOW_BYTES / job.sizer.item_bytes)))
        return window

    def room_in_input(self, job: Job, count_fed: int) -> int:
        """How many more items may be read from the input, of which so many were read."""
        if self._is_lifted:
            return _NEVER - count_fed
        window = self._input_window(job)
        self._tell_after(window)
        return self.count_read + window - count_fed

    def _input_window(self, job: Job) -> int:
        if self._buffer_size is not None:
            return self._buffer_size
        few = min(_FEW, int(_WINDOW_BYTES / job.sizer.item_bytes)) if job.sizer.item_bytes else 0
        return max(few, 2 * self.window(job))

    def _tell_after(self, window: int) -> None:
        """When a quarter of a window has been read; for each single item it would cost more."""
        self.tell_at = min(self.tell_at, self.count_read + max(1, window // 4))
