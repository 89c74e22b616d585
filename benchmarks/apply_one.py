"""One call at a time, its result awaited: the latency of a round trip."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.harness import units
from benchmarks.harness.check import assert_same
from benchmarks.harness.model import Claim, Entrant, Target, wall_time_per_item
from benchmarks.tasks import same

if TYPE_CHECKING:
    from collections.abc import Sequence

CALLS = 1_000


def by_apply(pool: Any, items: Sequence[int]) -> list[int]:
    return [pool.apply(same, (item,)) for item in items]


def by_submit(executor: Any, items: Sequence[int]) -> list[int]:
    return [executor.submit(same, item).result() for item in items]


def by_schedule(pool: Any, items: Sequence[int]) -> list[int]:
    return [pool.schedule(same, args=(item,)).result() for item in items]


def by_joblib(parallel: Any, items: Sequence[int]) -> list[int]:
    from joblib import delayed

    return [parallel([delayed(same)(item)])[0] for item in items]


def by_ray_task(ray: Any, items: Sequence[int]) -> list[int]:
    remote = ray.remote(same)
    return [ray.get(remote.remote(item)) for item in items]


CLAIM = Claim(
    title=f"{CALLS:,} calls, one at a time",
    cases={"apply": lambda: list(range(CALLS))},
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=assert_same,
    entrants=[
        Entrant("poolwise.Pool", by_apply, peers.poolwise_pool),
        Entrant("poolwise.Executor", by_submit, peers.poolwise_executor),
        Entrant("mp.Pool", by_apply, peers.mp_pool),
        Entrant("PPE", by_submit, peers.ppe),
        Entrant("loky", by_submit, peers.loky_executor),
        Entrant("joblib", by_joblib, peers.joblib_parallel, portion=0.1),
        Entrant("mpire, kept alive", by_apply, partial(peers.mpire_pool, keep_alive=True)),
        Entrant("pebble", by_schedule, peers.pebble_pool),
        Entrant("ray task", by_ray_task, peers.ray_core, portion=0.2, has_daemons=True),
        Entrant("ray.Pool", by_apply, peers.ray_pool, portion=0.2, has_daemons=True),
    ],
    targets=[Target("mp.Pool", 2), Target("PPE", 4)],
)
