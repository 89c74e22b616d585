"""Objects of ours that a program takes for standard ones, with all it has done to their class.

A disguised class inherits from our door first and from the standard class second. So our methods
come first, and what ours lacks is the standard's own: its helpers, which run on our objects
(:mod:`poolwise.standard.pools`), and whatever a program has added to the class, before or after
the pool was made. What it has put in the place of a method goes before ours.

A program may have replaced a part of which ours has none: the worker's loop, how processes are
made. Then the standard pool is kept, as it is for a subclass.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType, new_class
from typing import Any

_RESULTS = {
    "multiprocessing.pool": {
        "async_result_class": "ApplyResult",
        "map_result_class": "MapResult",
        "ordered_class": "IMapIterator",
        "unordered_class": "IMapUnorderedIterator",
    }
}
"""Attribute of the door, which names the class of a kind of result -> its standard counterpart."""

_PARTS = {
    "multiprocessing.pool": {
        "Process", "_get_sentinels", "_get_tasks", "_get_worker_sentinels",
        "_guarded_task_generation", "_handle_results", "_handle_tasks", "_handle_workers",
        "_help_stuff_finish", "_join_exited_workers", "_maintain_pool", "_map_async",
        "_repopulate_pool", "_repopulate_pool_static", "_setup_queues", "_terminate_pool",
        "_wait_for_updates",
    },
    "concurrent.futures.process": {
        "_adjust_process_count", "_launch_processes", "_spawn_process",
        "_start_executor_manager_thread",
    },
}  # fmt: skip
"""Methods of which the standard class is made, and ours is not."""

_MODULE_PARTS = {
    "multiprocessing.pool": {
        "ApplyResult", "IMapIterator", "IMapUnorderedIterator", "MapResult", "mapstar",
        "starmapstar", "worker",
    },
    "concurrent.futures.process": {
        "_CallItem", "_ExecutorManagerThread", "_WorkItem", "_process_chunk", "_process_worker",
    },
}  # fmt: skip
"""Functions and classes of its module of which the same holds."""

_NOT_THE_PROGRAM = ("poolwise.", "_poolwise_observer.")
"""Ours, and what the doctor puts around the standard library's methods."""

_LEFT_ALONE = {"__init__", "__del__", "__next__"}
"""Methods that are ours in any case: the first makes the object ours, the second ends its workers.
`__next__` would be slower; see :class:`_Iterators`."""


def is_rebuilt(standard: type, make: Callable[..., None]) -> bool:
    """Whether the program has replaced a part of the class, ``make`` or its module that ours lacks.

    :param make: the class's `__init__` as we found it.
    """
    home = standard.__module__
    module, methods = vars(sys.modules[home]), vars(standard)
    return (
        _is_the_programs(make, home)
        or any(_is_the_programs(methods.get(name), home) for name in _PARTS[home])
        or any(_is_the_programs(module.get(name), home) for name in _MODULE_PARTS[home])
    )


def _is_the_programs(value: object, home: str) -> bool:
    """Whether it was put where a function or class of the module ``home`` was, or nothing."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    if value is None:
        return False
    if isinstance(value, FunctionType):
        made_in = str(value.__globals__.get("__name__"))
    else:
        made_in = value.__module__ if isinstance(value, type) else ""
    return made_in != home and not made_in.startswith(_NOT_THE_PROGRAM)


def disguise(door: type, standard: type) -> type:
    """A class of objects of ``door`` that are instances of ``standard`` too."""
    names = _disguise_results(door, standard)
    for name in _list_methods(door, standard):
        names[name] = _Method(door, standard, name)
    return _make(door, standard, names)


def _make(door: type, standard: type, names: dict[str, Any]) -> type:
    names |= {
        "__class__": property(lambda _: standard),
        "__module__": door.__module__,
        "__doc__": door.__doc__,
        "_poolwise_door": door,
    }
    return new_class(door.__name__, (door, standard), exec_body=lambda body: body.update(names))


def _disguise_results(door: type, standard: type) -> dict[str, Any]:
    results = _RESULTS.get(standard.__module__, {})
    module = sys.modules[standard.__module__]
    return {
        attribute: _Iterators(getattr(door, attribute), getattr(module, name))
        if "Iterator" in name
        else disguise(getattr(door, attribute), getattr(module, name))
        for attribute, name in results.items()
        if hasattr(door, attribute)
    }


def _list_methods(door: type, standard: type) -> Iterator[str]:
    """Methods of ours that a program may look for on the standard class, and replace there."""
    ours = [part for part in door.__mro__ if part not in standard.__mro__]
    for name in {name for part in ours for name in vars(part)} - _LEFT_ALONE:
        is_known = not name.startswith("_") or name in vars(standard)
        if is_known and isinstance(getattr(door, name), FunctionType):
            yield name


class _Method:
    """Method of ours, unless the program has put another one on the standard class."""

    __slots__ = ("_door", "_home", "_judged", "_name", "_namespaces")

    def __init__(self, door: type, standard: type, name: str) -> None:
        self._door = door
        self._name = name
        self._home = standard.__module__
        parts = [part for part in standard.__mro__ if part not in door.__mro__]
        self._namespaces = tuple(map(vars, parts))
        self._judged: object = None
        """What stands on the standard class, and was found not to be the program's."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        name, there = self._name, None
        for namespace in self._namespaces:
            if (there := namespace.get(name)) is not None:
                break
        if there is not self._judged:
            if _is_the_programs(there, self._home):
                bind = getattr(type(there), "__get__", None)
                return there if bind is None else bind(there, instance, owner)
            self._judged = there
        method = getattr(self._door, name)
        return method if instance is None else MethodType(method, instance)


class _Iterators:
    """The class of new iterators: one of two, by what `__next__` the standard one has now.

    To ask at each step of each loop would take longer than the step.
    """

    def __init__(self, door: type, standard: type) -> None:
        self._standard = standard
        self._usual = disguise(door, standard)
        names: dict[str, Any] = {"__next__": _Method(door, standard, "__next__")}
        self._other = new_class(
            door.__name__, (self._usual,), exec_body=lambda body: body.update(names)
        )

    def __get__(self, instance: Any, owner: type | None = None) -> type:
        step = vars(self._standard).get("__next__")
        is_usual = not _is_the_programs(step, self._standard.__module__)
        return self._usual if is_usual else self._other
