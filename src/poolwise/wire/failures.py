"""Exceptions on their way home: the exception itself where it survives, always its traceback.

Whether an exception can be rebuilt is tried where it was raised, because there it can still be
described; an exception that breaks while it is unpickled is the classic way to hang a pool.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from poolwise import errors
from poolwise.wire import codec, pickling


def encode(error: BaseException) -> codec.Failure:
    """Describe ``error`` so that :func:`decode` can raise it again, of the same type if it can."""
    text = _traceback_of(error)
    try:
        return _checked(error), text
    except BaseException as why:
        try:
            return _checked(_Bare(error)), text
        except BaseException:
            return _checked(errors.ResultNotPicklable(why, error)), text


def refused(error: BaseException, value: object) -> codec.Failure:
    """Describe a result that could not be pickled, in the words of ``multiprocessing.Pool``."""
    if not isinstance(error, Exception):
        return encode(error)
    return encode(errors.ResultNotPicklable(error, value))


def decode(
    failure: codec.Failure, as_cause: Callable[[str], BaseException] = errors.RemoteTraceback
) -> BaseException:
    """Rebuild the exception; the traceback of the worker becomes its ``__cause__``."""
    pickled, text = failure
    try:
        error: BaseException = codec.loads(pickled)
    except BaseException as why:
        error = errors.ResultNotLoadable(
            f"the task raised an exception that cannot be rebuilt in this process ({why!r}); "
            "its traceback stands above"
        )
    error.__cause__ = as_cause(text)
    return error


def detach(
    error: BaseException, as_cause: Callable[[str], BaseException] = errors.RemoteTraceback
) -> BaseException:
    """Put the traceback of an error of this process into words, and let go of its frames.

    They are those of the pool at work: whoever kept the error would keep all of it alive.
    """
    text = _traceback_of(error) if error.__cause__ is None else None
    at: BaseException | None = error
    while at is not None and at.__traceback__ is not None:
        at.__traceback__ = None
        at = at.__cause__ or at.__context__
    if text is not None:
        error.__cause__ = as_cause(text)
    return error


def mark_unsent(error: BaseException) -> BaseException:
    """Note on an error that what it is about never left this process: no function has seen it."""
    error.__dict__["is_unsent"] = True
    return error


def _traceback_of(error: BaseException) -> str:
    """Its traceback as text; a process without descriptors cannot import what writes it."""
    try:
        import traceback
    except (ImportError, OSError) as why:
        return _causes_of(error) + f"(without its traceback: {why})\n"
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except BaseException as why:  # its __str__ can raise anything, SystemExit too
        stack = "".join(traceback.format_tb(error.__traceback__))
        return f"{stack}{type(error).__qualname__}, which cannot say more: {type(why).__name__}\n"


def _causes_of(error: BaseException | None) -> str:
    """The exception and what led to it, in the order they were raised, one a line."""
    lines = ""
    while error is not None:
        lines = f"{type(error).__name__}: {error}\n{lines}"
        error = error.__cause__ or error.__context__
    return lines


def _checked(error: object) -> bytes:
    """Its pickle, if such a one can be rebuilt; not the same one: what it shares was received."""
    if not isinstance(codec.loads(pickling.dumps(error)), BaseException):
        message = f"{error!r} does not unpickle as an exception"
        raise pickle.PicklingError(message)
    return pickling.dumps(error)


class _Bare:
    """An exception taken apart: its class, ``args`` and attributes, without its constructor."""

    def __init__(self, error: BaseException) -> None:
        self._parts = (type(error), error.args, error.__dict__)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_bare, self._parts


def _rebuild_bare(
    kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]
) -> BaseException:
    error: BaseException = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error
