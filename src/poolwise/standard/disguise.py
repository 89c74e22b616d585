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
from collections.abc import Callable
from types import FunctionType, MethodType, new_class
from typing import Any

_RESULTS = {
    "multiprocessing.pool": {
        "_async_result_class": "ApplyResult",
        "_map_result_class": "MapResult",
        "_ordered_class": "IMapIterator",
        "_unordered_class": "IMapUnorderedIterator",
    }
}
"""Attribute of the door, which names the class of a kind of result -> its standard counterpart."""

_PARTS = {
    "multiprocessing.pool": {
        "Process", "_check_running", "_get_sentinels", "_get_tasks", "_get_worker_sentinels",
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

_LEFT_ALONE = {"__init__", "__del__"}
"""Methods that are ours in any case: one makes the object ours, the other ends its workers."""


def is_rebuilt(standard: type, make: Callable[..., None]) -> bool:
    """True when the program has replaced a part of the class or its module that ours lacks.

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
    """True for what a program put where a function of the module ``home`` was, or nothing."""
    if value is None:
        return False
    # By their type, for wrappers say of themselves that they are what they wrap.
    if type(value) in {staticmethod, classmethod}:
        value = value.__func__  # type: ignore[attr-defined]
    if type(value) is FunctionType:
        made_in = str(value.__globals__.get("__name__"))
    else:
        made_in = str(value.__module__) if issubclass(type(value), type) else ""
    return made_in != home and not made_in.startswith(_NOT_THE_PROGRAM)


def disguise(door: type, standard: type) -> type:
    """A class of objects of ``door`` that are instances of ``standard`` too."""
    names: dict[str, Any] = {
        attribute: _make(kind, counterpart, {})
        for attribute, kind, counterpart in _list_results(door, standard)
    }
    for name in _list_methods(door, standard):
        names[name] = _Method(door, standard, name)
    return _make(door, standard, names)


def replace_results(door: Any, standard: type) -> None:
    """Let an object of ours give out results with the methods that the program has put on theirs.

    Looked at when a pool is made: for each result, or each step of an iterator, it would take as
    long as making the result, or as the step.
    """
    home = standard.__module__
    for attribute, kind, counterpart in _list_results(door, standard):
        parts = [vars(part) for part in reversed(counterpart.__mro__[:-1])]
        there = {name: value for part in parts for name, value in part.items()}
        theirs = {
            name: there[name]
            for name in _list_methods(kind, counterpart)
            if _is_the_programs(there.get(name), home)
        }
        if theirs:
            ours = getattr(kind, "_poolwise_door", kind)
            setattr(door, attribute, _make(ours, counterpart, theirs))


def _list_results(door: Any, standard: type) -> list[tuple[str, type, type]]:
    module, results = sys.modules[standard.__module__], _RESULTS.get(standard.__module__, {})
    return [
        (attribute, getattr(door, attribute), getattr(module, name))
        for attribute, name in results.items()
        if hasattr(door, attribute)
    ]


def _make(door: type, standard: type, names: dict[str, Any]) -> type:
    names |= {
        "__class__": property(lambda _: standard),
        "__module__": door.__module__,
        "__doc__": door.__doc__,
        "_poolwise_door": door,
    }
    return new_class(door.__name__, (door, standard), exec_body=lambda body: body.update(names))


def _list_methods(door: type, standard: type) -> set[str]:
    """Methods of ours that a program may look for on the standard class, and replace there."""
    ours = [part for part in door.__mro__ if part not in standard.__mro__]
    names = {name for part in ours for name in vars(part)} - _LEFT_ALONE
    return {
        name
        for name in names
        if (not name.startswith("_") or name.endswith("__"))
        and isinstance(getattr(door, name), FunctionType)
    }


class _Method:
    """Method of ours, unless the program has put another one on the standard class."""

    __slots__ = ("_door", "_home", "_judged", "_name", "_namespace")

    def __init__(self, door: type, standard: type, name: str) -> None:
        self._door = door
        self._name = name
        self._home = standard.__module__
        self._namespace = vars(standard)
        self._judged: object = None
        """Value on the standard class that was found not to be the program's."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        there = self._namespace.get(self._name)
        if there is not self._judged:
            if _is_the_programs(there, self._home):
                bind = getattr(type(there), "__get__", None)
                return there if bind is None else bind(there, instance, owner)
            self._judged = there
        method = getattr(self._door, self._name)
        return method if instance is None else MethodType(method, instance)
