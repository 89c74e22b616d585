"""Reducers by type: those the program registered, multiprocessing's own, and ours.

The standard pools pickle with ``multiprocessing.reduction.ForkingPickler``. It knows how to hand
connections, sockets and arenas of shared memory to another process, and whatever the program
registered with it or with ``copyreg``. Plain pickle refuses some of that, and of some it copies the
number of a descriptor, which means another file, or none, in the receiver.

The standard pickler merges its table anew for every pickle, so a registration counts from the next
one on, in each process for itself. Ours is kept until one of its sources has changed.
"""

from __future__ import annotations

import copyreg
import sys
from collections.abc import Mapping
from multiprocessing import context, reduction
from types import MethodType
from typing import Any

from poolwise.payloads import registry

Reducers = dict[Any, Any]

_registered: Reducers = getattr(reduction.ForkingPickler, "_extra_reducers", {})
"""Reducers registered with ForkingPickler, changed in place; that class may itself be replaced."""

_noting: Reducers = {}
"""Reducers that note what is pickled."""


class _Table:
    """The reducers of a pickler, and what they were made from."""

    def __init__(self) -> None:
        self._copyreg: Reducers = dict(copyreg.dispatch_table)
        self._registered: Reducers = dict(_registered)
        modules = registry.modules()
        self._libraries = registry.loaded()
        # Race: another thread may be importing one of them. Then this table is not the last.
        is_whole = len(self._libraries) == sum(module is not None for module in modules)
        self._modules = modules if is_whole else ()
        self.reducers = self.over({})

    def is_current(self) -> bool:
        """True if nothing was registered since, and no library was imported. Takes 0.4 us."""
        return (
            self._registered == _registered
            and self._copyreg == copyreg.dispatch_table
            and self._modules == registry.modules()
        )

    def over(self, others: Mapping[Any, Any]) -> Reducers:
        """The table of a pickler that has some of its own: the program's come before those."""
        table = {**self.of_program(), **others, **self._registered}
        if MethodType in others and _module_of(table[MethodType]) == reduction.__name__:
            table[MethodType] = others[MethodType]  # multiprocessing's sends the name alone
        return self._with_libraries(table, beside=True)

    def of_program(self) -> Reducers:
        """Those that were registered with ``copyreg`` and with multiprocessing."""
        return {**_noting, **self._copyreg, **self._registered}

    def for_many(self) -> Reducers:
        """The table for what any number of processes load, where memory does not travel."""
        return self._with_libraries(self.of_program(), beside=False)

    def _with_libraries(self, table: Reducers, *, beside: bool) -> Reducers:
        """Ours take the place of a library's own, not of those that the program registered."""
        for library in self._libraries:
            for kind, reducer in library.reducers(beside=beside).items():
                known = table.get(kind)
                if known is None or _root_of(known) == kind.__module__.partition(".")[0]:
                    table[kind] = reducer
        return table


def _root_of(reducer: Any) -> str:
    return _module_of(reducer).partition(".")[0]


def _module_of(reducer: Any) -> str:
    return str(getattr(reducer, "__module__", ""))


_table = _Table()


def add(kind: type, reducer: Any) -> None:
    """Register a reducer of ours, for a module that is not always there."""
    global _table  # noqa: PLW0603 - as below
    _noting[kind] = reducer
    _table = _Table()


def find() -> Reducers:
    """The table for a pickler, as it is at this moment."""
    table = _table
    return table.reducers if table.is_current() else _renew().reducers


def find_over(others: Mapping[Any, Any]) -> Reducers:
    """The table for a pickler with reducers of its own, which count where the program has none."""
    return _renew().over(others)


def find_for_many() -> Reducers:
    """The table for what is pickled once, and loaded by any number of processes."""
    return _renew().for_many()


def _renew() -> _Table:
    global _table  # noqa: PLW0603 - what is registered belongs to the process as well
    table = _table
    if not table.is_current():
        table = _table = _Table()
    return table


# -- picklers that the program put in the place of the standard one


class Foreign:
    """A value as the program's own pickler packs it; unpickling this gives the value.

    :raises Exception: it cannot be pickled.
    """

    def __init__(self, value: Any, pickler: Any) -> None:
        self._pickled = bytes(pickler.dumps(value))

    def __reduce__(self) -> tuple[Any, ...]:
        return _load_foreign, (self._pickled,)


def _load_foreign(pickled: bytes) -> Any:
    return (find_replacement() or _standard).loads(pickled)


def find_replacement() -> Any | None:
    """Find the pickler that the program has put in the place of the standard one.

    The modules of pipes and of queues keep the one that they have imported.
    """
    modules = sys.modules
    of_pipes = getattr(modules.get("multiprocessing.connection"), "_ForkingPickler", None)
    of_queues = getattr(modules.get("multiprocessing.queues"), "_ForkingPickler", None)
    pickler: Any = of_pipes
    if of_pipes is None or of_pipes is _standard:
        pickler = of_queues or context.reduction.ForkingPickler  # type: ignore[attr-defined]
    is_standard = pickler is _standard and vars(pickler)["dumps"] is _standard_dumps
    return None if is_standard else pickler


def _find_standard() -> tuple[Any, Any]:
    pickler: Any = reduction.ForkingPickler
    dumps = vars(pickler).get("dumps")
    made_by = {pickler.__module__, _module_of(getattr(dumps, "__func__", None))}
    return (pickler, dumps) if made_by == {reduction.__name__} else (None, None)


_standard, _standard_dumps = _find_standard()
