"""What calls that do not wait were given, as it was when they were made.

The standard pool has pickled it a moment later; ours waits for a worker that is free. So what has
to wait, and can change meanwhile, is pickled at the call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from poolwise.core.shield import users_code
from poolwise.wire.codec import is_plain
from poolwise.wire.snapshots import Snapshot, as_called

if TYPE_CHECKING:
    from poolwise.core.job import Function
    from poolwise.core.shield import Shield

T = TypeVar("T")

_MOST_BYTES = 64 << 20
"""All calls that wait may take so much memory together. No benchmark found it."""

_MOST_BYTES_EACH = 1 << 20
"""And one so much: copying more takes longer than anybody needs to change it unnoticed."""

_MOST_BYTES_OF_A_MAP = 64 << 10
"""Of a map's items so much is kept: as much as the standard pool's pipe holds."""

_TRIES = 16
"""After something too large, about so many functions (halvings of a call's size) are not tried."""


class Keeper:
    """Pickles at the call what would wait.

    :param shield: the engine's, which tells what a signal's handler raises from what pickling does.
    """

    def __init__(self, shield: Shield) -> None:
        self._shield = shield
        self._usual_bytes = 0
        self._left_out = 0

    def keep(self, call: tuple[Any, ...], waiting: int) -> Snapshot | None:
        """A call as it is now; None where it cannot change, or where memory does not allow it.

        :param waiting: how many calls wait.
        """
        if is_plain(call):
            return None
        most_bytes = min(_MOST_BYTES // max(1, waiting), _MOST_BYTES_EACH)
        if self._usual_bytes > most_bytes:
            self._usual_bytes //= 2  # the next ones may be smaller
            return None
        kept = self._try(lambda: Snapshot(call, most_bytes))
        self._usual_bytes = _TRIES * most_bytes if kept is None else kept.size_bytes
        return kept

    def keep_function(self, function: Function) -> None:
        """A map's function as it is now: a method's object may change before it is sent."""
        if is_plain((function.call, (), {})):
            return
        if self._left_out:
            self._left_out -= 1
            return
        function.kept = self._try(lambda: Snapshot(function.call, _MOST_BYTES_EACH))
        self._left_out = _TRIES if function.kept is None else 0

    def as_called(self, items: Sequence[Any]) -> Sequence[Any]:
        """A map's items, the first of them as they are now."""
        kept = self._try(lambda: as_called(items, _MOST_BYTES_OF_A_MAP))
        return items if kept is None else kept

    def _try(self, act: Callable[[], T]) -> T | None:
        """Pickle something; None if it cannot be, which is said by who sends it."""
        with self._shield:
            try:
                with users_code:
                    return act()
            except BaseException:
                return None
