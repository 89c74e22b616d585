"""Holds Ctrl-C back while the main thread does the pool's bookkeeping.

A KeyboardInterrupt may strike between any two instructions. In the middle of the state's changes
it would leave tasks that nobody knows of; so for those moments SIGINT only leaves a note, and is
raised when the bookkeeping is done. Waiting is not held back: the note ends it at once.
"""

from __future__ import annotations

import threading
from _thread import get_ident
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

if TYPE_CHECKING:
    from signal import SIGINT, getsignal, signal
else:
    from _signal import SIGINT, getsignal, signal  # the same without enums: 10 us less a call

_main_ident = threading.main_thread().ident


class Shield:
    """A context manager around bookkeeping; does nothing outside of the main thread.

    It may go up within itself. It goes up *before* a lock is taken: a KeyboardInterrupt between
    taking a lock and the ``try`` that gives it back would leave the lock taken for ever.

    :param wake: ends the wait that may be under way inside.
    :param is_needed: False makes it do nothing at all.
    """

    __slots__ = ("_before", "_depth", "_is_needed", "_noted", "_wake", "was_struck")

    def __init__(self, wake: Callable[[], None], *, is_needed: bool = True) -> None:
        self._wake = wake
        self._is_needed = is_needed
        self._depth = 0
        self._noted: FrameType | None = None
        self._before: Any = None
        self.was_struck = False
        """A Ctrl-C has come since the shield went up; never true for other threads for long."""

    def __enter__(self) -> Self:
        if self._is_needed and get_ident() == _main_ident:
            if not self._depth:
                before = getsignal(SIGINT)
                if not callable(before):
                    return self
                signal(SIGINT, self._note)  # nothing strikes from here on
                self._before = before
            self._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        if not self._depth or get_ident() != _main_ident:
            return
        self._depth -= 1
        if self._depth:
            return
        was_struck, self.was_struck = self.was_struck, False
        signal(SIGINT, self._before)
        if was_struck or self.was_struck:
            self.was_struck = False
            noted, self._noted = self._noted, None
            self._before(SIGINT, noted)

    def _note(self, _: int, frame: FrameType | None) -> None:
        self._noted = frame
        self.was_struck = True
        self._wake()
