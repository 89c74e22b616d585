"""Options of a run, checked where they are given."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, Any, TypedDict

from poolwise.options import ProgressKind, checked_progress
from poolwise.record import record
from poolwise.system.limits import unread_limit_bytes

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext


class RunSettings(TypedDict, total=False):
    """Options of one run.

    :param ordered: results in the order of their source items (True), or as they come.
    :param cpus: CPUs that process stages may use (None: all that this process may use).
    :param max_bytes: bytes that may wait between stages (None: a sixteenth of the memory).
    :param window: items that a stage may be ahead of the next one (None: as measured, 8 to 1024).
    :param progress: True for a row a stage on standard error.
    :param seed: of :func:`poolwise.pipeline.steps.rng`.
    :param context: start method of the worker processes.
    """

    ordered: bool
    cpus: int | None
    max_bytes: int | None
    window: int | None
    progress: bool
    seed: int | str | None
    context: BaseContext | str | None


@record
class RunOptions:
    """Options of one run, checked.

    :raises ValueError: a number is out of range.
    :raises TypeError: a value is of the wrong kind.
    """

    ordered: bool = True
    cpus: int | None = None
    max_bytes: int | None = None
    window: int | None = None
    progress: ProgressKind | None = None
    seed: int | str | None = None
    context: Any = None

    @classmethod
    def of(cls, settings: RunSettings) -> RunOptions:
        """Settings as a caller has given them.

        :raises TypeError: there is no option of that name.
        """
        if unknown := set(settings) - RunSettings.__annotations__.keys():
            names = ", ".join(RunSettings.__annotations__)
            message = f"unknown argument {min(unknown)!r} of a pipe's run; there are {names}"
            raise TypeError(message)
        return cls(
            bool(settings.get("ordered", True)),
            _checked_count(settings.get("cpus"), "cpus", "CPUs"),
            _checked_count(settings.get("max_bytes"), "max_bytes", "bytes"),
            _checked_count(settings.get("window"), "window", "items"),
            checked_progress(settings.get("progress", False)),
            settings.get("seed"),
            settings.get("context"),
        )

    def most_bytes(self) -> int:
        """Bytes that may wait between stages."""
        return unread_limit_bytes() if self.max_bytes is None else self.max_bytes


def _checked_count(value: Any, what: str, unit: str) -> int | None:
    if value is None:
        return None
    try:
        number = 0 if isinstance(value, bool) else index(value)
    except TypeError:
        number = 0
    if number < 1:
        message = f"{what} must be a number of {unit}, 1 or more, or None, not {value!r}"
        raise ValueError(message)
    return number
