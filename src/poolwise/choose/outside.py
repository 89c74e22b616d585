"""Data that a function reads beside its arguments, and changes to it.

A worker process has the globals of the moment in which it was started, and what it writes to them
nobody sees. So what a function reads there travels with it, and a function that changes something
outside of itself is kept in the calling process.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from poolwise.choose.limits import LIMITS
from poolwise.doors.functions import plain_function

Outside = dict[tuple[str, str], Any]
"""Values by module and name."""


def read_outside(function: Callable[..., Any]) -> Outside:
    """Global data that a function reads, and that functions read which it names.

    Modules, functions and classes are left out: workers find those by their names.
    """
    found: Outside = {}
    todo, seen = [plain_function(function)], set[int]()
    while todo and len(seen) < LIMITS.most_functions:
        current = todo.pop()
        if id(current) in seen or not isinstance(current, FunctionType):
            continue
        seen.add(id(current))
        if not _is_of_program(current.__module__):
            continue
        for module, name, value in _globals_of(current):
            if isinstance(value, FunctionType):
                todo.append(value)
            elif not isinstance(value, (ModuleType, type)) and _is_data(value, name):
                found[module, name] = value
    return found


def _globals_of(function: FunctionType) -> Iterator[tuple[str, str, Any]]:
    space = function.__globals__
    module = space.get("__name__")
    if not isinstance(module, str):
        return
    for name in _names_in(function.__code__):
        if name in space:
            yield module, name, space[name]


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _is_of_program(module: str | None) -> bool:
    """Not of the standard library or an installed package."""
    if module is None or module.partition(".")[0] in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return "site-packages" not in file


def _is_data(value: Any, name: str) -> bool:
    is_callable_of_library = callable(value) and hasattr(value, "__wrapped__")
    return not name.startswith("__") and not is_callable_of_library


def part(outside: Outside) -> tuple[dict[tuple[str, str], bytes], dict[tuple[str, str], int]]:
    """Split into what is small enough to travel, pickled, and the identity of the rest.

    What cannot be pickled is of neither: a worker has its own, from its start.
    """
    small: dict[tuple[str, str], bytes] = {}
    large: dict[tuple[str, str], int] = {}
    for key, value in outside.items():
        if not _is_small(value):
            large[key] = id(value)
        elif (pickled := _pickled(value)) is not None:
            small[key] = pickled
    return small, large


def _is_small(value: Any) -> bool:
    """Found without pickling it, by looking at some thousand parts at most."""
    room, todo = LIMITS.most_outside_bytes, [value]
    while todo and room > 0:
        current = todo.pop()
        room -= sys.getsizeof(current, 64) + getattr(current, "nbytes", 0)
        if isinstance(current, dict):
            todo += [*current.keys(), *current.values()] if len(current) < room else [current]
        elif isinstance(current, (list, tuple, set, frozenset)):
            todo += current
        elif not isinstance(current, type):
            todo += [getattr(current, "__dict__", ())]
    return room > 0


def _pickled(value: Any) -> bytes | None:
    try:
        pickled = pickle.dumps(value, 5)
    except Exception:  # a lock, a socket, a logger: nothing that travels
        return None
    return pickled if len(pickled) <= LIMITS.most_outside_bytes else None


def digest(function: Callable[..., Any]) -> dict[Any, bytes]:
    """The function's state and what it reads, for comparison before and after it has run."""
    found: dict[Any, bytes] = dict(part(read_outside(function))[0])
    owner = getattr(function, "__self__", None)
    has_state = owner is not None and not isinstance(owner, (ModuleType, type))
    if has_state and _is_small(owner) and (pickled := _pickled(owner)) is not None:
        found["its object"] = pickled
    return found


def has_state(function: Callable[..., Any]) -> bool:
    """True if it may change something that it reads, or its own object."""
    owner = getattr(function, "__self__", None)
    is_of_object = owner is not None and not isinstance(owner, (ModuleType, type))
    return is_of_object or any(
        not isinstance(value, (int, float, complex, str, bytes, type(None)))
        for value in read_outside(function).values()
    )


def changed_between(before: dict[Any, bytes], after: dict[Any, bytes]) -> str | None:
    """The name of something that is not what it was."""
    for key, pickled in before.items():
        if after.get(key) != pickled:
            return key if isinstance(key, str) else key[1]
    return None


class Carrying:
    """A function that is pickled with what it reads; a worker gets the bare function."""

    def __init__(self, function: Callable[..., Any], outside: dict[tuple[str, str], bytes]) -> None:
        self._parts = function, outside
        self.__qualname__ = getattr(function, "__qualname__", type(function).__qualname__)

    def __call__(self, *args: Any) -> Any:
        """Call the function, in the process that has it."""
        return self._parts[0](*args)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpack, self._parts


def _unpack(
    function: Callable[..., Any], outside: dict[tuple[str, str], bytes]
) -> Callable[..., Any]:
    """In the worker: make what has changed since it began as it is in the parent."""
    for (module, name), pickled in outside.items():
        space = vars(sys.modules[module]) if module in sys.modules else None
        if space is not None and _differs(space, name, pickled):
            space[name] = pickle.loads(pickled)
    return function


def _differs(space: dict[str, Any], name: str, pickled: bytes) -> bool:
    """True unless it is equal: what is compared by identity, as a sentinel is, must stay."""
    try:
        return name not in space or pickle.dumps(space[name], 5) != pickled
    except Exception:
        return True
