"""Where the values of an imap end: a stream that is read as it comes."""

from __future__ import annotations

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
"""And by no more bytes than this, as far as the answers so far tell."""


class Raised:
    """Stands in a stream for a value: reading it raises."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Stream(Generic[T]):
    """Values that are read one by one, while later ones are still being worked on.

    :param is_ordered: read them in the order of the items, else as they come.
    :param buffer_size: at most so many items are handed out and not yet read (None: as many as
        keep the lanes busy).
    """

    def __init__(self, *, is_ordered: bool, buffer_size: int | None = None) -> None:
        self.ready: deque[T | Raised] = deque()
        self.is_over = False
        self.is_short = False
        self._is_ordered = is_ordered
        self._buffer_size = buffer_size
        self._early: dict[int, list[T | Raised]] = {}
        self._next = 0
        self.count_read = 0
        self._is_lifted = False
        self._is_ignored = False

    def has_news(self) -> bool:
        """A value is there, or none will come."""
        return bool(self.ready) or self.is_over

    def read(self) -> T | Raised:
        """The next value.

        :raises IndexError: none is there.
        """
        value = self.ready.popleft()
        self.count_read += 1
        return value

    def lift(self) -> None:
        """Look ahead without limit: somebody waits for the end of all, not for values."""
        self._is_lifted = True

    def ignore(self) -> None:
        """Nobody will read: let everything run, and keep nothing."""
        self._is_ignored = self._is_lifted = True
        self.ready.clear()

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

    def room(self, job: Job) -> int | None:
        if self._is_lifted:
            return None
        room = self.window(job) - (job.handed_out - self.count_read)
        self.is_short = room <= 0
        return max(0, room)

    def window(self, job: Job) -> int:
        """How many items may be handed out and not yet read."""
        if self._buffer_size is not None:
            return self._buffer_size
        window = _WINDOW_CHUNKS * job.lanes * max(1, job.sizer.size(None, job.lanes))
        if job.sizer.item_bytes:
            window = min(window, max(2 * job.lanes, int(_WINDOW_BYTES / job.sizer.item_bytes)))
        return window
