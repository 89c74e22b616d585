"""One call of the user over many items, in the words of each pool; and all of them at defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.harness.model import Entrant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Task = Callable[[Any], Any]
    Run = Callable[[Any, Iterable[Any]], Any]


def by_pool(task: Task, **options: Any) -> Run:
    return lambda pool, items: pool.map(task, items, **options)


def by_executor(task: Task, **options: Any) -> Run:
    return lambda executor, items: list(executor.map(task, items, **options))


def by_joblib(task: Task) -> Run:
    def run(parallel: Any, items: Iterable[Any]) -> Any:
        from joblib import delayed

        return parallel(delayed(task)(item) for item in items)

    return run


def by_pebble(task: Task, **options: Any) -> Run:
    return lambda pool, items: list(pool.map(task, items, **options).result())


def all_at_defaults(task: Task, slow: float = 1.0) -> list[Entrant]:
    """Every pool with nothing set, poolwise.Pool first.

    `slow` is the portion of the load for those that send one item at a time.
    """
    return [
        Entrant("poolwise.Pool", by_pool(task), peers.poolwise_pool),
        Entrant("poolwise.Executor", by_executor(task), peers.poolwise_executor),
        Entrant("mp.Pool", by_pool(task), peers.mp_pool),
        Entrant("PPE", by_executor(task), peers.ppe, portion=slow),
        Entrant("loky", by_executor(task), peers.loky_executor, portion=slow),
        Entrant("joblib", by_joblib(task), peers.joblib_parallel),
        Entrant("mpire", by_pool(task), peers.mpire_pool),
        Entrant("pebble", by_pebble(task), peers.pebble_pool, portion=slow),
        Entrant("ray", by_pool(task), peers.ray_pool, has_daemons=True),
    ]
