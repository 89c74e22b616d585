"""Relay of what tasks print, log and warn of to the parent. Loaded only where it is asked for.

Messages are queued and written when the result pipe is free: whoever prints from a finalizer in
the midst of an answer must not wait for itself. What is left goes before the next answer, so the
parent has heard a task out when it has its value.
"""

from __future__ import annotations

import io
import logging
import os
import pickle
import sys
import threading
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOG, WARNING, STDOUT, STDERR = "log", "warning", "stdout", "stderr"


class Redirect:
    """Worker's ends of the pipes that its descriptors 1 and 2 lead to, on their way into it.

    C code, ``os.write``, programs that a task starts, the stacks of a crash: all that goes past
    Python's streams. The parent reads, so nothing is lost with the worker, and nobody waits for a
    thread of a worker whose C code holds the GIL.

    :param levels: of the parent's loggers by name; the root's name is empty.
    """

    def __init__(self, fds: tuple[int, ...], levels: Mapping[str, int]) -> None:
        self._fds: tuple[Any, ...] = fds
        self.levels = levels

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.reduction import DupFd

        return Redirect, (tuple(map(DupFd, self._fds)), self.levels)

    def take(self) -> None:
        """In the worker: what goes to descriptors 1 and 2 goes to the parent from now on."""
        for number, fd in enumerate(self._fds, 1):
            inherited = fd if isinstance(fd, int) else fd.detach()
            os.dup2(inherited, number)
            os.close(inherited)

    def close(self) -> None:
        """In the parent, when the worker has its copies."""
        for fd in self._fds:
            os.close(fd)


class Relay:
    """Sends what is said in this process.

    :param send: writes queued messages, as far as it need not wait for another thread's writing.
    :param position: the number of the chunk that runs, and how many of its items are done.
    """

    def __init__(
        self, send: Callable[[deque[bytes]], None], position: Callable[[], tuple[int, int]]
    ) -> None:
        self._send = send
        self._position = position
        self._queue: deque[bytes] = deque()
        self._streams = (_Lines(STDOUT, self, sys.stdout), _Lines(STDERR, self, sys.stderr))

    def install(self, levels: Mapping[str, int]) -> None:
        """Take over the streams, the warnings and every logger of this process.

        :param levels: of the parent's loggers by name; the root's name is empty.
        """
        sys.stdout, sys.stderr = self._streams
        warnings.showwarning = self._show_warning
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        known = list(logging.root.manager.loggerDict.values())
        handler = _Handler(self)
        for logger in known:
            if isinstance(logger, logging.Logger):  # the parent's copy has the real handlers
                logger.handlers = [] if logger.propagate else [handler]
        logging.root.handlers = [handler]

    def say(self, kind: str, what: Any) -> None:
        """One thing more."""
        self._queue.append(pickle.dumps((kind, what, *self._position())))
        self._send(self._queue)

    def end_of_chunk(self) -> None:
        """Lines that have no end leave too: their task is over."""
        for stream in self._streams:
            stream.end_line()
        self._send(self._queue)

    def _show_warning(  # noqa: PLR0913 - the signature of warnings.showwarning
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        names = [parent.__name__ for parent in category.__mro__]
        self.say(WARNING, (str(message), names, filename, lineno))


class _Handler(logging.Handler):
    """Sends records with text in place of objects, as ``logging.handlers.QueueHandler`` does."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._relay.say(LOG, _make_plain(record))
        except Exception:
            self.handleError(record)


def _make_plain(record: logging.LogRecord) -> dict[str, Any]:
    """The record's fields, as far as they survive the journey."""
    fields = dict(record.__dict__)
    fields["msg"], fields["args"] = record.getMessage(), None
    if record.exc_info:
        fields["exc_text"] = record.exc_text or logging.Formatter().formatException(record.exc_info)
        fields["exc_info"] = None
    return {name: value if _is_plain(value) else repr(value) for name, value in fields.items()}


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


class _Lines(io.TextIOBase):
    """A text stream that sends whole lines."""

    def __init__(self, name: str, relay: Relay, before: TextIO | None) -> None:
        self._name = name
        self._relay = relay
        self._before = before
        self._rest = ""
        self._lock = threading.RLock()

    encoding = "utf-8"
    errors = "backslashreplace"

    def write(self, text: str) -> int:
        with self._lock:
            whole, end, self._rest = (self._rest + text).rpartition("\n")
            if end:
                self._relay.say(self._name, whole + end)
        return len(text)

    def end_line(self) -> None:
        """Send what has no end of line yet."""
        with self._lock:
            if self._rest:
                rest, self._rest = self._rest, ""
                self._relay.say(self._name, rest + "\n")

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Descriptor that child processes and C code write to, not through here."""
        if self._before is None:
            raise io.UnsupportedOperation
        return self._before.fileno()
