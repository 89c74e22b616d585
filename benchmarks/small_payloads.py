"""Payloads too small for shared memory: what moves the large must not cost the small."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.harness import units
from benchmarks.harness.model import Claim, Entrant, Target, wall_time_per_item
from benchmarks.maps import by_pool
from benchmarks.tasks import same

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = {"100 B": 100, "1 KiB": 1024, "4 KiB": 4096, "16 KiB": 16384}


def make_bytes(size: int) -> list[bytes]:
    return [number.to_bytes(4, "little") + bytes(size - 4) for number in range(4000)]


def make_arrays(size: int) -> list[Any]:
    import numpy as np

    return [np.full(size // 4, number, dtype="i4") for number in range(2000)]


def run(pool: Any, items: Sequence[Any]) -> list[Any]:
    return by_pool(same)(pool, items)


def check(load: Sequence[Any], results: Sequence[Any]) -> None:
    pairs = list(zip(load, results, strict=True))
    assert all(bytes(given) == bytes(got) for given, got in pairs[::100]), "wrong results"


CLAIM = Claim(
    title="small payloads there and back",
    cases={
        **{f"bytes, {name}": partial(make_bytes, size) for name, size in SIZES.items()},
        **{f"arrays, {name}": partial(make_arrays, size) for name, size in SIZES.items()},
    },
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=check,
    entrants=[
        Entrant("poolwise.Pool", run, peers.poolwise_pool),
        Entrant("mp.Pool", run, peers.mp_pool),
    ],
    targets=[Target("mp.Pool")],
)
