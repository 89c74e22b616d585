"""Sample of the items of a call, and what they cost: each is run in the calling thread first."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from poolwise.choose import door, outside
from poolwise.choose.model import Measured
from poolwise.choose.options import Options
from poolwise.choose.run import Run
from poolwise.errors import SampleFailed
from poolwise.tuning.effort import EFFORT

if TYPE_CHECKING:
    from poolwise.choose.call import Call


@dataclass
class Sample:
    """Items to be tried, and what one of them costs.

    :param item_s: time that passed for each in a loop, whatever else the machine did.
    :param measured: costs of an item.
    :param changed: name of something outside of the function that is not what it was before.
    :param runs: calls of the function that this has cost.
    :param at_once: where items wait there are so many times more than a loop could run in a turn.
    """

    items: list[Any]
    item_s: float
    measured: Measured
    changed: str | None
    runs: int
    at_once: int = 1


def draw(call: Call, items: Sequence[Any], least: int, turn_s: float, most_s: float) -> Sample:
    """So many items, evenly spread, that a loop over them takes ``turn_s``; and their costs.

    :param least: that there must be, if there are as many.
    :param most_s: a time that no look at the items may exceed, but by one item.
    :raises SampleFailed: the function raises; the message names the item.
    """
    before = outside.digest(call.function)
    chosen, runs, is_enough = spread(items, max(EFFORT.few_items, least)), 0, False
    while not is_enough:
        measured, item_s, count = measure(call, chosen, most_s)
        runs += count
        fitting = min(least, max(2, int(most_s / item_s)))
        wanted = min(EFFORT.most_items, max(fitting, round(turn_s / item_s)))
        is_enough = min(wanted, len(items)) < 2 * len(chosen)  # else it is known better with more
        chosen = chosen if is_enough and wanted > len(chosen) else spread(items, wanted)
    changed = outside.changed_between(before, outside.digest(call.function))
    drawn = Sample(chosen, item_s, measured, changed, runs)
    if measured.is_mixed and turn_s:  # most trials run some of them at once
        drawn.at_once = EFFORT.coroutines if call.is_coroutine else EFFORT.threads
        most = max(drawn.at_once, round(drawn.at_once * turn_s / item_s))
        drawn.items = spread(items, min(EFFORT.most_items, most))
    return drawn


def spread(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many of them, evenly spread, in their order."""
    if len(items) <= most:
        return list(items)
    return [items[at * len(items) // most] for at in range(most)]


def measure(call: Call, items: list[Any], most_s: float) -> tuple[Measured, float, int]:
    """Costs of an item, seconds of one, and calls: each runs once, until time is up."""
    watched = _Watched(items, most_s)
    look = _look_at_coroutines if call.is_coroutine else _look
    begun_s = time.perf_counter()
    try:
        measured = look(call, watched)
    except Exception as error:
        raise _failed(call, watched, error) from error
    spent_s = time.perf_counter() - begun_s
    return measured, max(spent_s / max(1, watched.count), 1e-9), watched.count


def _look(call: Call, watched: _Watched) -> Measured:
    """Costs as ``poolwise.plan`` finds them."""
    run = Run(call, watched, Options.of({}))
    try:
        return run.only_plan(None).measured or Measured(0, 1e-9, 1e-9, 1e-9)
    finally:
        run.close()


def _look_at_coroutines(call: Call, watched: _Watched) -> Measured:
    """Costs of coroutines, awaited one after the other."""
    run: Any = door.starmap if call.has_many else door.map
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    run(call.function, watched, kind="serial")
    count = max(1, watched.count)
    wall_s = (time.perf_counter() - begun_s) / count
    cpu_s = min(wall_s, (time.process_time() - begun_cpu_s) / count)
    return Measured(watched.count, wall_s, cpu_s, cpu_s)


class _Watched:
    """Items as they are read, until time is up: the last one read is the one that has failed."""

    def __init__(self, items: list[Any], most_s: float) -> None:
        self._items = items
        self._most_s = most_s
        self.count = 0
        self.last: Any = None

    def __iter__(self) -> Iterator[Any]:
        begun_s = time.perf_counter()
        for item in self._items:
            if self.count and time.perf_counter() - begun_s > self._most_s:
                return
            self.count += 1
            self.last = item
            yield item


def _failed(call: Call, watched: _Watched, error: Exception) -> SampleFailed:
    shown = repr(watched.last)
    shown = shown if len(shown) <= EFFORT.most_words else f"{shown[: EFFORT.most_words]}..."
    return SampleFailed(f"{call.name}({shown}) raised {type(error).__name__}: {error}")
