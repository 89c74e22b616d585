"""Tells an end of the program by a signal from every other way to leave a block.

Who leaves ``with ProcessPoolExecutor()`` by ``sys.exit()`` has the calls that were submitted run to
their end, as the standard executor does. After Ctrl-C, or SIGTERM with a handler that raises
SystemExit, the program shall end soon: then they are dropped.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Iterator
from types import CodeType
from typing import TYPE_CHECKING, Any

from poolwise.core.signals import SIGNALS, seen

if TYPE_CHECKING:
    import signal as _signal
    from signal import getsignal
else:
    import _signal
    from _signal import getsignal

_loop: list[weakref.ref[Any]] = []
"""The event loop that wakes up for signals, if there is one."""


def is_interrupt(error: BaseException | None) -> bool:
    """True for what a signal's handler raised to end the program, and for what follows from it.

    asyncio ends its tasks by CancelledError, in whose context stands what has ended the event loop.
    """
    while error is not None and not isinstance(error, Exception):
        if isinstance(error, KeyboardInterrupt):
            return True
        if isinstance(error, SystemExit):
            return _is_of_handler(error)
        if _is_asyncio_interrupted():
            return True
        error = error.__context__
    return False


def note(error: BaseException | None) -> None:
    """Remember that a signal ends the program, if this error says so."""
    if is_interrupt(error):
        seen.is_interrupted = True


def rouse_loop() -> None:
    """Let the event loop that runs in this thread wake up for every signal; nothing without one.

    A signal that comes when the main thread is about to wait is seen only when something else ends
    the wait: for an event loop, with the next task that is done. Where other threads want the
    interpreter, as ours does then, that happens. asyncio itself is safe from it as soon as it
    handles any signal: every one then goes through the loop's own socket, too. So it is asked to
    handle the one that nobody sends, and which means nothing to programs that do not ask for it.
    """
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or threading.current_thread() is not threading.main_thread():
        return
    try:
        loop = asyncio.get_running_loop()
        if not _loop or _loop[0]() is not loop:
            _loop[:] = [weakref.ref(loop)]
            if getsignal(_signal.SIGURG) == _signal.SIG_DFL:
                loop.add_signal_handler(_signal.SIGURG, int)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        pass  # no loop runs, or it is of a kind that does not know signals


def has_ended_program() -> bool:
    """At the interpreter's end: a signal is the reason, as far as can be seen."""
    ended_by = getattr(sys, "last_type", None)  # an exception that nobody caught
    return seen.is_interrupted or (ended_by is not None and issubclass(ended_by, KeyboardInterrupt))


def _is_asyncio_interrupted() -> bool:
    """Since Python 3.11 Ctrl-C does not raise in an event loop: its runner counts it."""
    runner = getattr(getattr(getsignal(_signal.SIGINT), "func", None), "__self__", None)
    return bool(getattr(runner, "_interrupt_count", 0))


def _is_of_handler(error: BaseException) -> bool:
    """A signal's handler is among the frames that it came through."""
    codes = set(_codes_of_handlers())
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in codes:
            return True
        trace = trace.tb_next
    return False


def _codes_of_handlers() -> Iterator[CodeType]:
    for number in SIGNALS:
        handler: Any = getsignal(number)
        handler = getattr(handler, "func", handler)  # a partial
        if not hasattr(handler, "__code__"):
            handler = getattr(type(handler), "__call__", handler)  # noqa: B004 - its code is wanted
        if (code := getattr(handler, "__code__", None)) is not None:
            yield code
