"""What calls that do not wait were given, as it was when they were made.

The standard pool has pickled it a moment later; ours waits for a worker that is free. So what has
to wait, and can change meanwhile, is pickled at the call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from poolwise.core.shield import users_code
from poolwise.wire.codec import is_plain
from poolwise.wire.snapshots import Snapshot, TooLarge, as_called

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

_LEFT_OUT = 8
"""After a call that was pickled for long in vain, so many of the same function are not tried."""


class Keeper:
    """Pickles at the call what would wait.

    :param shield: the engine's, which tells what a signal's handler raises from what pickling does.
    """

    def __init__(self, shield: Shield) -> None:
        self._shield = shield
        self._in_vain = 0
        self._left_out = 0

    def keep(self, call: tuple[Any, ...], waiting: int) -> Snapshot | None:
        """A call as it is now; None where it cannot change, or where memory does not allow it.

        :param waiting: how many calls wait.
        """
        if is_plain(call):
            return None
        return self._keep(call, call[0], min(_MOST_BYTES // max(1, waiting), _MOST_BYTES_EACH))

    def keep_function(self, function: Function) -> None:
        """A map's function as it is now: a method's object may change before it is sent."""
        if not is_plain((function.call, (), {})):
            function.kept = self._keep(function.call, function.call, _MOST_BYTES_EACH)

    def as_called(self, items: Sequence[Any]) -> Sequence[Any]:
        """A map's items, the first of them as they are now."""
        kept = self._tried(lambda: as_called(items, _MOST_BYTES_OF_A_MAP))
        return items if isinstance(kept, BaseException) else kept

    def _keep(self, what: Any, function: object, most_bytes: int) -> Snapshot | None:
        """As it is now; None if it takes more memory, or cannot be pickled: who sends it says so.

        To find that costs little, but for a long pickle: then the next calls are not tried.
        """
        if self._left_out and self._in_vain == id(function):
            self._left_out -= 1
            return None
        kept = self._tried(lambda: Snapshot(what, most_bytes))
        if isinstance(kept, Snapshot):
            return kept
        if isinstance(kept, TooLarge) and kept.pickled_bytes > _MOST_BYTES_EACH:
            self._in_vain, self._left_out = id(function), _LEFT_OUT
        return None

    def _tried(self, act: Callable[[], T]) -> T | BaseException:
        """What pickling gives or raises. What a signal's handler raised comes out of the shield."""
        with self._shield:
            try:
                with users_code:
                    return act()
            except BaseException as error:
                return error
