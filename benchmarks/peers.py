"""How each pool is opened, with two workers. What a claim does with it stands in the claim."""

from __future__ import annotations

import logging
import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.harness.model import WORKERS

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def poolwise_pool(**options: Any) -> Iterator[Any]:
    import poolwise

    with poolwise.Pool(WORKERS, **options) as pool:
        yield pool


@contextmanager
def poolwise_executor(**options: Any) -> Iterator[Any]:
    import poolwise

    with poolwise.ProcessPoolExecutor(WORKERS, **options) as executor:
        yield executor


@contextmanager
def mp_pool(start: str | None = None, **options: Any) -> Iterator[Any]:
    import multiprocessing

    with multiprocessing.get_context(start).Pool(WORKERS, **options) as pool:
        yield pool


@contextmanager
def ppe(start: str | None = None, **options: Any) -> Iterator[Any]:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context(start)
    with ProcessPoolExecutor(WORKERS, mp_context=context, **options) as executor:
        yield executor


@contextmanager
def loky_executor() -> Iterator[Any]:
    from loky import get_reusable_executor

    with get_reusable_executor(max_workers=WORKERS) as executor:
        yield executor


@contextmanager
def joblib_parallel(**options: Any) -> Iterator[Any]:
    from joblib import Parallel
    from joblib.externals.loky import get_reusable_executor

    with Parallel(n_jobs=WORKERS, **options) as parallel:
        yield parallel
    get_reusable_executor().shutdown(wait=True)


@contextmanager
def mpire_pool(**options: Any) -> Iterator[Any]:
    """By default it starts its workers anew for every call; keep_alive=True keeps them."""
    from mpire import WorkerPool

    with WorkerPool(n_jobs=WORKERS, **options) as pool:
        yield pool


@contextmanager
def pebble_pool(**options: Any) -> Iterator[Any]:
    from pebble import ProcessPool

    with ProcessPool(max_workers=WORKERS, **options) as pool:
        yield pool


@contextmanager
def ray_core() -> Iterator[Any]:
    """A local ray of two processors; it and its files are gone afterwards."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as folder:
        ray.init(
            num_cpus=WORKERS,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=folder,
        )
        try:
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def ray_pool() -> Iterator[Any]:
    with ray_core():
        from ray.util.multiprocessing import Pool

        pool = Pool(WORKERS)
        yield pool
        pool.terminate()
