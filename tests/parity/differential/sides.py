"""The doors of each side: the standard ones, ours, and ours broken on purpose."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import multiprocessing.pool
import multiprocessing.queues
import multiprocessing.synchronize
from collections.abc import Callable
from functools import partial
from typing import Any

import poolwise.backends.processes
import poolwise.executor
import poolwise.pool
from tests.parity.differential.broken import BROKEN
from tests.parity.differential.interpret import Doors

fork = multiprocessing.get_context("fork")


def _executor(kind: Callable[..., Any], *settings: Any) -> Any:
    workers, initializer, initargs, _ = settings
    return kind(workers, fork, initializer, initargs)


def _threads(kind: Callable[..., Any], *settings: Any) -> Any:
    return kind(*settings[:3])


def _doors(pool: Any, executor: Any, threads: Any) -> Doors:
    return {
        "pool": partial(pool, context=fork),
        "executor": partial(_executor, executor),
        "threads": partial(_threads, threads),
    }


_ours = (poolwise.executor.ProcessPoolExecutor, poolwise.pool.ThreadPool)

SIDES: dict[str, Doors] = {
    "standard": _doors(
        multiprocessing.pool.Pool,
        concurrent.futures.ProcessPoolExecutor,
        multiprocessing.pool.ThreadPool,
    ),
    "ours": _doors(poolwise.pool.Pool, *_ours),
    **{name: _doors(pool, *_ours) for name, pool in BROKEN.items()},
}
