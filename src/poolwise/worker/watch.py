"""A thread that looks after a chunk while its items hold up the main thread of the worker.

It sends finished values that a slow item would keep waiting, and hears when the parent asks for
what has not begun. It sleeps for good while chunks are single items or done before it looks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poolwise.worker.run import ChunkRun

_TICK_S = 0.001
"""The shortest time between two looks: the millisecond that a finished result may wait."""


class Watch:
    """Guards one run after the other.

    :param has_request: true when the parent has asked for the unbegun rest; does not block.
    """

    def __init__(self, has_request: Callable[[], bool]) -> None:
        self._has_request = has_request
        self._guarded: ChunkRun | None = None
        self._bell = threading.Lock()
        self._bell.acquire()
        self._thread: threading.Thread | None = None
        self._is_parked = True
        self._stopping = False
        os.register_at_fork(before=self._stop, after_in_child=self._forget)

    def guard(self, run: ChunkRun) -> None:
        """Look after ``run`` until :meth:`release`."""
        self._guarded = run
        if self._thread is None:
            self._start()
        if self._is_parked:
            self._is_parked = False
            self._bell.release()

    def release(self) -> None:
        """The run is over."""
        self._guarded = None

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._loop, name="poolwise-watch", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        idle, enough = 0, 50  # then it stops looking; to wake it again costs about 10 us
        while not self._stopping:
            run = self._guarded
            idle = 0 if run else idle + 1
            if idle > enough:
                self._park()
                continue
            prompt_s = run.prompt_ns / 1e9 if run else _TICK_S
            # Where nobody waits for values it only gives back the rest of a chunk.
            if self._bell.acquire(timeout=min(max(prompt_s, _TICK_S), 0.010)):
                continue
            if run is not None and run is self._guarded:
                self._look(run)

    def _park(self) -> None:
        self._is_parked = True
        if self._guarded is None and not self._stopping:  # asked again: guard() may have missed it
            self._bell.acquire()
        self._is_parked = False

    def _look(self, run: ChunkRun) -> None:
        try:
            run.flush()
            if self._has_request():
                run.give_back()
        except (Exception, SystemExit):  # noqa: S110 - the main thread meets the same when it answers
            pass

    def _stop(self) -> None:
        """Before a task forks: a child must not be born of a process with a second thread."""
        thread, self._thread = self._thread, None
        if thread is None or thread is threading.current_thread():
            return
        self._stopping = True
        if self._bell.locked():
            self._bell.release()
        thread.join()
        self._stopping = False
        self._bell.acquire(blocking=False)
        self._is_parked = True

    def _forget(self) -> None:
        self._guarded = None
