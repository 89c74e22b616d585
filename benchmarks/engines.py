"""Pools on engines of others against those engines' own maps, on the same workers.

``python -m benchmarks.engines [--quick] [ENGINE...]``. Tasks of 100 us; the time to the first
result of a long lazy input; tasks that share an array of 32 MB. The two sides take turns, and each
engine is opened once for both. Times are for as many tasks as theirs had.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import time
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKERS = 2
TASK_S = 100e-6


def spin(number: int) -> int:
    """A task of 100 us of CPU."""
    until = time.perf_counter() + TASK_S
    while time.perf_counter() < until:
        pass
    return number


def same(number: int) -> int:
    return number


def look_up(array: Any, at: int) -> float:
    return float(array[at])


# -- engines: the pool of ours, and their own map on the same workers

Own = tuple[Any, "Callable[..., Any]"]


@contextlib.contextmanager
def standard() -> Iterator[Own]:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(WORKERS) as executor:
        list(executor.map(same, range(100)))
        yield executor, lambda task, items: list(executor.map(task, items))


@contextlib.contextmanager
def loky() -> Iterator[Own]:
    from loky import ProcessPoolExecutor

    with ProcessPoolExecutor(WORKERS) as executor:
        list(executor.map(same, range(100)))
        yield executor, lambda task, items: list(executor.map(task, items))


@contextlib.contextmanager
def dask() -> Iterator[Own]:
    from distributed import Client, LocalCluster

    options = {"n_workers": WORKERS, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        yield client, lambda task, items: client.gather(client.map(task, list(items), pure=False))


@contextlib.contextmanager
def ray() -> Iterator[Own]:
    import ray as module
    from ray.util.multiprocessing import Pool

    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    module.init(
        num_cpus=2 * WORKERS,  # both sides have actors at once
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": paths}},
    )
    try:
        theirs = Pool(WORKERS)
        theirs.map(same, range(100))
        yield module, theirs.map
        theirs.terminate()
    finally:
        module.shutdown()


ENGINES = {"standard": standard, "loky": loky, "dask": dask, "ray": ray}


# -- what is measured


def time_of(act: Callable[[], Any]) -> float:
    begun_s = time.perf_counter()
    act()
    return time.perf_counter() - begun_s


def compare(
    label: str, rounds: int, ours: Callable[[], Any], theirs: Callable[[], Any], scale: float
) -> None:
    """Print both medians and their ratio.

    :param scale: how many times as much ours did.
    """
    times = [(time_of(ours) / scale, time_of(theirs)) for _ in range(rounds)]
    mine, other = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"  {label:<34} ours {mine:9.4f} s   theirs {other:9.4f} s   {other / mine:7.1f}x")


def first_of(pool: Any, items: int) -> float:
    begun_s = time.perf_counter()
    results = pool.imap(same, itertools.islice(itertools.count(), items))
    next(results)
    return time.perf_counter() - begun_s


def measure(name: str, *, is_quick: bool) -> None:
    import numpy as np

    import poolwise

    tasks, rounds = (20_000, 3) if is_quick else (100_000, 5)
    few = tasks // (10 if name in {"dask", "ray"} else 1)  # theirs would take minutes
    array = np.arange(4_000_000.0)
    shared, few_shared = 200, 20
    with ENGINES[name]() as (engine, own_map), poolwise.Pool(WORKERS, backend=engine) as pool:
        pool.map(same, range(100))
        print(f"{name}: a call costs {pool.backend.overhead_ns / 1e3:.0f} us beside its work")
        compare(
            f"{tasks} tasks of 100 us (theirs {few})",
            rounds,
            lambda: pool.map(spin, range(tasks)),
            lambda: own_map(spin, range(few)),
            tasks / few,
        )
        task = partial(look_up, array)
        compare(
            f"{shared} tasks, 32 MB bound (theirs {few_shared})",
            1 if is_quick else 3,
            lambda: pool.map(task, range(shared)),
            lambda: own_map(task, range(few_shared)),
            shared / few_shared,
        )
        print(f"  first of 3,000,000 lazy items      ours {first_of(pool, 3_000_000):9.4f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engines", nargs="*", metavar="ENGINE", help=", ".join(ENGINES))
    parser.add_argument("--quick", action="store_true", help="small counts")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")  # of the engines' own
    for name in options.engines or ENGINES:
        try:
            measure(name, is_quick=options.quick)
        except ImportError as error:
            print(f"{name}: not measured ({error})")


if __name__ == "__main__":
    main()
