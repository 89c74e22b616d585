"""A large array as the result of one call after the other; the worker has made it before."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.arrays import MB, entrants, give
from benchmarks.harness import units
from benchmarks.harness.model import Claim, Target, wall_time_per_item

if TYPE_CHECKING:
    from collections.abc import Sequence


def make(megabytes: int, calls: int) -> list[int]:
    return [megabytes * MB] * calls


def check(load: Sequence[int], results: list[int]) -> None:
    assert results == list(load), "wrong results"


CLAIM = Claim(
    title="float64 array as result of one call after the other",
    cases={
        "1 MB": partial(make, 1, 100),
        "8 MB": partial(make, 8, 40),
        "100 MB": partial(make, 100, 10),
    },
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=check,
    reference="np.copyto",
    entrants=entrants(give),
    targets=[
        Target("mp.Pool", 50, ["1 MB"]),
        Target("mp.Pool", 30, ["8 MB"]),
        Target("mp.Pool", 20, ["100 MB"]),
        Target("joblib", 20, ["8 MB"]),
        Target("np.copyto", 0.5, ["8 MB"]),
    ],
)
