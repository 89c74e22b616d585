"""Registry of libraries whose objects a pool treats in their own way: one entry each.

An entry is loaded once its library is, never before: a program without numpy pays for nothing. To
add a library, write a module with ``LIBRARY``, an instance of a subclass of :class:`Library`, and
name it in :data:`ENTRIES`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, cast

ENTRIES = {
    "numpy": "poolwise.payloads.numpy",
    "pandas": "poolwise.payloads.pandas",
    "polars": "poolwise.payloads.polars",
    "pyarrow": "poolwise.payloads.arrow",
    "torch": "poolwise.payloads.torch",
}
"""Top-level package of a library -> the module of its entry."""

Reducer = Any
"""A function as ``copyreg.pickle`` takes it."""


class Library:
    """Entry of one library; the answers here are those for an object of no special kind."""

    whole_has = "__name__"
    """An attribute of the library's module that is there once it has been imported whole."""

    def reducers(self, *, beside: bool) -> Mapping[type, Reducer]:
        """Reducers by type, which count where the program has registered none of its own.

        :param beside: large memory travels beside the pickle, for one process; else it is copied
            into the pickle, which any number of processes load.
        """
        del beside
        return {}

    def rows(self, items: Any) -> Sequence[Any] | None:
        """The items of an input as something that slices; None: they are listed one by one."""
        del items
        return None

    def weigh(self, item: Any) -> int:
        """Memory that the object takes, in bytes."""
        size, nbytes = sys.getsizeof(item), getattr(item, "nbytes", 0)
        is_beside = isinstance(nbytes, int) and nbytes > size  # else the size has it in it
        return size + int(nbytes) if is_beside else size

    def is_immutable(self, item: Any) -> bool:
        """True if neither the object nor what it holds can change."""
        del item
        return False

    def owns_memory(self, item: Any) -> bool:
        """True if its memory can only be changed through a reference to this very object."""
        del item
        return False

    def copy(self, item: Any) -> Any | None:
        """An independent copy, where that takes less time than a pickle; else None."""
        del item
        return None

    def compact(self, values: Sequence[Any]) -> Sequence[Any]:
        """The values of a list, or what unpickles as that list and is pickled faster."""
        return values

    def as_array(self, obj: Any) -> Any | None:
        """The object as a numpy array that shares its memory, if it is nothing more than that."""
        del obj
        return None


def of(kind: type) -> Library | None:
    """The entry of the library that defines a type; None for all others."""
    module = kind.__module__
    if module == "builtins" or type(module) is not str:  # a class may call anything its module
        return None
    name = module.partition(".")[0]
    return _whole.get(name) or (_find(name) if name in ENTRIES else None)


def loaded() -> list[Library]:
    """The entries of all libraries that have been imported."""
    return [library for name in ENTRIES if (library := _find(name)) is not None]


def modules() -> tuple[Any, ...]:
    """Modules of the libraries in ``sys.modules``: when they differ, so may :func:`loaded`."""
    return tuple(map(sys.modules.get, ENTRIES))


_whole: dict[str, Library] = {}
"""Entries of libraries that were seen to be imported whole, by name."""


def _find(name: str) -> Library | None:
    """The entry of a library that has been imported; not of one that is barred or half there."""
    module = sys.modules.get(name)
    if module is None:
        return None
    library = cast("Library", import_module(ENTRIES[name]).LIBRARY)
    if not hasattr(module, library.whole_has):
        return None
    _whole[name] = library
    return library
