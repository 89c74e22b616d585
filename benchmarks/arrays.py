"""What the workers do with arrays, and one call after the other in the words of each pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.harness.model import Entrant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MB = 1_000_000 // 8
"""Float64 numbers in a megabyte."""

_made: dict[int, Any] = {}


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
