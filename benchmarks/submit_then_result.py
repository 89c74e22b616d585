"""Every task submitted by itself, then every result taken: nothing is known in advance."""

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

TASKS = 20_000


def by_submit(executor: Any, items: Sequence[int]) -> list[int]:
    futures = [executor.submit(same, item) for item in items]
    return [future.result() for future in futures]


def by_apply_async(pool: Any, items: Sequence[int]) -> list[int]:
    pending = [pool.apply_async(same, (item,)) for item in items]
    return [one.get() for one in pending]


def by_schedule(pool: Any, items: Sequence[int]) -> list[int]:
    futures = [pool.schedule(same, args=(item,)) for item in items]
    return [future.result() for future in futures]


def by_ray_tasks(ray: Any, items: Sequence[int]) -> list[int]:
    remote = ray.remote(same)
    return list(ray.get([remote.remote(item) for item in items]))


CLAIM = Claim(
    title=f"{TASKS:,} trivial tasks: submit each, then take each result",
    cases={"submit": lambda: list(range(TASKS))},
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=assert_same,
    entrants=[
        Entrant("poolwise.Executor", by_submit, peers.poolwise_executor),
        Entrant("poolwise.Pool.apply_async", by_apply_async, peers.poolwise_pool),
        Entrant("PPE", by_submit, peers.ppe),
        Entrant("mp.Pool.apply_async", by_apply_async, peers.mp_pool),
        Entrant("loky", by_submit, peers.loky_executor),
        Entrant("mpire.apply_async", by_apply_async, partial(peers.mpire_pool, keep_alive=True)),
        Entrant("pebble", by_schedule, peers.pebble_pool),
        Entrant("ray tasks", by_ray_tasks, peers.ray_core, portion=0.1, has_daemons=True),
        Entrant(
            "ray.Pool.apply_async", by_apply_async, peers.ray_pool, portion=0.1, has_daemons=True
        ),
    ],
    targets=[Target("PPE", 15), Target("mp.Pool.apply_async", 8)],
)
