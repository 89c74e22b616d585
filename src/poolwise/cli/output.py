"""Output of a command: files, and ``-`` for standard output."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from poolwise.report.files import put_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

STDOUT = "-"


def find_obstacle(paths: Iterable[str | None]) -> str | None:
    """Reason why these cannot all be written, known before the work is done."""
    wanted = [path for path in paths if path]
    if wanted.count(STDOUT) > 1:
        return "only one thing can go to standard output (-); name files for the others"
    return next(filter(None, map(_find_obstacle, wanted)), None)


def _find_obstacle(path: str) -> str | None:
    folder = os.path.dirname(path) or os.curdir
    if path == STDOUT:
        return None
    if os.path.isdir(path):
        return f"{path} is a folder; name a file in it: {os.path.join(path, 'FILE')}"
    if not os.path.isdir(folder):
        return f"{path} cannot be written: there is no folder {folder}; make it first"
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        return f"{path} cannot be written: you have no right to; name another file"
    return None


def write(path: str, written: str) -> None:
    """Put it there, all of it or nothing; on standard output it ends with its line.

    :raises OSError: it cannot be written; what stood there before stands there still.
    """
    if path == STDOUT:
        sys.stdout.write(written if written.endswith("\n") else written + "\n")
        sys.stdout.flush()
    else:
        put_whole(path, written.encode())
