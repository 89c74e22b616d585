"""SIGTERM ends a program without a word: while a terminal shows rows of ours, they go first.

Only where nobody else cares for the signal, and only from the main thread, which alone may ask for
it. The program then ends by SIGTERM all the same.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_tidy: Callable[[], None] | None = None


def watch(tidy: Callable[[], None]) -> None:
    """Call ``tidy`` when SIGTERM comes, before it ends the program."""
    global _tidy  # noqa: PLW0603 - a process has one handler
    if _is_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        _tidy = tidy
        signal.signal(signal.SIGTERM, _end)


def watch_no_more() -> None:
    """Stop watching, and give SIGTERM its default handler back."""
    global _tidy  # noqa: PLW0603 - as above
    _tidy = None
    if _is_main_thread() and signal.getsignal(signal.SIGTERM) is _end:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _end(number: int, _: FrameType | None) -> None:
    tidy = _tidy
    watch_no_more()
    if tidy is not None:
        tidy()
    os.kill(os.getpid(), number)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=watch_no_more)
