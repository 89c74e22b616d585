"""Place in the program that called a pool."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_NOT_THE_PROGRAM = ("poolwise.", "_poolwise_observer.")
"""Ours, and what `doctor --verify` puts between a door and its caller."""


def find_site() -> str | None:
    """``file.py:line`` of the program that called the door we are in."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - public in all but name
    while frame is not None:
        if not str(frame.f_globals.get("__name__")).startswith(_NOT_THE_PROGRAM):
            return f"{frame.f_code.co_filename.rpartition(os.sep)[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return None
