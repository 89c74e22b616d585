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

_MOST_WITHDRAWN = 1000
"""A worker that asks for one of the last so many is told that it is gone, rather than nothing."""

_noted: deque[tuple[int, int]] = deque(maxlen=10_000)  # more files no process has open, as a rule
"""Offers made by pickles of ours: the thread that made the pickle, and the number."""

_sharer: Any = resource_sharer._resource_sharer  # type: ignore[attr-defined] # noqa: SLF001


_withdrawn: deque[int] = deque()


def _note(offer: Any) -> Any:
    _noted.append((get_ident(), offer._id[1]))  # noqa: SLF001 - nothing public tells it
    return object.__reduce_ex__(offer, 2)


if hasattr(resource_sharer, "DupFd"):  # not on Windows, which offers nothing
    reducers.add(resource_sharer.DupFd, _note)


def were_made() -> bool:
    """This process has offered descriptors, at some time."""
    return _sharer._listener is not None  # noqa: SLF001 - the server starts with the first one


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
    """Descriptors that one message offers; those not taken are closed when this goes."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Sequence[int]) -> None:
        self._numbers = numbers

    def __del__(self, cache: dict[int, Any] = _sharer._cache) -> None:  # noqa: SLF001
        for number in self._numbers:
            offer = cache.pop(number, None)
            if offer is None:
                continue  # it was taken
            offer[1]()
            cache[number] = _GONE  # else who asks for it makes the server print a KeyError
            _withdrawn.append(number)
        while len(_withdrawn) > _MOST_WITHDRAWN:
            cache.pop(_withdrawn.popleft(), None)


def _send_nothing(connection: object, pid: int) -> None: ...


def _close_nothing() -> None: ...


_GONE = (_send_nothing, _close_nothing)
