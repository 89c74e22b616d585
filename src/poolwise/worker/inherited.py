"""Text that a parent had not written when it forked a worker. Loaded only where that is so."""

from __future__ import annotations

import io
import os
import sys


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
