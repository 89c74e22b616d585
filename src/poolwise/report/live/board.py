"""All calls that are shown now, and the thread that looks at them."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from poolwise.report.live import sigterm
from poolwise.report.live.faces import Face, choose_face
from poolwise.report.live.rows import Watched

if TYPE_CHECKING:
    from collections.abc import Callable

    from poolwise.options import ProgressKind
    from poolwise.telemetry.live import Progress

_PERIOD_S = 0.25
"""Four looks a second are enough for the eye; a call that ends before the first shows no bar."""


class Shown:
    """A call that is shown until it is over, or :meth:`close` is called."""

    def __init__(self, board: Board, watched: Watched) -> None:
        self._board = board
        self._watched = watched

    def close(self) -> None:
        """Say how it ended, and show it no more; nothing if that was said already."""
        self._board.leave(self._watched)


class Board:
    """One face and the calls on it. The thread lives while there are any."""

    def __init__(self, kind: ProgressKind) -> None:
        self._kind = kind
        self._face: Face | None = None
        self._watched: list[Watched] = []
        self._lock = threading.RLock()
        self._news = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, look: Callable[[], Progress]) -> Shown:
        """Show a call from now on.

        :param look: gives how far it is; called in other threads.
        """
        watched = Watched(look)
        with self._lock:
            self._watched.append(watched)
            self._face = self._face or choose_face(self._kind)
            if self._thread is None and self._face is not None:
                sigterm.watch(_give_back_all)
                self._thread = threading.Thread(
                    target=self._run, name="poolwise-progress", daemon=True
                )
                self._thread.start()
        return Shown(self, watched)

    def leave(self, watched: Watched) -> None:
        """Say how a call has ended, if it was not said yet."""
        with self._lock:
            if watched in self._watched:
                self._watched.remove(watched)
                self._try(lambda face: face.leave(watched.key, watched.last_line()))
                watched.let_go()
            if not self._watched:
                self._close()

    def leave_all(self) -> None:
        """The program ends: let the terminal be as it was."""
        with self._lock:  # the thread may be in the midst of it
            for watched in list(self._watched):
                self.leave(watched)

    def give_back(self) -> None:
        """The program is being ended: the terminal as it was, at once and without a word."""
        # The thread may be in the midst of it; but a terminal that takes nothing is not waited for.
        has_lock = self._lock.acquire(timeout=1.0)
        try:
            self._watched.clear()
            self._close()
        finally:
            if has_lock:
                self._lock.release()

    def _run(self) -> None:
        pause_s = _PERIOD_S
        while self._watched and self._face is not None:
            self._news.wait(pause_s)
            before_s = time.thread_time()
            self._draw()
            # Looking takes 1 % of a CPU at most; a row takes 1.4 ms (benchmarks/progress.py).
            pause_s = max(_PERIOD_S, (time.thread_time() - before_s) / 0.01)

    def _draw(self) -> None:
        with self._lock:
            rows = [(watched, watched.look()) for watched in self._watched]
            for watched, row in rows:
                if row.is_over:
                    self.leave(watched)
            going_on = [row for _, row in rows if row.is_going_on]
            self._try(lambda face: face.draw(going_on))

    def _close(self) -> None:
        self._try(lambda face: face.close())
        if not any(board._watched for board in _boards.values()):  # noqa: SLF001 - one of us
            sigterm.watch_no_more()
        self._face = self._thread = None
        self._news.set()
        self._news = threading.Event()

    def _try(self, act: Callable[[Face], None]) -> None:
        """Do something with the face. A display that fails is given up; the work goes on."""
        try:
            if self._face is not None:
                act(self._face)
        except Exception:
            self._face = None
            logging.getLogger("poolwise").debug("a progress display was given up", exc_info=True)


_boards: dict[ProgressKind, Board] = {}


def show(look: Callable[[], Progress], kind: ProgressKind) -> Shown:
    """Show a call on the board of this kind."""
    return _boards.setdefault(kind, Board(kind)).add(look)


@atexit.register
def _leave_all() -> None:
    for board in list(_boards.values()):
        board.leave_all()


def _give_back_all() -> None:
    for board in list(_boards.values()):
        board.give_back()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_boards.clear)  # a forked child shows nothing
