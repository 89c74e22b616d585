"""Random numbers that belong to the item: the same whoever runs it, where, and beside what."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from typing import Any

_item: ContextVar[tuple[int, int] | None] = ContextVar("poolwise_seeded_item", default=None)
_made: ContextVar[Any] = ContextVar("poolwise_generator", default=None)


def rng() -> Any:
    """Random numbers of the item that runs, if its call was given a ``seed=``; else of nobody.

    A :class:`numpy.random.Generator` where numpy is installed, else a :class:`random.Random`. Each
    item has one stream, which goes on from call to call of this.
    """
    made = _made.get()
    if made is None:
        made = _generator(_item.get())
        if _item.get() is not None:
            _made.set(made)
    return made


@cache
def _numpy() -> Any:
    """numpy, if it is installed."""
    try:
        import numpy as np
    except ImportError:
        return None
    return np


def _sequence(item: tuple[int, int] | None) -> Any:
    seed, index = item or (None, 0)
    return _numpy().random.SeedSequence(seed, spawn_key=() if item is None else (index,))


def _generator(item: tuple[int, int] | None) -> Any:
    if _numpy() is not None:
        return _numpy().random.Generator(_numpy().random.PCG64(_sequence(item)))
    return random.Random(None if item is None else _text(item))  # noqa: S311 - no secrets


def _text(item: tuple[int, int]) -> str:
    return f"{item[0]}:{item[1]}"


class Seeded:
    """A function with the streams of its items: it takes an item with its position before it.

    What the program has in ``random`` and ``numpy.random`` is put back after each item.

    :param is_alone: no other item runs in this process meanwhile. Then the global generators are
        seeded as well; threads and coroutines have :func:`rng` alone.
    """

    def __init__(
        self, function: Callable[..., Any], seed: int, *, has_many: bool, is_alone: bool = True
    ) -> None:
        self.function = function
        self.seed = seed
        self.has_many = has_many
        self.is_alone = is_alone
        self.uses_global = False
        """An item has drawn from a global generator."""

    def beside_others(self) -> Seeded:
        """Seeding for items that share a process."""
        return Seeded(self.function, self.seed, has_many=self.has_many, is_alone=False)

    def __call__(self, numbered: tuple[int, Any]) -> Any:
        """Run the function on an item, with the item's own random streams."""
        index, item = numbered
        place = _item.set((self.seed, index)), _made.set(None)
        try:
            if self.is_alone:
                return self._with_globals(index, item)
            return self._call(item)
        finally:
            _item.reset(place[0])
            _made.reset(place[1])

    def _call(self, item: Any) -> Any:
        return self.function(*item) if self.has_many else self.function(item)

    async def awaited(self, numbered: tuple[int, Any]) -> Any:
        """Seeding of a coroutine function; each task has a context of its own."""
        _item.set((self.seed, numbered[0]))
        _made.set(None)
        return await self._call(numbered[1])

    def _with_globals(self, index: int, item: Any) -> Any:
        before = _global_state()
        _seed_globals((self.seed, index))
        seeded = random.getstate(), _legacy_state()
        try:
            return self._call(item)
        finally:
            if not self.uses_global:
                self.uses_global = (random.getstate(), _legacy_state()) != seeded
            _restore(before)


def _seed_globals(item: tuple[int, int]) -> None:
    if _numpy() is None:
        random.seed(_text(item))
        return
    words = _sequence(item).generate_state(8)
    random.seed(int.from_bytes(words[:4].tobytes(), "little"))
    _numpy().random.seed(words[4:])


def _global_state() -> tuple[Any, Any]:
    return random.getstate(), None if _numpy() is None else _numpy().random.get_state()


def _legacy_state() -> Any:
    """State of numpy's global generator, as something that compares."""
    if _numpy() is None:
        return None
    name, words, *rest = _numpy().random.get_state()
    return name, words.tobytes(), *rest


def _restore(state: tuple[Any, Any]) -> None:
    random.setstate(state[0])
    if state[1] is not None:
        _numpy().random.set_state(state[1])
