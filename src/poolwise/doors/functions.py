"""Facts about a callable from its code, whatever partials and methods stand around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any

_WRITES = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF"})


def name_of_written(function: Callable[..., Any]) -> str | None:
    """A global or an enclosing function's variable that this function certainly assigns to.

    Read from its bytecode, and that of functions inside it; no guesses from names.
    """
    code = getattr(plain_function(function), "__code__", None)
    if not isinstance(code, CodeType):
        return None
    return next(_written(code, frozenset(code.co_freevars)), None)


def _written(code: CodeType, outer: frozenset[str]) -> Iterator[str]:
    import dis

    for step in dis.get_instructions(code):
        if step.opname in _WRITES and ("GLOBAL" in step.opname or step.argval in outer):
            yield str(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _written(constant, outer & frozenset(constant.co_freevars))


def plain_function(function: Any) -> Any:
    """The Python function behind partials, methods and callable objects."""
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, MethodType):
        return function.__func__
    if isinstance(function, (FunctionType, type)) or not callable(function):
        return function
    return getattr(type(function), "__call__", function)  # noqa: B004 - its code is wanted


_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200
"""Flags of code, as in the ``inspect`` module, which is slow to load."""


def is_generator_function(function: Any) -> bool:
    """Calling it gives a generator."""
    return _has_flag(function, _GENERATOR)


def is_coroutine_function(function: Any) -> bool:
    """Calling it gives a coroutine; of a partial or an object, what they call does."""
    return _has_flag(function, _COROUTINE) or type(_mark_of(function)) is object


def is_async_generator_function(function: Any) -> bool:
    """Calling it gives an async generator."""
    return _has_flag(function, _ASYNC_GENERATOR)


def _has_flag(function: Any, flag: int) -> bool:
    codes = (getattr(each, "__code__", None) for each in (function, plain_function(function)))
    flags = (getattr(code, "co_flags", 0) for code in codes)
    return any(type(each) is int and bool(each & flag) for each in flags)


def _mark_of(function: Any) -> Any:
    """Mark of ``inspect.markcoroutinefunction`` (Python 3.12), if it is there."""
    return getattr(plain_function(function), "_is_coroutine_marker", None)
