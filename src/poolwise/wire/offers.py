"""Descriptors on offer: what a pickle names, and the first process that loads it takes.

A pickle does not hold a descriptor. It names a copy that this process offers, under a number, to
whoever asks for it first. An offer that nobody takes stays open for as long as this process lives,
and whoever reads from the other end of that pipe or socket waits in vain for its end.
"""

from __future__ import annotations

from _thread import get_ident
from collections import deque
from collections.abc import Sequence
from multiprocessing import resource_sharer
from typing import Any

from poolwise.wire import reducers

_noted: deque[tuple[int, int]] = deque(maxlen=10_000)  # more files no process has open, as a rule
"""What was offered by pickles of ours: the thread that made the pickle, and the number."""

_sharer: Any = resource_sharer._resource_sharer  # type: ignore[attr-defined] # noqa: SLF001


def _note(offer: Any) -> Any:
    _noted.append((get_ident(), offer._id[1]))  # noqa: SLF001 - nothing public tells it
    return object.__reduce_ex__(offer, 2)


if hasattr(resource_sharer, "DupFd"):  # not on Windows, which offers nothing
    reducers.add(resource_sharer.DupFd, _note)


def is_any() -> bool:
    """This thread has pickled a descriptor since it last called :func:`take`."""
    me = get_ident()
    return any(thread == me for thread, _ in _noted)


def take() -> Sequence[int]:
    """The numbers of what this thread has offered since it last asked."""
    if not _noted:
        return ()
    me = get_ident()
    mine = [note for note in _noted if note[0] == me]
    for note in mine:
        _noted.remove(note)
    return [number for _, number in mine]


class Offers:
    """What one message offers; when this goes, what was not taken is closed."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers

    def __del__(self, cache: dict[int, Any] = _sharer._cache) -> None:  # noqa: SLF001
        for number in self._numbers:
            _, close = cache.pop(number, (None, _was_taken))
            close()


def _was_taken() -> None: ...
