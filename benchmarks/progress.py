"""Showing progress costs less than 2 %: the same maps with and without a display.

What is measured is the CPU time of the parent and its workers: unlike the time on the wall it can
be told to one per cent on a machine that does other things as well.
"""

from __future__ import annotations

import io
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks import peers
from benchmarks.harness import units
from benchmarks.harness.check import assert_same
from benchmarks.harness.model import Claim, Entrant, Target
from benchmarks.maps import by_pool
from benchmarks.tasks import burn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

_TINY = 4_000_000
_TASKS = 20_000
_LOOPS = 10_000  # some 0.1 ms
_CHUNK = 1_000


class _Terminal(io.TextIOWrapper):
    """Says that it is a terminal, and forgets what is written: only the drawing is measured."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)


@contextmanager
def before_a_terminal(open_pool: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
    """The pool, while standard error is a terminal."""
    with open_pool() as pool:
        stderr, sys.stderr = sys.stderr, _Terminal()
        try:
            yield pool
        finally:
            sys.stderr = stderr


def cpu_time_per_item(run: Callable[[Any], Any], load: Any) -> tuple[float, Any]:
    """CPU-seconds of this process and its children per item of the load; and the results."""
    start_s = cpu_time()
    results = run(load)
    return (cpu_time() - start_s) / len(load), results


def cpu_time() -> float:
    """Of this process and of the children that live; in steps of 10 ms for these."""
    times = [child.cpu_times() for child in psutil.Process().children()]
    return time.process_time() + sum(each.user + each.system for each in times)


def by_tqdm(pool: Any, items: list[int]) -> list[int]:
    from tqdm import tqdm

    return list(tqdm(pool.imap(burn, items, chunksize=_CHUNK), total=len(items)))


_ours = partial(before_a_terminal, peers.poolwise_pool)
_mp_pool = partial(before_a_terminal, peers.mp_pool)
_mpire_pool = partial(before_a_terminal, partial(peers.mpire_pool, keep_alive=True))
_mpire_map = by_pool(burn, progress_bar=True, chunk_size=_CHUNK)

CLAIM = Claim(
    title="CPU time, all in all, of a map whose progress is shown in a terminal",
    cases={
        f"{_TINY:,} items of 0.1 us": lambda: [0] * _TINY,
        f"{_TASKS:,} items of 0.1 ms": lambda: [_LOOPS] * _TASKS,
    },
    measure=cpu_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=assert_same,
    entrants=[
        Entrant("progress=True", by_pool(burn, progress=True), _ours),
        Entrant('progress="text"', by_pool(burn, progress="text"), _ours),
        Entrant("without", by_pool(burn), _ours),
        Entrant("mp.Pool.imap, chunksize, tqdm", by_tqdm, _mp_pool, portion=0.2),
        Entrant("mpire, progress_bar, chunk_size", _mpire_map, _mpire_pool, portion=0.02),
    ],
    targets=[Target("without", 1 / 1.02)],
)
