"""The doors of each side: the standard ones, ours, and ours broken on purpose."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import multiprocessing.pool
import multiprocessing.queues
import multiprocessing.synchronize
from typing import Any

import poolwise.backends.processes
import poolwise.executor
import poolwise.pool
from tests.parity.differential.broken import BROKEN
from tests.parity.differential.interpret import Doors

fork = multiprocessing.get_context("fork")


def _executor(workers: int, initializer: Any, initargs: tuple[Any, ...], _: int | None) -> Any:
    return concurrent.futures.ProcessPoolExecutor(workers, fork, initializer, initargs)


def _our_pool(*settings: Any) -> Any:
    return poolwise.pool.Pool(*settings, context=fork)


def _our_executor(workers: int, initializer: Any, initargs: tuple[Any, ...], _: int | None) -> Any:
    return poolwise.executor.ProcessPoolExecutor(workers, fork, initializer, initargs)


SIDES: dict[str, Doors] = {
    "standard": {"pool": fork.Pool, "executor": _executor},
    "ours": {"pool": _our_pool, "executor": _our_executor},
}
SIDES |= {name: {"pool": pool, "executor": _our_executor} for name, pool in BROKEN.items()}
