"""Arrays in one call after the other: what the workers do, and the words of each pool for it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.harness import units
from benchmarks.harness.model import Claim, Entrant, Target, wall_time_per_item

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MB = 1_000_000 // 8
"""Float64 numbers in a megabyte."""

CALLS = {1: 100, 8: 40, 100: 10}
"""How often an array of so many megabytes is sent."""

_made: dict[int, Any] = {}


def make_arrays(megabytes: int, calls: int) -> list[Any]:
    import numpy as np

    return [np.random.default_rng(1).random(megabytes * MB)] * calls


def make_lengths(megabytes: int, calls: int) -> list[int]:
    return [megabytes * MB] * calls


def check(load: Sequence[Any], results: list[int]) -> None:
    assert results == list(map(_size, load)), "wrong results"


def length_of(array: Any) -> int:
    return len(array)


def give(length: int) -> Any:
    """An array that was made before, so that the making is not measured."""
    import numpy as np

    if length not in _made:
        _made.clear()
        _made[length] = np.arange(float(length))
    return _made[length]


def by_apply(task: Callable[[Any], Any]) -> Callable[[Any, Sequence[Any]], list[int]]:
    """Each result is looked at and dropped, as where they are used one after the other."""
    return lambda pool, items: [_size(pool.apply(task, (item,))) for item in items]


def by_submit(task: Callable[[Any], Any]) -> Callable[[Any, Sequence[Any]], list[int]]:
    return lambda executor, items: [_size(executor.submit(task, x).result()) for x in items]


def by_schedule(task: Callable[[Any], Any]) -> Callable[[Any, Sequence[Any]], list[int]]:
    return lambda pool, items: [_size(pool.schedule(task, args=(x,)).result()) for x in items]


def by_joblib(task: Callable[[Any], Any]) -> Callable[[Any, Sequence[Any]], list[int]]:
    def run(parallel: Any, items: Sequence[Any]) -> list[int]:
        from joblib import delayed

        return [_size(parallel([delayed(task)(item)])[0]) for item in items]

    return run


def by_ray(task: Callable[[Any], Any]) -> Callable[[Any, Sequence[Any]], list[int]]:
    def run(ray: Any, items: Sequence[Any]) -> list[int]:
        remote = ray.remote(task)
        return [_size(ray.get(remote.remote(item))) for item in items]

    return run


def by_copyto(_: Any, items: Sequence[Any]) -> list[int]:
    """No pool: what copying the array once into warm memory takes."""
    import numpy as np

    arrays = [give(x) if isinstance(x, int) else x for x in items]
    target = _made.setdefault(-len(arrays[0]), np.empty_like(arrays[0]))
    for array in arrays:
        np.copyto(target, array)
    return [len(array) for array in arrays]


def _size(result: Any) -> int:
    return result if isinstance(result, int) else len(result)


def entrants(task: Callable[[Any], Any]) -> list[Entrant]:
    return [
        Entrant("poolwise.Pool", by_apply(task), peers.poolwise_pool),
        Entrant("np.copyto", by_copyto),
        Entrant("poolwise.Executor", by_submit(task), peers.poolwise_executor),
        Entrant("mp.Pool", by_apply(task), peers.mp_pool, portion=0.2),
        Entrant("PPE", by_submit(task), peers.ppe, portion=0.2),
        Entrant("loky", by_submit(task), peers.loky_executor, portion=0.2),
        Entrant("joblib", by_joblib(task), peers.joblib_parallel, portion=0.1),
        Entrant("mpire", by_apply(task), lambda: peers.mpire_pool(keep_alive=True), portion=0.2),
        Entrant("pebble", by_schedule(task), peers.pebble_pool, portion=0.2),
        Entrant("ray", by_ray(task), peers.ray_core, portion=0.5, has_daemons=True),
    ]


def claim(
    way: str,
    task: Callable[[Any], Any],
    make: Callable[[int, int], Sequence[Any]],
    against: Target,
) -> Claim:
    """What is promised of arrays that travel one way, and beside that against one more peer."""
    return Claim(
        title=f"float64 array as {way} of one call after the other",
        cases={f"{size} MB": partial(make, size, calls) for size, calls in CALLS.items()},
        measure=wall_time_per_item,
        unit=units.SECONDS_PER_ITEM,
        check=check,
        reference="np.copyto",
        entrants=entrants(task),
        targets=[
            Target("mp.Pool", 50, ["1 MB"]),
            Target("mp.Pool", 30, ["8 MB"]),
            Target("mp.Pool", 20, ["100 MB"]),
            against,
            Target("np.copyto", 0.5, ["8 MB"]),
        ],
    )
