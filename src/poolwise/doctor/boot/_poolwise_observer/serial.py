"""Line that the program's first thread runs, each time the launcher asks by a signal.

No thread is needed for it, and no timer: nothing happens until the launcher, which looks at the
program from outside, finds that its first thread computes most of the time. The signal is a
real-time one that nothing else uses. Handlers run between two steps of the interpreter, so that a
long call into a library is seen at the line that made it.
"""

import _signal  # type: ignore[import-not-found] # what `signal` is made of, and already loaded

from . import recorder
from .probes import sites

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

OFFSET = 19
"""Number among the real-time signals: debuggers and C libraries use those at both ends."""

_counts: "dict[tuple[Any, ...], int]" = {}
_seen = _written = 0


def attach() -> None:
    """Answer from now on; not where the system has no such signals."""
    first = getattr(_signal, "SIGRTMIN", None)
    if first is None or _signal.getsignal(first + OFFSET) != _signal.SIG_DFL:
        return
    _signal.signal(first + OFFSET, look)
    _signal.siginterrupt(first + OFFSET, False)  # noqa: FBT003 - it takes no keywords


def look(_: int, frame: "FrameType | None") -> None:
    """Count the line of the program that is running, unless a pool or we are what runs."""
    global _seen, _written  # noqa: PLW0603 - one a process
    try:
        found = _find(frame)
        if found is None:
            return
        _counts[found] = _counts.get(found, 0) + 1
        _seen += 1
        # Counts are written whenever a twentieth more was seen: the program may end
        # without a word.
        if _seen > 1.05 * _written:
            _written = _seen
            recorder.event("serial", lines=[(*line, count) for line, count in _counts.items()])
    except Exception as error:
        recorder.trouble("serial", error)


def _find(frame: "FrameType | None") -> "tuple[str, int, str, str | None] | None":
    """File, line and function of the nearest frame of the program, and what of a library it calls.

    None inside of a pool's code, where the thread waits or hands out work.
    """
    through = nearest = None
    while frame is not None:
        owner = sites.owner_of(frame)
        if owner == sites.POOL:
            return None
        code = frame.f_code
        if owner == sites.PROGRAM:
            return code.co_filename, frame.f_lineno, code.co_name, through
        through = code.co_name
        if nearest is None:
            nearest = code.co_filename, frame.f_lineno, code.co_name, None
        frame = frame.f_back
    return nearest
