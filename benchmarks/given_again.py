"""An array bound in a function, given to one call after the other: compared, or copied again.

Behind `LEAST_BYTES` in ``memory/recall.py``: the smallest size from which the pool that compares is
not behind the one that copies. A checksum by itself, which sends nothing, stands beside them.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.harness import units
from benchmarks.harness.model import Claim, Entrant, wall_time_per_item

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES_KIB = (64, 1024, 4096, 8 << 10, 32 << 10, 100 << 10)
CALLS = 20
TASKS = 4
"""In each call; they look at one number, so that the array's way is what is measured."""


@dataclass(frozen=True)
class Load:
    """One array, and how many calls it is given to."""

    array: Any
    calls: range

    def __len__(self) -> int:
        return len(self.calls)

    def __getitem__(self, part: slice) -> Load:
        return Load(self.array, self.calls[part])


def make(size_kib: int) -> Load:
    import numpy as np

    return Load(np.arange(size_kib * 128, dtype="f8"), range(CALLS))


def look_up(array: Any, at: int) -> float:
    return float(array[at])


@contextmanager
def pool_that_compares_from(least_bytes: int) -> Iterator[Any]:
    from poolwise.memory import arena

    arena.LEAST_RECALLED_BYTES = least_bytes
    with peers.poolwise_pool() as pool:
        yield pool


def by_map(pool: Any, load: Load) -> list[list[float]]:
    return [pool.map(partial(look_up, load.array), range(TASKS)) for _ in load.calls]


def by_checksum(_: Any, load: Load) -> list[list[float]]:
    import zlib

    known = zlib.crc32(load.array)
    answer = [look_up(load.array, at) for at in range(TASKS)]
    return [answer for _ in load.calls if zlib.crc32(load.array) == known]


def check(load: Load, results: list[list[float]]) -> None:
    assert results == [list(map(float, range(TASKS)))] * len(load), "wrong results"


CLAIM = Claim(
    title="an array bound in a function, call after call: compared, or copied again",
    cases={f"{size / 1024:.3g} MiB": partial(make, size) for size in SIZES_KIB},
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=check,
    entrants=[
        Entrant("poolwise, compared", by_map, partial(pool_that_compares_from, 1)),
        Entrant("poolwise, copied", by_map, partial(pool_that_compares_from, 1 << 40)),
        Entrant("a checksum, without a pool", by_checksum),
    ],
)
