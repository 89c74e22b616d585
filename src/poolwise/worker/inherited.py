"""Repairs what other threads of the parent were in the middle of when it forked a worker.

Here they do not run any more, and nobody ends what they began. Loaded only where a fork was made.
"""

from __future__ import annotations

import io
import os
import sys
from _thread import get_ident


def forget_unwritten() -> None:
    """Drop what lies in the standard streams: the parent has it too, and writes it.

    It has written all it could just before. But a thread of it may have said more in between.
    """
    for stream in (sys.__stdout__, sys.__stderr__, sys.stdout, sys.stderr):
        try:
            if isinstance(stream, io.TextIOWrapper):
                _drop(stream)
        except (OSError, ValueError):
            pass  # closed, or there are no more descriptors


def forget_half_imports() -> None:
    """Forget modules that another thread was importing: whoever needs one imports it anew.

    Else the first import of such a module here waits for that thread's lock, for ever.
    """
    from poolwise.core.ending import imports_under_way  # loaded: the parent has started a lane

    locks = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})
    for name, owner in imports_under_way().items():
        if owner != get_ident():
            locks.pop(name, None)
            sys.modules.pop(name, None)


def _drop(stream: io.TextIOWrapper) -> None:
    number = stream.fileno()
    is_inheritable = os.get_inheritable(number)
    before, nowhere = os.dup(number), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, number, is_inheritable)
        stream.flush()
    finally:
        os.dup2(before, number, is_inheritable)
        os.close(before)
        os.close(nowhere)
