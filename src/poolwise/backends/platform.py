"""Primitives of this system that our own worker processes are made with."""

from __future__ import annotations

import os
import select
import signal
import sys
from importlib import import_module

_NEEDED = (
    ("select.poll", lambda: select.poll),
    ("os.fork", lambda: os.fork),
    ("signal.pthread_sigmask", lambda: signal.pthread_sigmask),
    ("fcntl", lambda: import_module("fcntl")),
)


def lacks_for_processes() -> str | None:
    """The first thing that is missing; None where our own processes can be had.

    What else they use (memfd, pidfd) they can do without.
    """
    if sys.platform == "win32":
        return "a POSIX system"
    for name, find in _NEEDED:
        try:
            find()
        except (AttributeError, ImportError):
            return name
    return None
