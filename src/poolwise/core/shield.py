"""Holds signals back while the main thread does the pool's bookkeeping.

A signal's handler may raise between any two instructions: KeyboardInterrupt, or what programs
raise of their own on SIGALRM or SIGTERM. In the middle of the state's changes that would leave
tasks that nobody knows of. So for those moments a signal only leaves a note, and its handler is
called when the bookkeeping is done. Waiting is not held back: the note ends it at once. Nor are
the program's own methods, which pickling calls in the midst of it: they may take for ever.
"""

from __future__ import annotations

import os
import threading
from _thread import get_ident
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import signal as _signal
    from signal import getsignal, signal

    from typing_extensions import Self
else:
    import _signal  # the same without enums: 10 us less a call
    from _signal import getsignal, signal

_NAMES = (
    "SIGINT", "SIGTERM", "SIGBREAK", "SIGALRM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2",
    "SIGVTALRM", "SIGPROF", "SIGXCPU",
)  # fmt: skip
SIGNALS = [getattr(_signal, name) for name in _NAMES if hasattr(_signal, name)]
"""Signals whose handlers are known to raise: sent by people, by timers, and by batch systems."""

_main_ident = threading.main_thread().ident
_up: list[Shield] = []


class _Seen:
    """Flag that a signal is ending the program."""

    __slots__ = ("is_interrupted",)

    def __init__(self) -> None:
        self.is_interrupted = False
        """A handler has raised what ends programs, and nobody has waited for a pool since then."""


seen = _Seen()


class _UsersCode(threading.local):
    """Around methods of the program's own, which a signal may end at any moment."""

    runs = False

    def __enter__(self) -> None:
        self.runs = True

    def __exit__(self, *_: object) -> None:
        self.runs = False


users_code = _UsersCode()
"""``with users_code:`` in the midst of bookkeeping. What a handler raises there comes out of it at
once, as what :func:`find_raised` understands, and is raised again when the shield goes down."""


def find_raised(error: BaseException) -> BaseException:
    """The exception of a handler behind what came out of :data:`users_code`; else the error."""
    return (error.__cause__ or error) if isinstance(error, KeyboardInterrupt) else error


class Shield:
    """A context manager around bookkeeping; does nothing outside of the main thread.

    It may go up within itself. It goes up *before* a lock is taken: an exception between taking a
    lock and the ``try`` that gives it back would leave the lock taken for ever.

    :param wake: ends the wait that may be under way inside.
    :param is_needed: False makes it do nothing at all.
    """

    __slots__ = ("_before", "_depth", "_is_needed", "_noted", "_raised", "_seen", "_wake",
                 "was_struck")  # fmt: skip

    def __init__(self, wake: Callable[[], None], *, is_needed: bool = True) -> None:
        self._wake = wake
        self._is_needed = is_needed
        self._depth = 0
        self._noted: dict[int, FrameType | None] = {}
        self._raised: BaseException | None = None
        self._seen: list[Any] = []
        self._before: dict[int, Callable[[int, FrameType | None], object]] = {}
        self.was_struck = False
        """A signal has come since the shield went up; never true for other threads for long."""

    def __enter__(self) -> Self:
        if self._is_needed and get_ident() == _main_ident:
            if not self._depth:
                self._go_up()
            self._depth += 1
        return self

    def __exit__(self, kind: object = None, error: BaseException | None = None, *_: object) -> None:
        if not self._depth or get_ident() != _main_ident:
            return
        if self._depth > 1:
            self._depth -= 1
            return
        try:
            self._go_down()
        finally:
            self.was_struck = False
            if self._noted or self._raised is not None:
                self._catch_up(error)

    def _go_up(self) -> None:
        """Put our note in the place of every handler that a program has set."""
        seen = [*map(getsignal, SIGNALS)]
        if seen != self._seen:
            self._before = {
                number: self._before[number] if handler == self._note else handler
                for number, handler in zip(SIGNALS, seen, strict=True)
                if callable(handler)
            }
            self._seen = seen
        if self not in _up:
            _up.append(self)
        for number in self._before:
            signal(number, self._note)

    def _go_down(self) -> None:
        """Handlers are the program's own again; from here on they may strike at once."""
        self._depth = 0
        if self in _up:
            _up.remove(self)
        for number, handler in self._before.items():
            signal(number, handler)

    def _catch_up(self, error: BaseException | None) -> None:
        """Call every handler whose signal was noted; what the last of them raised is raised.

        :param error: what left the bookkeeping. It is of no interest to who ends it by a signal,
            and so is not shown as the context of what the handler raised.
        """
        raised, self._raised = self._raised, None
        while self._noted:
            number, frame = self._noted.popitem()
            try:
                self._before[number](number, frame)
            except BaseException as one:
                raised = one
        if raised is None:
            return
        seen.is_interrupted = isinstance(raised, (KeyboardInterrupt, SystemExit))
        try:
            raise raised
        finally:
            if error is not None and raised.__context__ is error:
                raised.__context__ = error.__context__
            del raised, error  # this frame is part of the traceback

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self._depth:  # something struck while it went up or down
            signal(number, self._before[number])
            self._before[number](number, frame)
        elif users_code.runs:
            self._call_at_once(number, frame)
        else:
            self._noted[number] = frame
            self.was_struck = True
            self._wake()

    def _call_at_once(self, number: int, frame: FrameType | None) -> None:
        try:
            self._before[number](number, frame)
        except BaseException as error:
            users_code.runs = False  # it is left by this
            self._raised = error
            self.was_struck = True
            if isinstance(error, Exception):  # which whoever is in the midst of it might catch
                raise KeyboardInterrupt from error
            raise


UNTIL_ASSIGNED = Shield(lambda: None)
"""Around the making of what has to be given back: a name must hold it before anything strikes."""


def _put_down_in_child() -> None:
    """A forked child has the handlers of its program, not our notes."""
    for shield in reversed(_up):
        shield._go_down()  # noqa: SLF001 - one mechanism with the class
        shield._noted.clear()  # noqa: SLF001
    _up.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_put_down_in_child)
