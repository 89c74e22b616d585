"""Ends a worker, or freezes it, at a step of its life: the first worker that gets there, and once.

:func:`arm` is an initializer, so it works under every start method.
"""

from __future__ import annotations

import functools
import os
import signal

from poolwise.wire import codec, frames
from poolwise.worker import main, run
from tests.faults import breakers

WAYS = {**breakers.ENDS, "SIGSTOP": lambda: os.kill(os.getpid(), signal.SIGSTOP)}

STEPS = {
    "before reading": (main.Worker, "_receive", "before"),
    "half-way through reading": (frames.FrameReader, "_split", "before"),
    "after reading": (main.Worker, "_receive", "after"),
    "before unpickling": (main.Worker, "_run_chunk", "before"),
    "before running": (run.ChunkRun, "run", "before"),
    "after running": (main.Worker, "_answer", "before"),
    "half-way through writing": (frames.FrameWriter, "write", "half"),
    "after answering": (main.Worker, "_answer", "after"),
    "before giving back": (run.ChunkRun, "give_back", "before"),
    "after giving back": (run.ChunkRun, "give_back", "after"),
}
"""A method of the worker, and whether the end comes before it, after it, or when it has written
half of its frame."""

EARLY = ("initializer", "before it is ready")
"""Steps before a worker has a task."""

LATE = ("at the end",)
"""Steps after it is told to stop."""


def arm(step, way, flag):
    """Prepare this worker, the initializer of a pool."""
    strike = functools.partial(strike_once, way, flag)
    if step == "initializer":
        strike()
    elif step in {"before it is ready", "at the end"}:
        kind = codec.READY if step in EARLY else codec.ENDING
        wrap(main.Worker, "_send", lambda _, sent, *__: strike() if sent == kind else None)
    else:
        owner, name, when = STEPS[step]
        if when == "before":
            wrap(owner, name, lambda *_, **__: strike())
        elif when == "after":
            wrap(owner, name, None, lambda *_, **__: strike())
        else:
            wrap(owner, name, lambda self, kind, parts, *_: write_half(self, kind, parts, strike))


def wrap(owner, name, before=None, after=None):
    whole = getattr(owner, name)

    def wrapped(*args, **kwargs):
        if before is not None:
            before(*args, **kwargs)
        value = whole(*args, **kwargs)
        if after is not None:
            after(*args, **kwargs)
        return value

    setattr(owner, name, wrapped)


def write_half(writer, kind, parts, strike):
    """Begin an answer as the writer does, and end in the middle of it."""
    if kind & ~codec.BIG == codec.ANSWER:
        frame = frames.frame(kind, b"".join(map(bytes, parts)))
        strike(lambda: os.write(writer._fd, frame[: len(frame) // 2]))


def strike_once(way, flag, first=None):
    """End here, unless a worker has done so before."""
    try:
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    if first is not None:
        first()
    breakers.silence_crashes()
    WAYS[way]()
