"""Puts what was made into a file, whole or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress


def put_whole(path: str, content: bytes) -> None:
    """Make this the content of a file: written beside it, then put in its place.

    Links are followed, mode bits and owner stay. What cannot be replaced (a device, a file in a
    folder that takes no other) is written to directly.

    :raises OSError: it cannot be written; what stood there before stands there still.
    """
    target = os.path.realpath(path)
    is_special = os.path.exists(target) and not os.path.isfile(target)
    if is_special or not os.access(os.path.dirname(target), os.W_OK):
        _write(target, content)
        return
    unfinished = f"{target}.{os.getpid()}.part"
    try:
        _write(unfinished, content)
        if os.path.exists(target):
            _take_over(target, unfinished)
        os.replace(unfinished, target)
    except BaseException:
        with suppress(OSError):
            os.remove(unfinished)
        raise


def _take_over(old: str, new: str) -> None:
    """Mode bits, and where one is allowed to the owner, too."""
    with suppress(OSError):
        facts = os.stat(old)
        os.chown(new, facts.st_uid, facts.st_gid)
    shutil.copymode(old, new)


def _write(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
