"""The standard library's pools as programs know them from inside: private names, patched methods.

The modules of this package are loaded when a program asks for one of those names, or `install()`
makes one of its pools ours. What stands in this file every pool loads.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

Door = TypeVar("Door", bound=type)


def offers(views: str, *names: str) -> Callable[[Door], Door]:
    """Give a class these attributes; the module ``views`` of this package makes their values."""

    def decorate(door: Door) -> Door:
        for name in names:
            setattr(door, name, StandardName(views, name))
        return door

    return decorate


class StandardName:
    """Private attribute of a standard class, on ours: made when it is read.

    A value that a program assigns takes its place. The class does not load what makes the value,
    and has no `__getattr__`, which would make every other attribute slower.
    """

    def __init__(self, views: str, name: str) -> None:
        self._views = views
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        views = import_module(f"poolwise.standard.{self._views}")
        return views.VIEWS[self._name](instance)


class Forwarded:
    """Attribute that is kept by the back end, which makes the workers of it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, door: Any, owner: type | None = None) -> Any:
        return self if door is None else getattr(door._engine._backend, self._name)  # noqa: SLF001

    def __set__(self, door: Any, value: Any) -> None:
        setattr(door._engine._backend, self._name, value)  # noqa: SLF001
