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
    family = type(wanted).__module__.partition(".")[0]
    if family == "distributed":
        from poolwise.backends.remote.dask import on_client

        return on_client(wanted)
    if family == "ray" or getattr(wanted, "__name__", None) == "ray":
        from poolwise.backends.remote.ray import on_session

        return on_session()
    if callable(getattr(wanted, "submit", None)):  # as executors of some libraries, which are none
        return on_executor(wanted)
    return None


def _by_name(name: str) -> Remote | None:
    if name == "dask" or name.startswith("dask://"):
        from poolwise.backends.remote.dask import by_address as dask_by_address

        return dask_by_address(name.removeprefix("dask").removeprefix("://"))
    if name == "ray" or name.startswith("ray://"):
        from poolwise.backends.remote.ray import by_address

        return by_address(name)
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
