"""``Pool(state={...})``: what every worker has from its start; tasks find it in ``poolwise.state``.

A value that is a function is called once in each worker (a connection, a model that is loaded
there). All others reach it by the cheapest way: forked workers inherit them, fresh interpreters
map one common copy, of which each may write its own pages.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, TypeVar

from poolwise.errors import OutOfSharedMemory
from poolwise.shared.objects import Shared, share
from poolwise.shared.packing import HoldsDescriptor
from poolwise.wire import codec, pickling

T = TypeVar("T")

_MAKERS = (FunctionType, BuiltinFunctionType, MethodType, partial, type)
"""Types that are called to make the value; other callables, such as models, are values."""

_of_process: Mapping[str, Any] = {}
_of_lane: ContextVar[Mapping[str, Any] | None] = ContextVar("poolwise_state", default=None)
"""A pool of threads has its workers in this process, where other pools may have theirs."""


class State(Mapping[str, Any]):
    """The values that the pool of this worker was given as ``state``, by name."""

    def __getitem__(self, name: str) -> Any:
        values = current()
        try:
            return values[name]
        except KeyError:
            names = ", ".join(map(repr, values)) or "nothing: it is filled in workers only"
            message = f"no {name!r} in poolwise.state, which has {names}"
            raise KeyError(message) from None

    def __iter__(self) -> Iterator[str]:
        return iter(current())

    def __len__(self) -> int:
        return len(current())

    def __reduce__(self) -> str:
        return "state"  # a task that is sent with its code finds the worker's own

    def __repr__(self) -> str:
        return f"<poolwise.state: {', '.join(current()) or 'empty'}>"


state = State()


def current() -> Mapping[str, Any]:
    """The values of the worker that runs this."""
    values = _of_lane.get()
    return _of_process if values is None else values


@contextmanager
def used(values: Mapping[str, Any] | None) -> Iterator[None]:
    """Let :data:`state` be these values in this thread, for a while."""
    token = _of_lane.set(values)
    try:
        yield
    finally:
        _of_lane.reset(token)


class Preload:
    """An initializer that fills the worker's state, then calls the user's own.

    :param values: what was given as ``state``.
    :param initializer: called afterwards, with the pool's ``initargs``.
    :param is_process: the workers are processes, which have one state each.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        initializer: Callable[..., object] | None,
        *,
        is_process: bool,
    ) -> None:
        _check_names(values)
        self._makers: dict[str, Any] = {k: v for k, v in values.items() if isinstance(v, _MAKERS)}
        self._values = {k: v for k, v in values.items() if k not in self._makers}
        self._packed: Shared[dict[str, Any]] | None = None
        self._initializer = initializer
        self._is_process = is_process

    def __call__(self, *initargs: Any) -> None:
        """Make or map the values, then call the user's initializer."""
        global _of_process  # noqa: PLW0603 - one process, one state
        values = {**self._values, **(self._packed.get() if self._packed else {})}
        values.update((name, _load(maker)()) for name, maker in self._makers.items())
        if self._is_process:
            _of_process = values
        else:
            _of_lane.set(values)
        if self._initializer is not None:
            self._initializer(*initargs)

    def pack(self) -> Preload:
        """Make ready for workers that inherit nothing: pickle everything now, once for all of them.

        What is shared already goes along as a handle.

        :raises TypeError: a value cannot be pickled.
        :raises OutOfSharedMemory: the system or a limit refuses.
        """
        plain = {k: v for k, v in self._values.items() if not _is_shared(v)}
        self._values = {k: v for k, v in self._values.items() if k not in plain}
        self._makers = {k: _dump(k, v) for k, v in self._makers.items()}
        try:
            self._packed = _share_all(plain) if plain else None
        except HoldsDescriptor:  # it is handed to each worker while that is being started
            self._values.update(plain)
        return self


def _check_names(values: Any) -> None:
    if not isinstance(values, Mapping):
        message = f"state must be a dict of values by their names, not {values!r}"
        raise TypeError(message)


def _share_all(values: dict[str, Any]) -> Shared[dict[str, Any]]:
    try:
        return share(values, "copy-on-write")
    except (OutOfSharedMemory, HoldsDescriptor):
        raise
    except Exception:
        for name, value in values.items():
            _check(name, partial(share, value))
        raise


def _check(name: str, pickle_it: Callable[[], T]) -> T:
    try:
        return pickle_it()
    except Exception as error:
        message = (
            f"state[{name!r}] cannot be pickled ({error}), and workers that are not forked inherit "
            "nothing. Give a function instead, which makes the value in each worker"
        )
        raise TypeError(message) from error


def _dump(name: str, maker: Callable[[], Any]) -> bytes:
    return _check(name, partial(pickling.dumps_function, maker))


def _load(maker: Callable[[], Any] | bytes) -> Callable[[], Any]:
    made: Callable[[], Any] = codec.loads(maker) if isinstance(maker, bytes) else maker
    return made


def _is_shared(value: Any) -> bool:
    """True if it pickles as a handle."""
    arrays = sys.modules.get("poolwise.shared.arrays")
    return isinstance(value, Shared) or (
        arrays is not None and isinstance(value, arrays.SharedArray)
    )
