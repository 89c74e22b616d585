"""Output of workers in the parent: read from their descriptors, and repeated. Only if asked for.

What they log, warn of and print comes through their result pipes (``worker.output.Relay``), what
goes past Python's streams through a pipe for each descriptor; both become ``LaneSpoke`` events.
"""

from __future__ import annotations

import builtins
import logging
import os
import select
import sys
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from poolwise.core import contract as c
from poolwise.system import descriptors
from poolwise.telemetry.live import TaskOutput
from poolwise.wire import pipes
from poolwise.worker.output import Redirect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_READ_BYTES = 64 * 1024
"""Read at once, and the longest line: what is longer is told in parts."""


class WorkerOutput(NamedTuple):
    """Record, warning or lines of a worker. ``kind``: "log", "warning", "stdout" or "stderr"."""

    kind: str
    what: Any
    lane: int
    pid: int | None
    function: str | None
    item: int | None


class OutputForwarder:
    """Repeats the output of workers: records to handlers here, warnings once, lines whole.

    :param prints: lines are written to this process's streams, not only told to listeners.
    """

    def __init__(self, *, prints: bool) -> None:
        self._prints = prints
        self._shown: set[tuple[Any, ...]] = set()

    def say(self, output: WorkerOutput) -> TaskOutput | None:
        """Say it; for lines of a task, what a listener is to be told."""
        if output.kind == "log":
            _handle(output.what)
        elif output.kind == "warning":
            self._warn(*output.what)
        else:
            return self._write(output)
        return None

    def _write(self, output: WorkerOutput) -> TaskOutput:
        if self._prints:
            stream = getattr(sys, output.kind)
            if stream is not None:
                stream.write(output.what)
                stream.flush()
        return TaskOutput(
            lane=output.lane,
            pid=output.pid,
            function=output.function,
            item=output.item,
            stream=output.kind,
            text=output.what,
        )

    def _warn(self, text: str, names: list[str], filename: str, lineno: int) -> None:
        key = (text, names[0], filename, lineno)
        if key in self._shown:
            return
        most = 10_000  # a program with more shows some twice
        if len(self._shown) < most:
            self._shown.add(key)
        known = (getattr(builtins, name, None) for name in names)
        category = next(
            (kind for kind in known if isinstance(kind, type) and issubclass(kind, Warning)),
            UserWarning,
        )
        warnings.showwarning(text, category, filename, lineno)


def _handle(fields: dict[str, Any]) -> None:
    record = logging.makeLogRecord(fields)
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


def levels_of_loggers() -> dict[str, int]:
    """The levels that are set in this process, by logger; the root's name is empty."""
    known = {name: logging.getLogger(name) for name in list(logging.root.manager.loggerDict)}
    levels = {name: logger.level for name, logger in known.items() if logger.level}
    return {"": logging.root.level, **levels}


class StdioReaders:
    """Reader of what the workers of a pool write to their descriptors 1 and 2.

    :param watch: calls back when a descriptor is readable; ``unwatch`` ends that.
    :param tell: takes the events.
    :param log_levels: of the parent's loggers, by name, for those of the workers.
    """

    def __init__(
        self,
        watch: Callable[[int, int, Callable[[int], object]], None],
        unwatch: Callable[[int], None],
        tell: Callable[[c.Event], None],
        log_levels: Mapping[str, int],
    ) -> None:
        self._watch = watch
        self._unwatch = unwatch
        self._tell = tell
        self._log_levels = log_levels
        self._streams: dict[int, list[_Stdio]] = {}

    def open(self, lane: int) -> Redirect:
        """Open the pipes that a lane's worker writes to, which are closed here afterwards.

        :raises OSError: there are no more descriptors to be had.
        """
        ends = pipes.open_two(os.pipe)
        named = zip(("stdout", "stderr"), ends, strict=True)
        self._streams[lane] = [_Stdio(name, reader) for name, (reader, _) in named]
        for stream in self._streams[lane]:
            self._watch(stream.fd, select.POLLIN, lambda _, each=stream: self._read(lane, each))  # type: ignore[misc]
        return Redirect(tuple(writer for _, writer in ends), self._log_levels)

    def read(self, lane: int, *, ends_line: bool) -> None:
        """Tell what it wrote until now.

        :param ends_line: nothing of it runs any more: lines that have no end leave too.
        """
        for stream in self._streams.get(lane, ()):
            self._read(lane, stream)
            if ends_line:
                self._say(lane, stream, stream.take_rest())

    def close(self, lane: int) -> None:
        """The worker is gone."""
        for stream in self._streams.pop(lane, ()):
            self._end(stream)

    def _read(self, lane: int, stream: _Stdio) -> None:
        """Tell the whole lines that have come, and what is left when the last writer has gone."""
        whole: list[bytes] = []
        while stream.is_open:
            try:
                data = os.read(stream.fd, _READ_BYTES)
            except BlockingIOError:
                break
            if not data:
                self._end(stream)
            lines, end, stream.rest = (stream.rest + data).rpartition(b"\n")
            whole.append(lines + end)
            if not data or len(stream.rest) > _READ_BYTES:
                whole.append(stream.take_rest())
        self._say(lane, stream, b"".join(whole))

    def _end(self, stream: _Stdio) -> None:
        if stream.is_open:
            stream.is_open = False
            self._unwatch(stream.fd)
            descriptors.disown(stream.fd)

    def _say(self, lane: int, stream: _Stdio, text: bytes) -> None:
        if text:
            told = text.decode(errors="backslashreplace")
            self._tell(c.LaneSpoke(lane, stream.name, told, None))


class _Stdio:
    """Parent's end of one of a worker's two descriptors, and the line that has no end yet."""

    __slots__ = ("fd", "is_open", "name", "rest")

    def __init__(self, name: str, fd: int) -> None:
        self.name = name
        self.fd = descriptors.own(fd)
        self.is_open = True
        self.rest = b""
        os.set_blocking(fd, False)

    def take_rest(self) -> bytes:
        """The line that has no end yet, with one."""
        rest, self.rest = self.rest, b""
        return rest + b"\n" if rest else b""
