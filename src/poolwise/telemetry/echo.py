"""What workers print, log and warn of, said again in the parent. Loaded where that is asked for."""

from __future__ import annotations

import builtins
import logging
import sys
import warnings
from typing import Any, NamedTuple

from poolwise.telemetry.live import TaskOutput

_MOST_REMEMBERED = 10_000
"""Different warnings that are remembered as shown."""


class Spoken(NamedTuple):
    """One thing that a worker said. ``kind``: "log", "warning", "stdout" or "stderr"."""

    kind: str
    what: Any
    lane: int
    pid: int | None
    function: str | None
    item: int | None


class Echo:
    """Says it again: records to this process's handlers, warnings once, lines whole.

    :param prints: lines are written to this process's streams, not only told to listeners.
    """

    def __init__(self, *, prints: bool) -> None:
        self._prints = prints
        self._shown: set[tuple[Any, ...]] = set()

    def say(self, spoken: Spoken) -> TaskOutput | None:
        """Say it; for lines of a task, what a listener is to be told."""
        if spoken.kind == "log":
            _handle(spoken.what)
        elif spoken.kind == "warning":
            self._warn(*spoken.what)
        else:
            return self._write(spoken)
        return None

    def _write(self, spoken: Spoken) -> TaskOutput:
        if self._prints:
            stream = getattr(sys, spoken.kind)
            if stream is not None:
                stream.write(spoken.what)
                stream.flush()
        return TaskOutput(
            lane=spoken.lane,
            pid=spoken.pid,
            function=spoken.function,
            item=spoken.item,
            stream=spoken.kind,
            text=spoken.what,
        )

    def _warn(self, text: str, names: list[str], filename: str, lineno: int) -> None:
        key = (text, names[0], filename, lineno)
        if key in self._shown:
            return
        if len(self._shown) < _MOST_REMEMBERED:
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
