"""Every pool that is installed, behind one verb: `call(function, *args)` in some worker."""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import poolwise

Call = Callable[..., Any]

METHODS = [name for name in ("fork", "forkserver", "spawn")
           if name in multiprocessing.get_all_start_methods()]  # fmt: skip


@contextmanager
def poolwise_pool(method: str, *start: Any) -> Iterator[Call]:
    with poolwise.Pool(2, *start, context=method) as pool:
        yield lambda function, *args: pool.apply_async(function, args).get()


@contextmanager
def poolwise_executor(method: str, *start: Any) -> Iterator[Call]:
    with poolwise.ProcessPoolExecutor(2, method, *start) as executor:
        yield lambda function, *args: executor.submit(function, *args).result()


@contextmanager
def standard_pool(method: str, *start: Any) -> Iterator[Call]:
    with multiprocessing.get_context(method).Pool(2, *start) as pool:
        yield lambda function, *args: pool.apply_async(function, args).get()


@contextmanager
def standard_executor(method: str, *start: Any) -> Iterator[Call]:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, context, *start) as executor:
        yield lambda function, *args: executor.submit(function, *args).result()


@contextmanager
def loky(_: str, *start: Any) -> Iterator[Call]:
    peer = pytest.importorskip("loky", reason="loky is not installed")
    executor = peer.ProcessPoolExecutor(2, None, None, None, None, *start)
    yield lambda function, *args: executor.submit(function, *args).result()
    executor.shutdown()


@contextmanager
def joblib(_: str, *__: Any) -> Iterator[Call]:
    peer = pytest.importorskip("joblib", reason="joblib is not installed")
    with TemporaryDirectory() as folder, peer.Parallel(2, temp_folder=folder) as parallel:
        yield lambda function, *args: parallel([peer.delayed(function)(*args)])[0]
    importlib.import_module("joblib.externals.loky").get_reusable_executor().shutdown()


POOLS = [
    *(
        pytest.param(make, method, id=f"{make.__name__}-{method}")
        for make in (poolwise_pool, poolwise_executor, standard_pool, standard_executor)
        for method in METHODS
    ),
    pytest.param(loky, "", id="loky"),
    pytest.param(joblib, "", id="joblib"),
]
"""How to make each, and a start method."""
