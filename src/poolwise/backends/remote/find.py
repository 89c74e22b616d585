"""The back end that a user means by a name, a URL, an environment variable, or a live object."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from poolwise.backends.remote.executors import on_executor
from poolwise.errors import ExtraMissing

if TYPE_CHECKING:
    from poolwise.backends.remote.base import Remote


def find(wanted: Any) -> Remote | None:
    """The back end on an engine; None for what is no engine's name and no engine.

    :raises ExtraMissing: the library for it is not installed.
    :raises EngineFailed: nobody answers at that address.
    """
    if isinstance(wanted, str):
        return _by_name(wanted)
    if isinstance(wanted, Executor):
        return on_executor(wanted)
    if callable(getattr(wanted, "submit", None)):  # as executors of some libraries, which are none
        return on_executor(wanted)
    return None


def _by_name(name: str) -> Remote | None:
    if name == "loky":
        return on_executor(_reusable_loky())
    return None


def _reusable_loky() -> Executor:
    """The executor that a program shares with all its libraries."""
    try:
        from loky import get_reusable_executor
    except ImportError as error:
        what = "loky is needed for backend='loky'"
        raise ExtraMissing(what, "loky") from error
    executor: Executor = get_reusable_executor()
    return executor
