"""Many trivial tasks that share one large array: bound in a partial, or handed to each of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.arrays import MB
from benchmarks.harness import units
from benchmarks.harness.model import Claim, Entrant, Target, wall_time_per_item

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS = 200
MEGABYTES = 32


@dataclass(frozen=True)
class Load:
    """Positions in an array, each for one task."""

    array: Any
    positions: range
    is_bound: bool

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, part: slice) -> Load:
        return Load(self.array, self.positions[part], self.is_bound)

    @property
    def pairs(self) -> list[tuple[Any, int]]:
        return [(self.array, at) for at in self.positions]


def look_up(array: Any, at: int) -> float:
    return float(array[at])


def make(*, is_bound: bool) -> Load:
    import numpy as np

    return Load(np.arange(float(MEGABYTES * MB)), range(TASKS), is_bound)


def by_pool(pool: Any, load: Load) -> list[float]:
    if load.is_bound:
        return list(pool.map(partial(look_up, load.array), load.positions))
    return list(pool.starmap(look_up, load.pairs))


def by_mpire(pool: Any, load: Load) -> list[float]:
    if load.is_bound:
        return list(pool.map(partial(look_up, load.array), load.positions))
    return list(pool.map(look_up, load.pairs))


def by_executor(executor: Any, load: Load) -> list[float]:
    if load.is_bound:
        return list(executor.map(partial(look_up, load.array), load.positions))
    return list(executor.map(look_up, [load.array] * len(load), load.positions))


def by_joblib(parallel: Any, load: Load) -> list[float]:
    from joblib import delayed

    if load.is_bound:
        task = partial(look_up, load.array)
        return list(parallel(delayed(task)(at) for at in load.positions))
    return list(parallel(delayed(look_up)(load.array, at) for at in load.positions))


def check(load: Load, results: list[float]) -> None:
    assert results == list(map(float, load.positions)), "wrong results"


def entrant(label: str, run: Callable[..., Any], opened: Any, **rest: Any) -> Entrant:
    return Entrant(label, run, opened, **rest)


CLAIM = Claim(
    title=f"{TASKS} trivial tasks that share an array of {MEGABYTES} MB",
    cases={"bound": partial(make, is_bound=True), "handed to each": partial(make, is_bound=False)},
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=check,
    entrants=[
        entrant("poolwise.Pool", by_pool, peers.poolwise_pool),
        entrant("poolwise.Executor", by_executor, peers.poolwise_executor),
        entrant("mp.Pool", by_pool, peers.mp_pool),
        entrant("PPE", by_executor, peers.ppe, portion=0.05),
        entrant("loky", by_executor, peers.loky_executor, portion=0.05),
        entrant("joblib", by_joblib, peers.joblib_parallel),
        entrant("mpire", by_mpire, peers.mpire_pool, portion=0.1),
        entrant("ray", by_pool, peers.ray_pool, portion=0.1, has_daemons=True),
    ],
    targets=[
        Target("mp.Pool", 15, ["bound"]),
        Target("PPE", 200, ["bound"]),
        Target("ray", 3, ["bound"]),
        Target("joblib", 1.5, ["bound"]),
    ],
)
