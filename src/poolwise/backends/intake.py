"""Intake: what a call is given is fixed when it is handed in.

Whatever waits for a worker can change meanwhile. So items that are read from an input are pickled
before the next one is asked for (or proven immutable), and so are the calls, functions and lists
of calls that do not wait, as far as the memory set aside for them goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from poolwise.core.job import Fed
from poolwise.core.signals import interruptible
from poolwise.wire.codec import Snapshot, dumps_call, is_plain
from poolwise.wire.pickling import dumps_function
from poolwise.wire.snapshots import TooLarge, fix, fix_first, take_snapshot

if TYPE_CHECKING:
    from poolwise.core.job import Function
    from poolwise.core.signals import DeferredSignals

T = TypeVar("T")

_MOST_BYTES = 64 << 20
"""All calls that wait may take so much memory together. No benchmark found it."""

_MOST_BYTES_EACH = 1 << 20
"""And one so much: copying more takes longer than anybody needs to change it unnoticed."""


class SharedIntake:
    """Intake of lanes that share this process's memory: tasks are given the objects themselves."""

    def queue(self, unit: int = 1) -> Fed:
        """A queue for items that are read one by one."""
        return Fed(unit)

    def call(self, call: tuple[Any, ...], waiting: int) -> Snapshot | None:
        """A snapshot of a call; None: the call itself is used."""

    def function(self, function: Function) -> None:
        """Fix what is bound in a map's function."""

    def listed(self, items: Sequence[Any]) -> Sequence[Any]:
        """The items of a list, which the caller may fill anew."""
        return items


class CopyingIntake(SharedIntake):
    """Intake of lanes to which everything is pickled.

    :param signals: the engine's, which tells what a handler raises from what pickling does.
    :param is_near: the lanes can open shared memory of this machine.
    """

    def __init__(self, signals: DeferredSignals, *, is_near: bool = True) -> None:
        self._signals = signals
        self._is_near = is_near
        self._in_vain = 0
        self._left_out = 0

    def queue(self, unit: int = 1) -> Fed:
        return Fed(unit, fix if self._is_near else _fix_by_value)

    def call(self, call: tuple[Any, ...], waiting: int) -> Snapshot | None:
        """A call as it is now; None where it cannot change, or where memory does not allow it.

        :param waiting: how many calls wait.
        """
        if is_plain(call):
            return None
        most_bytes = min(_MOST_BYTES // max(1, waiting), _MOST_BYTES_EACH)
        return self._keep(lambda: take_snapshot(call, most_bytes, dumps_call), call[0])

    def function(self, function: Function) -> None:
        """A map's function as it is now: a method's object may change before it is sent."""
        call = function.call
        if is_plain((call, (), {})):
            return
        kept = self._keep(lambda: take_snapshot(call, _MOST_BYTES_EACH, dumps_function), call)
        if kept is not None and kept.offers is None:  # a descriptor is taken by one worker only
            function.kept = kept

    def listed(self, items: Sequence[Any]) -> Sequence[Any]:
        """The items of a list, the first of them as they are now."""
        # As much as the standard pool's pipe holds.
        kept = self._tried(lambda: fix_first(items, 64 << 10))
        return items if isinstance(kept, BaseException) else kept

    def _keep(self, take: Callable[[], Snapshot], function: object) -> Snapshot | None:
        """A snapshot; None if it takes too much memory or cannot be pickled: the sender says so.

        To find that costs little, but for a long pickle: then the next calls are not tried.
        """
        if self._left_out and self._in_vain == id(function):
            self._left_out -= 1
            return None
        kept = self._tried(take)
        if isinstance(kept, Snapshot):
            return kept
        if isinstance(kept, TooLarge) and kept.pickled_bytes > _MOST_BYTES_EACH:
            # It took long in vain: some of the same function are not tried.
            self._in_vain, self._left_out = id(function), 8
        return None

    def _tried(self, act: Callable[[], T]) -> T | BaseException:
        """Pickle, or the error of pickling; what a signal handler raises is raised at its end."""
        with self._signals:
            try:
                with interruptible:
                    return act() if self._is_near else _by_value(act)
            except BaseException as error:
                return error


def _by_value(act: Callable[[], T]) -> T:
    """Pickle what is shared by its value, for lanes on other machines."""
    from poolwise.shared import packing

    with packing.by_value():
        return act()


def _fix_by_value(item: Any) -> tuple[Any, int]:
    return _by_value(partial(fix, item))
