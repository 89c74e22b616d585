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

    :param wake: ends the wait that may be under way inside.
    :param is_needed: False makes it do nothing at all.
    """

    __slots__ = ("_before", "_is_needed", "_is_up", "_noted", "_wake", "was_struck")

    def __init__(self, wake: Callable[[], None], *, is_needed: bool = True) -> None:
        self._wake = wake
        self._is_needed = is_needed
        self._is_up = False
        self._noted: FrameType | None = None
        self._before: Any = None
        self.was_struck = False
        """A Ctrl-C has come since the shield went up."""

    def __enter__(self) -> Self:
        self.was_struck = False
        if self._is_needed and get_ident() == _main_ident:
            before = getsignal(SIGINT)
            if callable(before):
                self._before = before
                signal(SIGINT, self._note)
                self._is_up = True
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_up:
            return
        self._is_up = False
        signal(SIGINT, self._before)
        if self.was_struck:
            noted, self._noted = self._noted, None
            self._before(SIGINT, noted)

    def _note(self, _: int, frame: FrameType | None) -> None:
        self._noted = frame
        self.was_struck = True
        self._wake()
