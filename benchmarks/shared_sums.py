"""Sums over parts of a large array, the pool included: written plainly, and as usually advised.

The recipe: put the data into a SharedMemory segment, open that in an initializer, send bounds.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks.harness.model import WORKERS, Claim, Entrant, Target, wall_time

if TYPE_CHECKING:
    from collections.abc import Callable

STEP = 250_000

_shared: list[Any] = []


def total(part: Any) -> float:
    return float(part.sum())


def total_of_squares(part: Any) -> float:
    return float((part**2).sum())


def plainly(task: Callable[[Any], float], data: Any) -> float:
    from poolwise import Pool

    with Pool(WORKERS) as pool:
        return sum(pool.map(task, [data[at : at + STEP] for at in range(0, len(data), STEP)]))


def plainly_with_mp(task: Callable[[Any], float], data: Any) -> float:
    from multiprocessing import Pool

    with Pool(WORKERS) as pool:
        return sum(pool.map(task, [data[at : at + STEP] for at in range(0, len(data), STEP)]))


def open_shared(name: str, shape: tuple[int, ...], dtype: str) -> None:
    from multiprocessing import shared_memory

    import numpy as np

    segment = shared_memory.SharedMemory(name=name)
    _shared[:] = [segment, np.ndarray(shape, dtype=np.dtype(dtype), buffer=segment.buf)]


def apply_to_bounds(task: Callable[[Any], float], bounds: tuple[int, int]) -> float:
    return task(_shared[1][bounds[0] : bounds[1]])


def by_recipe(task: Callable[[Any], float], data: Any) -> float:
    from multiprocessing import Pool, shared_memory

    import numpy as np

    segment = shared_memory.SharedMemory(create=True, size=data.nbytes)
    try:
        np.ndarray(data.shape, dtype=data.dtype, buffer=segment.buf)[:] = data
        bounds = [(at, min(at + STEP, len(data))) for at in range(0, len(data), STEP)]
        described = (segment.name, data.shape, str(data.dtype))
        with Pool(WORKERS, initializer=open_shared, initargs=described) as pool:
            return sum(pool.map(partial(apply_to_bounds, task), bounds))
    finally:
        segment.close()
        segment.unlink()


def make(numbers: int, task: Callable[[Any], float]) -> tuple[Callable[[Any], float], Any]:
    import numpy as np

    return task, np.random.default_rng(1).random(numbers)


def runs(way: Callable[..., float]) -> Callable[..., float]:
    return lambda _, load: way(*load)


def warm(_pool: Any, _load: Any) -> None:
    """Imports are a claim of their own."""
    import multiprocessing.pool
    import multiprocessing.shared_memory

    import numpy as np

    import poolwise

    _ = (multiprocessing, np, poolwise.Pool)


def check(load: Any, result: float) -> None:
    task, data = load
    assert abs(result - task(data)) < 1e-6 * abs(result), "wrong result"


CLAIM = Claim(
    title="sums over parts of an array, from no pool to the result",
    cases={
        "10M numbers": partial(make, 10_000_000, total),
        "5M numbers, squared": partial(make, 5_000_000, total_of_squares),
    },
    measure=wall_time,
    check=check,
    entrants=[
        Entrant("poolwise, plainly", runs(plainly), warm=warm),
        Entrant("mp.Pool, recipe", runs(by_recipe), warm=warm),
        Entrant("mp.Pool, plainly", runs(plainly_with_mp), warm=warm),
    ],
    targets=[Target("mp.Pool, recipe")],
)
