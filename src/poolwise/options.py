"""Options are values: checked where they are made, passed whole, changed by nobody."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any, Literal

from poolwise.record import record

ProgressKind = Literal["best", "text"]
"""The best display for where we are, or plain lines wherever we are."""


@record
class TaskRules:
    """What may become of one task.

    :param task_timeout_s: a task that runs longer is stopped, with its worker (None: no limit).
    :param retries: how often a task is run again after its worker died, after its time limit,
        or after an exception named in ``retry_on``.
    :param retry_on: exceptions of the task itself that are worth another try.
    :raises ValueError: a limit that is not positive, or a negative number of retries.
    :raises TypeError: what is no number, or no exception.
    """

    task_timeout_s: float | None = None
    retries: int = 0
    retry_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        if self.task_timeout_s is not None and not self.task_timeout_s > 0:
            message = (
                f"task_timeout must be a positive number of seconds, not {self.task_timeout_s!r}; "
                "leave it out (None) for no limit"
            )
            raise ValueError(message)
        if index(self.retries) < 0:
            message = f"retries must be 0 or more, not {self.retries!r}"
            raise ValueError(message)
        if not _are_exceptions(self.retry_on):
            message = (
                "retry_on must be an exception class or a tuple of exception classes, "
                f"not {self.retry_on!r}"
            )
            raise TypeError(message)

    def updated(self, changes: dict[str, Any]) -> TaskRules:
        """These rules with those of one call (``task_timeout``, ``retries``, ``retry_on``).

        :raises TypeError: there is no rule of that name.
        """
        if not changes:
            return self
        unknown = changes.keys() - {"task_timeout", "retries", "retry_on"}
        if unknown:
            message = (
                f"unknown argument {min(unknown)!r}; a call's own rules are task_timeout, "
                "retries, retry_on and progress"
            )
            raise TypeError(message)
        return TaskRules(
            changes.get("task_timeout", self.task_timeout_s),
            changes.get("retries", self.retries),
            changes.get("retry_on", self.retry_on),
        )


def _are_exceptions(kinds: Any) -> bool:
    """An exception class, or a tuple of them."""
    classes = kinds if isinstance(kinds, tuple) else (kinds,)
    return all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in classes)


def checked_progress(progress: object) -> ProgressKind | None:
    """How progress shall be shown; None: not at all.

    :raises ValueError: it is neither a yes or no nor ``"text"``.
    """
    if progress is True or progress == "text":
        return "text" if progress == "text" else "best"
    if not progress:
        return None
    message = (
        f"progress must be True (the best display there is here), 'text' (plain lines) or False, "
        f"not {progress!r}"
    )
    raise ValueError(message)


def take_progress(rules: dict[str, Any], default: ProgressKind | None) -> ProgressKind | None:
    """How a call's progress shall be shown: its own wish, taken out of its rules, or the pool's."""
    return checked_progress(rules.pop("progress")) if "progress" in rules else default


OutputMode = Literal["off", "on", "captured"]
OUTPUT_MODES = ("off", "on", "captured")
"""What becomes of what worker processes print, log and warn of: they do so themselves; the parent
does, with its own handlers, each warning once and lines whole; or the same, but printed lines are
only told to the listener, with the task that printed them."""

LedgerLevel = Literal["off", "chunks", "items"]
LEDGER_LEVELS = ("off", "chunks", "items")
"""How much a pool's account knows: nothing of its workers; where their time went, chunk by chunk,
with the items that take longer than 0.1 ms timed one by one; or every item by itself."""


@record
class Insight:
    """How much of a pool's inner life is kept and told.

    :param ledger: one of :data:`LEDGER_LEVELS`.
    :param on_event: is called with what happens (:mod:`poolwise.core.live`).
    :param output: one of :data:`OUTPUT_MODES`.
    :raises ValueError: there is no such level.
    """

    ledger: LedgerLevel = "chunks"
    on_event: Callable[[Any], object] | None = None
    output: OutputMode = "off"

    def __post_init__(self) -> None:
        if self.ledger not in LEDGER_LEVELS:
            levels = ", ".join(map(repr, LEDGER_LEVELS))
            message = f"ledger must be one of {levels}, not {self.ledger!r}"
            raise ValueError(message)
        if self.output not in OUTPUT_MODES:
            modes = ", ".join(map(repr, OUTPUT_MODES))
            message = f"worker_output must be one of {modes}, not {self.output!r}"
            raise ValueError(message)


DEFAULT_INSIGHT = Insight()


def checked_chunksize(chunksize: int | None) -> int | None:
    """``chunksize`` as the standard pools take it, or None to choose.

    :raises ValueError: it is less than 1, or not whole.
    :raises TypeError: it is no number.
    """
    if chunksize is None:
        return None
    if chunksize < 1 or isinstance(chunksize, float):
        message = (
            f"chunksize must be >= 1 and whole, not {chunksize!r}; leave it out to let the pool "
            "choose"
        )
        raise ValueError(message)
    return index(chunksize)


def checked_buffersize(size: object) -> int | None:
    """``buffersize`` as Python 3.14 takes it, or None for as much as keeps the workers busy.

    :raises TypeError: it is not an integer.
    :raises ValueError: it is less than 1.
    """
    if size is None:
        return None
    if not isinstance(size, int):
        message = "buffersize must be an integer or None"
        raise TypeError(message)
    if size < 1:
        message = "buffersize must be None or > 0"
        raise ValueError(message)
    return size
