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


def _doors(pool: Callable[..., Any], executor: Callable[..., Any]) -> Doors:
    return {"pool": partial(pool, context=fork), "executor": partial(_executor, executor)}


_our_executor = poolwise.executor.ProcessPoolExecutor

SIDES: dict[str, Doors] = {
    "standard": _doors(multiprocessing.pool.Pool, concurrent.futures.ProcessPoolExecutor),
    "ours": _doors(poolwise.pool.Pool, _our_executor),
    **{name: _doors(pool, _our_executor) for name, pool in BROKEN.items()},
}
