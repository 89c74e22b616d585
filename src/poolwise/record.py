"""Classes that are only fields, without importing dataclasses or making named tuples.

That import is a third of what ``from poolwise import Pool`` costs (``benchmarks/import_time``),
each named tuple half a millisecond in every fresh worker. Of all that they offer the core needs
fields, defaults, equality and a telling repr. To type checkers a record is a dataclass, a row a
named tuple.
"""

from __future__ import annotations

__all__ = ["Row", "record"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass as record
    from typing import Any
    from typing import NamedTuple as Row
else:
    from _collections import _tuplegetter

    class Row(tuple):
        """A tuple whose subclasses name its positions by annotating them; made by position."""

        __slots__ = ()

        def __init_subclass__(cls) -> None:
            cls._fields = tuple(cls.__annotations__)
            cls._make = classmethod(tuple.__new__)
            for at, name in enumerate(cls._fields):
                setattr(cls, name, _tuplegetter(at, None))

        def __new__(cls, *values: Any) -> Any:
            """The row of these values, one for each name."""
            return tuple.__new__(cls, values)

        def __getnewargs__(self) -> tuple:
            return tuple(self)

        def __repr__(self) -> str:
            named = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self))  # noqa: B905
            return f"{type(self).__name__}({named})"

        def _replace(self, **named: Any) -> Row:
            return self._make(map(named.get, self._fields, self))

    def record(cls: type) -> type:
        """The class with slots for its annotated names, and an ``__init__`` that fills them."""
        names = tuple(cls.__annotations__)
        defaults = {name: vars(cls)[name] for name in names if name in vars(cls)}
        taken = ", ".join(f"{n}=defaults[{n!r}]" if n in defaults else n for n in names)
        stored = "; ".join(f"self.{name} = {name}" for name in names) or "pass"
        if "__post_init__" in vars(cls):
            stored += "; self.__post_init__()"
        scope = {"defaults": defaults}
        exec(f"def __init__(self, {taken}): {stored}", scope)  # noqa: S102 - our own words
        left_out = {*names, "__dict__", "__weakref__", "__annotations__"}
        space = {name: value for name, value in vars(cls).items() if name not in left_out}
        space |= {"__slots__": names, "__init__": scope["__init__"], "__hash__": None}
        space |= {"__eq__": _is_equal, "__repr__": _show}
        return type(cls)(cls.__name__, cls.__bases__, space)


def _is_equal(self: Any, other: Any) -> Any:
    if type(self) is not type(other):
        return NotImplemented
    return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)


def _show(self: Any) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
    return f"{type(self).__name__}({fields})"
