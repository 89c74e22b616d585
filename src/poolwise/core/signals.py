"""Defers signals while the main thread changes the pool's state.

A signal's handler may raise between any two instructions: KeyboardInterrupt, or what programs
raise of their own on SIGALRM or SIGTERM. In the middle of the state's changes that would lose
tasks. So for those moments a signal is only recorded, and its handler runs when the change is
made. Waiting is not deferred: a recorded signal ends it at once. Nor are the program's own
methods, which pickling calls in between: they may take for ever.
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
_active: list[DeferredSignals] = []


class _Seen:
    """Flag that a signal is ending the program."""

    __slots__ = ("is_interrupted",)

    def __init__(self) -> None:
        self.is_interrupted = False
        """A handler has raised what ends programs, and nobody has waited for a pool since then."""


seen = _Seen()


class _Interruptible(threading.local):
    """Around methods of the program's own, which a signal may end at any moment."""

    runs = False

    def __enter__(self) -> None:
        self.runs = True

    def __exit__(self, *_: object) -> None:
        self.runs = False


interruptible = _Interruptible()
"""``with interruptible:`` while signals are deferred. What a handler raises there comes out of it
at once, as what :func:`find_raised` understands, and is raised again when the deferral ends."""


def find_raised(error: BaseException) -> BaseException:
    """The exception of a handler behind what came out of :data:`interruptible`; else the error."""
    return (error.__cause__ or error) if isinstance(error, KeyboardInterrupt) else error


class DeferredSignals:
    """Context manager that defers signals; does nothing outside of the main thread.

    Re-entrant. Entered *before* a lock is taken: an exception between taking a lock and the ``try``
    that releases it would be a deadlock.

    :param wake: ends the wait that may be under way inside.
    :param is_needed: False makes it do nothing at all.
    """

    __slots__ = ("_before", "_deferred", "_depth", "_is_needed", "_raised", "_seen", "_wake",
                 "is_pending")  # fmt: skip

    def __init__(self, wake: Callable[[], None], *, is_needed: bool = True) -> None:
        self._wake = wake
        self._is_needed = is_needed
        self._depth = 0
        self._deferred: dict[int, FrameType | None] = {}
        self._raised: BaseException | None = None
        self._seen: list[Any] = []
        self._before: dict[int, Callable[[int, FrameType | None], object]] = {}
        self.is_pending = False
        """A signal has come since it was entered; never true for other threads for long."""

    def __enter__(self) -> Self:
        if self._is_needed and get_ident() == _main_ident:
            if not self._depth:
                self._install()
            self._depth += 1
        return self

    def __exit__(self, kind: object = None, error: BaseException | None = None, *_: object) -> None:
        if not self._depth or get_ident() != _main_ident:
            return
        if self._depth > 1:
            self._depth -= 1
            return
        try:
            self._restore()
        finally:
            self.is_pending = False
            if self._deferred or self._raised is not None:
                self._run_deferred(error)

    def _install(self) -> None:
        """Put our handler in the place of each that the program has set."""
        seen = [*map(getsignal, SIGNALS)]
        if seen != self._seen:
            self._before = {
                number: self._before[number] if handler == self._defer else handler
                for number, handler in zip(SIGNALS, seen, strict=True)
                if callable(handler)
            }
            self._seen = seen
        if self not in _active:
            _active.append(self)
        for number in self._before:
            signal(number, self._defer)

    def _restore(self) -> None:
        """Set the program's own handlers again; from here on they may raise at once."""
        self._depth = 0
        if self in _active:
            _active.remove(self)
        for number, handler in self._before.items():
            signal(number, handler)

    def _run_deferred(self, error: BaseException | None) -> None:
        """Call every handler whose signal was noted; what the last of them raised is raised.

        :param error: what left the ``with`` block. It is of no interest to who ends that by a
            signal, and so is not shown as the context of what the handler raised.
        """
        raised, self._raised = self._raised, None
        while self._deferred:
            number, frame = self._deferred.popitem()
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

    def _defer(self, number: int, frame: FrameType | None) -> None:
        if not self._depth:  # a race with the end of the deferral
            signal(number, self._before[number])
            self._before[number](number, frame)
        elif interruptible.runs:
            self._run_now(number, frame)
        else:
            self._deferred[number] = frame
            self.is_pending = True
            self._wake()

    def _run_now(self, number: int, frame: FrameType | None) -> None:
        try:
            self._before[number](number, frame)
        except BaseException as error:
            interruptible.runs = False  # it is left by this
            self._raised = error
            self.is_pending = True
            if isinstance(error, Exception):  # which whoever is in the midst of it might catch
                raise KeyboardInterrupt from error
            raise


DEFER_UNTIL_ASSIGNED = DeferredSignals(lambda: None)
"""Around the making of what has to be given back: a name must hold it before anything strikes."""


def _reset_in_child() -> None:
    """A forked child has the handlers of its program, not ours."""
    for one in reversed(_active):
        one._restore()  # noqa: SLF001 - one mechanism with the class
        one._deferred.clear()  # noqa: SLF001
    _active.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_in_child)
