"""The items of one call: read once, in order, by whoever runs them at the moment."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, cycle, islice, repeat
from operator import length_hint
from typing import Any

_EXACT = frozenset({list, tuple, range, str, bytes, set, frozenset, dict, deque})
"""Built-in containers whose length is what they yield."""


class Intake:
    """Reads the caller's items, and knows which of them are on their way.

    ``taken`` counts what was read, ``is_ended`` says that there are no more.

    :param is_numbered: each item comes with its position before it.
    :raises TypeError: it cannot be iterated over.
    """

    def __init__(self, items: Iterable[Any], *, is_numbered: bool = False) -> None:
        self._items = enumerate(items) if is_numbered else iter(items)
        self._length = _expected_length(items)
        self.is_exact = type(items) in _EXACT
        self.taken = 0
        self.is_ended = self.is_exact and not self._length
        self.is_stopped = False
        self.under_way: deque[Any] = deque()

    @property
    def remaining(self) -> int | None:
        """Number of items left, by the length that the caller's object claims; None: not known.

        What has yielded more than it claimed is of unknown length from then on.
        """
        if self.is_ended:
            return 0
        if self._length is None or self.taken > self._length:
            return None
        left = self._length - self.taken
        return left if left or self.is_exact else None

    is_listed = False
    """Items are taken by their position: reading them is no work, and changes nothing."""

    def block(self, size: int) -> Iterator[Any]:
        """The next items, read as they are run. Say :meth:`took` when they are."""
        return islice(self._items, size)

    def due(self) -> int:
        """Number of items of the block that have run for certain."""
        return 0

    def cut(self) -> None:
        """In another thread: have the block that runs end with the item that runs, if possible."""

    def took(self, size: int, wanted: int) -> None:
        """So many of a block that was to have ``wanted``."""
        self.taken += size
        if size < wanted or (self.is_exact and self.taken == self._length):
            self.is_ended = True

    def next(self) -> Any:
        """The next item.

        :raises StopIteration: there is none.
        """
        try:
            item = next(self._items)
        except StopIteration:
            self.is_ended = True
            raise
        self.taken += 1
        return item

    def hand_out(self) -> Iterator[Any]:
        """The items from here on, until they end or :meth:`stop` is called.

        ``under_way`` holds those whose results were not read.
        """
        self.is_stopped = False
        while not self.is_stopped:
            try:
                item = self.next()
            except StopIteration:
                return
            self.under_way.append(item)
            yield item

    def stop(self) -> None:
        """Hand out no more; what is left can be read another way."""
        self.is_stopped = True


class Listed(Intake):
    """The items of a list, a tuple or a range: blocks of them are slices.

    A list may change while it is read, as under the loop that this stands for.
    """

    is_listed = True

    def __init__(self, items: Sequence[Any]) -> None:
        super().__init__(items)
        self._listed = items
        self._block: Any = iter(())
        self._block_size = 0
        self._is_cut = False

    @property
    def remaining(self) -> int:
        """Number of items left, now."""
        return max(0, len(self._listed) - self.taken)

    def block(self, size: int) -> Iterator[Any]:
        """The next items, as they are now."""
        part = self._listed[self.taken : self.taken + size]
        self._block, self._block_size, self._is_cut = iter(part), len(part), False
        return self._block  # type: ignore[no-any-return]

    def cut(self) -> None:
        """The iterator of the block is set to its end, while the function runs."""
        self._is_cut = True
        self._block.__setstate__(self._block_size)

    def due(self) -> int:
        """Number of items of the block to have run by now: all, or any number if it was cut."""
        return 0 if self._is_cut else self._block_size

    def took(self, size: int, wanted: int) -> None:
        """So many of a block; what it was cut short by is still to come."""
        self.taken += size
        self.is_ended = self.taken >= len(self._listed)

    def next(self) -> Any:
        """The next item.

        :raises StopIteration: there is none.
        """
        try:
            item = self._listed[self.taken]
        except IndexError:
            self.is_ended = True
            raise StopIteration from None
        self.taken += 1
        return item


def intake_of(items: Iterable[Any], *, is_numbered: bool) -> Intake:
    """Reads these, by position where it can."""
    if type(items) in {list, tuple, range} and not is_numbered:
        return Listed(items)  # type: ignore[arg-type]
    return Intake(items, is_numbered=is_numbered)


def _expected_length(items: Iterable[Any]) -> int | None:
    try:
        length = length_hint(items, -1)
    except Exception:  # a length that lies may also raise; the items tell in the end
        return None
    return None if length < 0 else length


def refuse_endless(items: Iterable[Any]) -> None:
    """Say at once that a list of these would never be complete.

    :raises ValueError: they never end.
    """
    is_endless = type(items) in {count, cycle} or (
        type(items) is repeat and _expected_length(items) is None
    )
    if is_endless:
        message = (
            f"these items never end ({type(items).__name__}), so there would never be a list of "
            "results: use poolwise.imap, or itertools.islice"
        )
        raise ValueError(message)
