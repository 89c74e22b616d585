"""Measures a program against what more workers could give: by Amdahl, and a simulated pool."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from poolwise.account import derive
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.evidence.groups import group_pools
from poolwise.doctor.notes import is_busy
from poolwise.doctor.predict.calls import Model

NOTHING = 0.03
"""Saving less than this part of the time is nothing: predictions are not that good."""


@dataclass(frozen=True)
class MostWorkers:
    """Number of workers from which on more gain nothing, for one pool; or `why` it is not known.

    `by`: "simulation" of its main call on the CPUs there are.
    """

    pool: int
    count: int | None
    by: str | None
    why: str


@dataclass(frozen=True)
class Scaling:
    """The program against a plain loop, and against any number of workers (Amdahl's law).

    `serial_share`: of the time that the program would take as a plain loop, what passes outside
    its pools, or in an iterator or callbacks that its first thread runs one by one.
    `speedup`: that time over the time it took; `ceiling`: with infinitely many workers that cost
    nothing; `ceiling_as_is`: with infinitely many that are handed the same messages, which takes
    the parent as long as now. None: there is none to be seen.
    """

    speedup: float
    ceiling: float | None
    ceiling_as_is: float | None
    serial_share: float
    most_workers: list[MostWorkers]


def find_scaling(seen: Evidence, models: Mapping[int, Sequence[Model | None]]) -> Scaling | None:
    """Speed-up, ceilings and enough workers of a run; None if no pool that was seen did most of it.

    :param models: id of each pool -> the models of its calls, in their order.
    """
    pools = [pool for pool in seen.pools if pool.messages and pool.work_s > 0]
    # A part of the time in which more may have gone on than is known.
    if not pools or seen.program.unseen_s > 0.1 * seen.program.wall_s:
        return None
    root = min(pool.pid for pool in pools)
    own = [pool for pool in pools if pool.pid == root]
    having_s = sum(pool.creation_s + pool.teardown_s for pool in own)
    serial_s = max(0.0, seen.program.serial_s - having_s)
    serial_s += sum(measures.parent_floor_s(pool) for pool in own)
    loop_s = serial_s + sum(_useful_s(pool, seen) for pool in pools)
    share = serial_s / loop_s if loop_s > 0 else 0.0
    as_is_s = serial_s + sum(_bound_s(pool) for pool in own)
    return Scaling(
        speedup=loop_s / _calm_wall_s(own, seen),
        ceiling=derive.amdahl(share, math.inf) if share > 0 else None,
        ceiling_as_is=loop_s / as_is_s if as_is_s > 0 else None,
        serial_share=share,
        most_workers=[
            _most_workers(group.pool, models[group.pool.id], seen) for group in group_pools(pools)
        ],
    )


def _calm_wall_s(pools: Sequence[Pool], seen: Evidence) -> float:
    """Seconds of the program, without what its tasks waited for CPUs that other programs had.

    Among themselves tasks wait for CPUs as well: no pool takes less than its work on all of them.
    """
    if not is_busy(seen):
        return seen.program.wall_s
    waited_s = sum(
        max(
            0.0,
            each.active_s - max(measures.undisturbed_s(each), measures.parallel_work_s(each, seen)),
        )
        for each in pools
    )
    # Waiting for CPUs is not taken to be more than nine tenths of a run.
    return max(seen.program.wall_s - waited_s, 0.1 * seen.program.wall_s)


def _useful_s(pool: Pool, seen: Evidence) -> float:
    """Seconds of a plain loop: tasks that wait for pools of their own would do their work."""
    if measures.inner_pools(pool, seen):
        return measures.spent_s(pool, "run_cpu")
    return measures.useful_s(pool)


def _bound_s(pool: Pool) -> float:
    """Seconds that no number of workers makes shorter: the parent's moving, or the longest task."""
    ceiling = pool.laws.ceiling if pool.laws else None
    return measures.useful_s(pool) / ceiling if ceiling else 0.0


def _most_workers(pool: Pool, models: Sequence[Model | None], seen: Evidence) -> MostWorkers:
    if is_busy(seen):
        why = "other programs used the CPUs, and more workers would only take them from these"
        return MostWorkers(pool.id, None, None, why)
    main = max(range(len(models)), key=lambda at: pool.sites[at].work_s, default=None)
    model = None if main is None else models[main]
    if model is None:
        return MostWorkers(pool.id, None, None, "nothing that can be simulated was handed out")
    most = widest(model)
    count = enough_workers(lambda workers: model.pool_s(workers=workers), most)
    why = f"up to {most} workers the time still falls" if count is None else ""
    return MostWorkers(pool.id, count, "simulation" if count else None, why)


def widest(model: Model) -> int:
    """The largest number of workers that is worth a simulation."""
    return max(4 * model.workers, 2 * model.cpus)


def enough_workers(time_s: Callable[[int], float], most: int) -> int | None:
    """The least number from which on more, up to `most`, save next to nothing; None if `most`.

    Times are taken to fall until they no longer do.
    """
    known = {count: time_s(count) for count in (*_powers(most), most)}
    goal_s = min(known.values()) * (1 + NOTHING)
    high = min(count for count, seconds in known.items() if seconds <= goal_s)
    low = max((count for count in known if count < high), default=0)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if time_s(middle) <= goal_s else (middle, high)
    return high if high < most else None


def _powers(most: int) -> list[int]:
    return [1 << power for power in range(most.bit_length()) if 1 << power < most]
