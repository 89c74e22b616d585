"""Code that travels: functions and classes that a worker cannot import, by cloudpickle.

A class of the main module that arrives this way is put into the worker's main module as well. So
its instances can be sent back, and those of later tasks received, by its name like any other's.
Loaded only where code has to travel.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from cloudpickle import CloudPickler

from poolwise.wire import reducers

_MAIN = "__main__"

_STATE_SETTER = 5
"""Position in the value of `__reduce__` of what fills the new object."""

_brought: set[str] = set()
"""Classes that the main module of this process has from another one; a newer one replaces it."""


class CodePickler(CloudPickler):  # type: ignore[misc] # cloudpickle has no types
    """cloudpickle, whose classes of the main module become known there by their names."""

    def reducer_override(self, obj: Any) -> Any:
        """Pickle a function or a class; `NotImplemented` for all that needs no code."""
        reduced = super().reducer_override(obj)
        is_class = isinstance(obj, type) and obj.__module__ == _MAIN
        if is_class and isinstance(reduced, tuple) and len(reduced) > _STATE_SETTER:
            *made, fill = reduced
            return (*made, partial(_fill_and_adopt, fill, obj.__qualname__))
        return reduced


def make_pickler(file: Any, kind: type[CodePickler] = CodePickler, **options: Any) -> Any:
    """A pickler that writes the code of what a worker cannot import."""
    pickler: Any = kind.__new__(kind)
    pickler.dispatch_table = reducers.find_over(kind.dispatch_table)  # read by __init__
    pickler.__init__(file, 5, **options)
    return pickler


def _fill_and_adopt(fill: Callable[[type, Any], None], name: str, kind: type, state: Any) -> None:
    fill(kind, state)
    kind.__qualname__ = name  # cloudpickle forgets what a class was defined inside of
    main = sys.modules[_MAIN]
    if "." not in name and (name in _brought or not hasattr(main, name)):
        setattr(main, name, kind)
        _brought.add(name)


def with_classes_of_prompt(function: Callable[..., Any]) -> Any:
    """The function, with all classes of a main module that no worker can import.

    That is a notebook or a prompt. Which of them the items need is not known beforehand.
    """
    classes = () if is_importable() else tuple(_picklable_classes())
    return _Bringing(function, classes) if classes else function


def is_importable() -> bool:
    """True if the main module is a file, which a fresh worker can import."""
    return hasattr(sys.modules[_MAIN], "__file__")


def _picklable_classes() -> Iterator[type]:
    for kind in list(vars(sys.modules[_MAIN]).values()):
        if isinstance(kind, type) and kind.__module__ == _MAIN and _can_be_pickled(kind):
            yield kind


def _can_be_pickled(kind: type) -> bool:
    try:
        make_pickler(io.BytesIO()).dump(kind)
    except Exception:  # whatever a class may hold: then it cannot go, and perhaps need not
        return False
    return True


class _Bringing:
    """Pickles as the function, with classes that are loaded before it."""

    def __init__(self, function: Callable[..., Any], classes: tuple[type, ...]) -> None:
        self._parts = classes, function

    def __reduce__(self) -> tuple[Any, ...]:
        return _take_function, self._parts


def _take_function(_: tuple[type, ...], function: Callable[..., Any]) -> Callable[..., Any]:
    return function
