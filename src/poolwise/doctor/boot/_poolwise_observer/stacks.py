"""Stacks of all threads on request: the launcher asks for them by a signal when nothing moves.

`faulthandler` writes them in C, without the GIL, so that a process that hangs can answer too. Until
the signal comes, it costs an open file with a high number, and nothing else. A forked child
inherits both: the launcher asks one process at a time.
"""

import _signal  # type: ignore[import-not-found] # `signal` loads `enum`
import os

from . import recorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "stacks.dump"
"""The file of all processes, in the folder of the records."""

BEYOND = 5
"""The signal is so far below the highest: programs that use real-time signals take the ends."""

HIGH = 100
"""The file's number is at least this: low ones are the program's, which may count them."""

_keep: "list[Any]" = []
"""A module that leaves `sys.modules` is kept alive here, as long as it may be called."""


def number() -> int:
    """The signal that asks; 0 where there are no real-time signals."""
    return int(getattr(_signal, "SIGRTMAX", BEYOND)) - BEYOND


def attach(directory: str) -> None:
    """Answer the signal in this process from now on."""
    if not number() or _signal.getsignal(number()) != _signal.SIG_DFL:
        return
    try:
        import faulthandler
        from fcntl import F_DUPFD_CLOEXEC, fcntl
    except ImportError:
        return
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        low = os.open(os.path.join(directory, NAME), flags, 0o600)
        try:
            high = fcntl(low, F_DUPFD_CLOEXEC, HIGH)
        finally:
            os.close(low)
        faulthandler.register(number(), high, all_threads=True)
    except (OSError, ValueError) as error:  # a limit on open files
        recorder.trouble("stacks", error)
        return
    _keep.append(faulthandler)
