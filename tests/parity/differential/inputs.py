"""The inputs of random programs: what iterates, and what changes meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from tests.parity.differential.programs import Source
from tests.parity.differential.tasks import VALUES, Do, make_error, np


class Holder:
    """An object with one attribute."""

    def __init__(self, number):
        self.number = number

    def __repr__(self):
        return f"Holder({self.number})"


MAKE: dict[str, Callable[[Any], Any]] = {
    "clear": lambda number: [number] * 3,
    "list": lambda number: [number],
    "bytearray": lambda number: bytearray([number % 256]),
    "dict": lambda number: {"number": number},
    "object": Holder,
    "nested": lambda number: (number, {"inner": [number]}),
    "array": lambda number: np.full(3, float(number)),
    "large array": lambda number: np.full(30_000, float(number)),
}
"""Objects of a number that can be changed."""


def change(kind: str, made: Any, number: Any) -> Any:
    """Make the object another number's, or empty; returns it."""
    if kind == "clear":
        made.clear()
    elif kind == "dict":
        made["number"] = number
    elif kind == "object":
        made.number = number
    elif kind == "nested":
        made[1]["inner"][0] = number
    elif kind in {"array", "large array"}:
        made.fill(number)
    else:
        made[0] = number % 256 if kind == "bytearray" else number
    return made


ENDLESS = 1000
"""So many items are more than a program reads."""


def yielded(source: Source) -> Iterator[Any]:
    """Each item of an input, as it is when it is yielded."""
    if source.kind == "endless":
        yield from range(ENDLESS)
    for item in source.items[: source.fails_at]:
        if isinstance(item, Do) and item.what == "given":
            yield VALUES[item.arg]()
        else:
            yield item if source.mutates is None else MAKE[source.mutates](item)


class Inputs:
    """Makes inputs, changes them after their call, counts the generators that are open.

    :param call_own_pool: what a generator calls that uses its own pool.
    """

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0

    def make(self, source: Source, call_own_pool: Callable[[str], Any]) -> Any:
        """What is handed to the pool."""
        if source.kind in {"generator", "endless"}:
            return self._generate(source, call_own_pool)
        given = list(yielded(source))
        if source.kind == "dict":
            return dict.fromkeys(given)
        if source.kind == "str":
            return "".join(given)
        if source.kind == "range":
            return range(len(given))
        return _KINDS[source.kind](given)

    def _generate(self, source: Source, call_own_pool: Callable[[str], Any]) -> Iterator[Any]:
        self.opened += 1
        try:
            for at, item in enumerate(_changing(source)):
                if at == 1 and source.calls is not None:
                    call_own_pool(source.calls)
                yield item
            if source.error is not None:
                raise make_error(source.error)
            if source.kind == "endless":
                yield from count(ENDLESS)
        finally:
            self.closed += 1


def _changing(source: Source) -> Iterator[Any]:
    """The items; one that can be changed is changed when the next is asked for."""
    if source.mutates is None:
        yield from yielded(source)
        return
    one = None
    for item in source.items:
        if one is None or source.mutates in {"clear", "nested"}:
            one = MAKE[source.mutates](item)
        else:
            change(source.mutates, one, item)
        yield one
        if source.mutates in {"clear", "nested"}:
            change(source.mutates, one, -1)


def spoil(source: Source, made: Any) -> None:
    """Change what was handed in, after its call."""
    if source.kind != "generator" and source.mutates is not None:
        for item in made:
            change(source.mutates, item, -1)


class _Wraps:
    def __init__(self, items):
        self._items = items


class _ByIndex(_Wraps):
    """Has no `__iter__`, and no length."""

    def __getitem__(self, at):
        return self._items[at]


class _LongHint(_Wraps):
    """An iterator that promises more than it has."""

    def __iter__(self):
        return self

    def __next__(self):
        if not self._items:
            raise StopIteration
        return self._items.pop(0)

    def __length_hint__(self):
        return len(self._items) + 3


class _ShortHint(_LongHint):
    def __length_hint__(self):
        return max(0, len(self._items) - 2)


class _LongLength(_Wraps):
    """Says that it has more than it yields."""

    def __iter__(self):
        return iter(self._items)

    def __len__(self):
        return len(self._items) + 2


class _ShortLength(_LongLength):
    def __len__(self):
        return max(0, len(self._items) - 1)


class _Broken(_Wraps):
    """Cannot be iterated."""

    def __iter__(self):
        error = make_error("OddError")
        raise error


_KINDS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "iterator": iter,
    "getitem": _ByIndex,
    "long_hint": _LongHint,
    "short_hint": _ShortHint,
    "long_len": _LongLength,
    "short_len": _ShortLength,
    "broken_iter": _Broken,
}
