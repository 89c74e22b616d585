"""Values of an answer, and the errors of those that cannot be rebuilt in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from poolwise import errors
from poolwise.core.signals import find_raised, interruptible
from poolwise.wire import failures


def load_each(loads: Iterable[Callable[[], Any]], failed: dict[int, BaseException]) -> list[Any]:
    """Rebuild values one by one; those that cannot be rebuilt are named in ``failed``."""
    values: list[Any] = []
    for at, load in enumerate(loads):
        try:
            with interruptible:
                values.append(load())
        except BaseException as error:
            failed[at] = not_loadable(error)
            values.append(None)
    return values


def detached(
    error: BaseException, as_cause: Callable[[str], BaseException] = errors.RemoteTraceback
) -> BaseException:
    """The error that ended the program's own code, or what a signal's handler raised in it."""
    if isinstance(error, KeyboardInterrupt):
        return find_raised(error)
    return failures.detach(error, as_cause)


def not_loadable(error: BaseException) -> errors.PoolwiseError:
    """Error of a task that ended well, and whose result cannot be rebuilt."""
    error = detached(error)
    said: errors.PoolwiseError = errors.ResultNotLoadable(
        f"the task ended well but its result cannot be rebuilt in this process: {error!r}"
    )
    said.__cause__ = error
    return said
