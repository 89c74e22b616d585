"""The interpreter's end: calls under way are seen to their end, then all workers are ended."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from _thread import allocate_lock, get_ident
from typing import TYPE_CHECKING

from poolwise.core.signals import DeferredSignals

if TYPE_CHECKING:
    from poolwise.core.engine import Engine

_at_work: set[Engine] = set()
"""Engines that have lanes. A worker that nobody ended would be waited for, so they are kept."""


class _Program:
    """State of the program: whether it is over."""

    __slots__ = ("is_over",)

    def __init__(self) -> None:
        self.is_over = False
        """Its engines are being ended, and no thread may make another."""


_program = _Program()


def register(engine: Engine) -> None:
    """Register an engine that is about to have lanes: they end with the interpreter at the latest.

    The latest registered is the first to be called, before what multiprocessing does at the end:
    it joins all children.
    """
    if engine in _at_work:
        return
    _at_work.add(engine)
    _be_called_first()
    if _program.is_over:  # asked last: either this is seen, or the engine is
        hang_if_daemon()


def unregister(engine: Engine) -> None:
    """Remove an engine that has no lanes any more, and will have none."""
    _at_work.discard(engine)


_in_finalizers_of = 0
"""The process whose end calls :func:`_end_all` by multiprocessing's finalizers."""


def _be_called_first() -> None:
    """Be called first of all when this process ends.

    Children of multiprocessing do not care for ``atexit``. They have finalizers of their own, then
    end those of their children that are daemons, and wait for all others: for idle workers, for
    ever.
    """
    global _in_finalizers_of  # noqa: PLW0603 - registered once, in each process
    atexit.unregister(_end_all)
    atexit.register(_end_all)
    util = sys.modules.get("multiprocessing.util")  # there if the lanes are processes
    if util is not None and _in_finalizers_of != os.getpid():
        _in_finalizers_of = os.getpid()
        util.Finalize(None, _end_all, exitpriority=sys.maxsize)


def end_before_executors() -> None:
    """End all engines before the standard executors refuse calls, which is before ``atexit``.

    Lanes on an executor could not be given what was submitted and waits. What is registered last
    is called first there, too; it is once for each process, as imports are.
    """
    register = getattr(threading, "_register_atexit", None)
    if register is not None and os.getpid() not in _called_before_executors:
        _called_before_executors.add(os.getpid())
        register(_end_all)


_called_before_executors: set[int] = set()


def _let_imports_end() -> None:
    """Before a fork: what another thread is importing stays locked in the child for ever."""
    until = time.monotonic() + 5.0  # the fork comes all the same, at the child's risk
    while _is_any_importing(_find_helpers()) and time.monotonic() < until:
        time.sleep(0.001)


def _find_helpers() -> set[int]:
    helpers = {engine.background_ident for engine in list(_at_work)}
    return {ident for ident in helpers if ident is not None and ident != get_ident()}


def _is_any_importing(threads: set[int]) -> bool:
    return bool(threads) and not threads.isdisjoint(imports_under_way().values())


def imports_under_way() -> dict[str, int]:
    """Modules that are being imported, and the thread that holds the lock of each.

    Not looked for in frames: those of a thread that runs cannot be trusted.
    """
    locks = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})
    owners = {name: getattr(lock(), "owner", None) for name, lock in list(locks.items())}
    return {name: owner for name, owner in owners.items() if owner is not None}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_let_imports_end)


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
        with DeferredSignals(lambda: None):
            for engine in engines:
                engine.end_with_interpreter()
    except (KeyboardInterrupt, SystemExit):
        pass  # a program that is at its end cannot be ended
