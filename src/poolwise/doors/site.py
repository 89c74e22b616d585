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
            return f"{_name_of(frame.f_code.co_filename)}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def _name_of(file: str) -> str:
    """A file's name without its folder; `cell 5` for that of a notebook's cell."""
    find_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    compiler = getattr(find_shell(), "compile", None) if find_shell else None
    find_name = getattr(compiler, "format_code_name", None)
    known = find_name(file) if find_name else None
    cell = "".join(filter(str.isdecimal, known[1])) if known else ""  # ("Cell", "In[5]")
    return f"cell {cell}" if cell else file.rpartition(os.sep)[2]
