"""From which size on an array is better put into shared memory than into the pickle.

Behind `LEAST_BUFFER_BYTES` in ``wire/pickling.py``: the smallest size from which the pool that
shares everything is not behind the one that shares nothing, rounded up to a power of two.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.harness import units
from benchmarks.harness.model import Claim, Entrant, wall_time_per_item
from benchmarks.tasks import same

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZES_KIB = (4, 8, 16, 32, 64, 128, 512)


@contextmanager
def pool_that_shares_from(least_bytes: int) -> Iterator[Any]:
    from poolwise.memory import arena
    from poolwise.wire import pickling

    pickling.LEAST_BUFFER_BYTES = arena.LEAST_BLOCK_BYTES = least_bytes
    with peers.poolwise_pool() as pool:
        yield pool


def by_apply(pool: Any, items: Sequence[Any]) -> list[int]:
    return [len(pool.apply(same, (item,))) for item in items]


def make(size_kib: int) -> list[Any]:
    import numpy as np

    return [np.ones(size_kib * 1024, dtype="u1")] * 300


def check(load: Sequence[Any], results: list[int]) -> None:
    assert results == [len(item) for item in load], "wrong results"


CLAIM = Claim(
    title="an array there and back: in shared memory, or in the pickle",
    cases={f"{size} KiB": partial(make, size) for size in SIZES_KIB},
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=check,
    entrants=[
        Entrant("poolwise, shared", by_apply, partial(pool_that_shares_from, 1)),
        Entrant("poolwise, pickled", by_apply, partial(pool_that_shares_from, 1 << 40)),
    ],
)
