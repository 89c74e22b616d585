"""A large array as an argument, one call after the other; the task only looks at its length."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.arrays import MB, entrants, length_of
from benchmarks.harness import units
from benchmarks.harness.model import Claim, Target, wall_time_per_item

if TYPE_CHECKING:
    from collections.abc import Sequence


def make(megabytes: int, calls: int) -> list[Any]:
    import numpy as np

    return [np.random.default_rng(1).random(megabytes * MB)] * calls


def check(load: Sequence[Any], results: list[int]) -> None:
    assert results == [len(array) for array in load], "wrong results"


CLAIM = Claim(
    title="float64 array as argument of one call after the other",
    cases={
        "1 MB": partial(make, 1, 100),
        "8 MB": partial(make, 8, 40),
        "100 MB": partial(make, 100, 10),
    },
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=check,
    reference="np.copyto",
    entrants=entrants(length_of),
    targets=[
        Target("mp.Pool", 50, ["1 MB"]),
        Target("mp.Pool", 30, ["8 MB"]),
        Target("mp.Pool", 20, ["100 MB"]),
        Target("ray", 5, ["8 MB"]),
        Target("np.copyto", 0.5, ["8 MB"]),
    ],
)
