"""The interpreter's end: calls under way are seen to their end, then all workers are ended."""

from __future__ import annotations

import atexit
import os
import threading
from _thread import allocate_lock
from typing import TYPE_CHECKING

from poolwise.core.shield import Shield

if TYPE_CHECKING:
    from poolwise.core.engine import Engine

_at_work: set[Engine] = set()
"""Engines that have lanes. A worker that nobody ended would be waited for, so they are kept."""


class _Program:
    """How far the program has come."""

    __slots__ = ("is_over",)

    def __init__(self) -> None:
        self.is_over = False
        """Its engines are being ended, and no thread may make another."""


_program = _Program()


def register(engine: Engine) -> None:
    """It is about to have lanes: end them with the interpreter, if nobody does so before.

    The latest registered is the first to be called, before what multiprocessing does at the end:
    it joins all children.
    """
    if engine in _at_work:
        return
    _at_work.add(engine)
    atexit.unregister(_end_all)
    atexit.register(_end_all)
    if _program.is_over:  # asked last: either this is seen, or the engine is
        hang_if_daemon()


def unregister(engine: Engine) -> None:
    """It has no lanes any more, and will have none."""
    _at_work.discard(engine)


def hang_if_daemon() -> None:
    """In a thread that is left at the interpreter's end: wait until the process is gone.

    It waits for a pool that was ended. An error would be printed by its thread, where all that has
    happened is that the program is over; a thread of the standard pools would wait as well.
    """
    if threading.current_thread() is not threading.main_thread():
        silence = allocate_lock()
        silence.acquire()
        silence.acquire()


def _end_all() -> None:
    """Wait for what is under way, then end every worker.

    Ctrl-C ends the wait. It does not end the ending: for workers that are left, multiprocessing
    would wait.
    """
    try:
        for engine in _ours():
            engine.drain()
    except SystemExit:
        pass  # of a signal's handler: it is what happens
    finally:
        _program.is_over = True
        _end_at_once(_ours())


def _ours() -> list[Engine]:
    return [engine for engine in list(_at_work) if engine.pid == os.getpid()]


def _end_at_once(engines: list[Engine]) -> None:
    try:
        with Shield(lambda: None):
            for engine in engines:
                engine.end_with_interpreter()
    except (KeyboardInterrupt, SystemExit):
        pass  # a program that is at its end cannot be ended
