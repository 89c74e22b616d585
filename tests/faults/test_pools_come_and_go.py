"""A program that makes and drops pools of every kind ends each with what it had before."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import warnings
import weakref
from functools import partial
from pathlib import Path

import pytest

import poolwise
from poolwise import errors
from poolwise.pool import ThreadPool
from tests.conftest import wait_until
from tests.faults import breakers, come_and_go

ROOT = Path(__file__).parents[2]
LEAK_BYTES = 20_000
"""Growth for each pool that is called a leak. What the allocator takes in between is less."""

POOL = partial(poolwise.Pool, 2, context="fork")
EXECUTOR = partial(poolwise.ProcessPoolExecutor, 2, "fork")


# --- a program of many pools ----------------------------------------------------------------------


def run(*words):
    """What the program held after each round."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.faults.come_and_go", *words],
        env={**os.environ, "PYTHONPATH": f"{ROOT}/src:{ROOT}"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in ended.stdout.splitlines()]


def slope(points):
    """Of the straight line through the points, by least squares."""
    count = len(points)
    mean_x, mean_y = (sum(axis) / count for axis in zip(*points, strict=True))
    over = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return over / sum((x - mean_x) ** 2 for x, _ in points)


def hold(rounds):
    """The first rounds warm up; from then on nothing grows."""
    warm = rounds[len(rounds) // 3 :]
    for name in ("threads", "descriptors", "segments", "engines"):
        assert {each[name] for each in warm} == {warm[0][name]}, f"{name}: {rounds}"
    assert warm[0]["threads"] == 1
    assert warm[0]["engines"] == 0
    grown = slope([(each["pools"], each["memory_bytes"]) for each in warm])
    assert grown < LEAK_BYTES, f"{grown:.0f} bytes a pool: {rounds}"


@pytest.mark.slow
def test_nothing_grows_with_forked_workers():
    hold(run("--rounds", "12"))


@pytest.mark.slow
def test_nothing_grows_with_spawned_workers():
    kinds = ("left_block", "dropped", "initializer_raises", "worker_killed_at_work")
    more = ("executor_dropped", "executor_that_does_not_start", "bad_initargs")
    words = [word for kind in (*kinds, *more) for word in ("--kind", kind)]
    hold(run("--method", "spawn", "--rounds", "6", *words))


@pytest.mark.exhaustive
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_nothing_grows_in_a_long_run(method):
    hold(run("--method", method, "--rounds", "40" if method == "fork" else "9"))


# --- without the collector ------------------------------------------------------------------------

OF_THE_PROGRAM = ("terminated_at_work", "executor_killed")
"""Here it is the program that holds, in a variable, what has the error of that very frame."""

IN_THIS_PROCESS = ("serial", "threads", "executor_of_threads")
"""The error of a task that ran here has the frames of who ran it."""


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


without_collector = pytest.mark.usefixtures("no_collector")


@without_collector
@pytest.mark.filterwarnings("ignore:unclosed running:ResourceWarning")
@pytest.mark.parametrize("kind", [*come_and_go.POOLS, *come_and_go.EXECUTORS])
def test_what_is_dropped_goes_without_the_collector(kind):
    if kind.__name__ in (*OF_THE_PROGRAM, *IN_THIS_PROCESS):
        pytest.skip("these are in a cycle that is not ours")
    engines, threads = come_and_go.count_engines(), threading.active_count()
    kind(POOL if kind in come_and_go.POOLS else EXECUTOR)
    come_and_go.held.clear()
    wait_until(lambda: come_and_go.count_engines() == engines)
    assert come_and_go.count_engines() == engines
    wait_until(lambda: threading.active_count() == threads)
    assert threading.active_count() == threads


# --- what is kept ---------------------------------------------------------------------------------


def die():
    os._exit(1)


here: dict[str, object] = {}
"""Frames of a test hold its variables, and tracebacks hold frames: so the pools stand here."""

FAILURES = {
    "map": lambda: here["pool"].map(breakers.raise_it, [KeyError()]),
    "starmap": lambda: here["pool"].starmap(breakers.raise_it, [(KeyError(),)]),
    "map of an iterator": lambda: here["pool"].map(breakers.raise_it, iter([KeyError()])),
    "apply": lambda: here["pool"].apply(breakers.raise_it, (KeyError(),)),
    "get": lambda: here["pool"].apply_async(breakers.raise_it, (KeyError(),)).get(),
    "a worker that dies": lambda: here["pool"].apply(die),
    "no pickle of an argument": lambda: here["pool"].map(len, [breakers.RaisesWhenPickled()]),
    "no pickle of a function": lambda: here["pool"].map(breakers.RaisesWhenPickled(), [1]),
    "no such result": lambda: here["pool"].apply(
        breakers.make, (breakers.RaisesElsewhere, ValueError())
    ),
}


def fail(call, **options):
    """The error of a call of a pool that was then terminated, and the engine, if it lives."""
    here["pool"] = POOL(**options)
    try:
        call()
    except Exception as error:
        return error, let_go()
    return None, let_go()


def let_go():
    pool = here.pop("pool")
    engine = weakref.ref(pool._engine)
    pool.terminate()
    pool.join()
    return engine


@without_collector
@pytest.mark.parametrize("name", FAILURES)
def test_an_error_that_is_kept_does_not_keep_the_pool(name):
    error, engine = fail(FAILURES[name])
    assert error is not None
    assert engine() is None


@without_collector
def test_the_error_of_a_failed_start_does_not_keep_the_pool():
    error, engine = fail(
        lambda: here["pool"].map(breakers.double, [1]), initializer=breakers.fail_start
    )
    assert isinstance(error, errors.InitializerFailed)
    assert "no start" in str(error.__cause__.__cause__)
    assert engine() is None


def test_each_call_of_a_pool_that_does_not_start_has_an_error_of_its_own():
    with POOL(initializer=breakers.fail_start) as pool:
        said = []
        for _ in range(3):
            with pytest.raises(errors.InitializerFailed) as caught:
                pool.map(breakers.double, [1])
            said.append(caught.value)
    assert len({id(error) for error in said}) == 3
    assert len({str(error) for error in said}) == 1


def test_errors_of_a_terminated_pool_do_not_grow_with_each_call():
    pool = POOL()
    results = [pool.apply_async(breakers.double, (at,)) for at in range(3)]
    lengths = []
    pool.terminate()
    for _ in range(3):
        with pytest.raises(errors.PoolTerminated) as caught:
            pool._engine.wait(lambda: False)
        lengths.append(len(caught.traceback))
    assert len(set(lengths)) == 1
    assert all(result.ready() for result in results)


def test_an_error_of_pickling_says_where_without_holding_the_frames():
    with POOL() as pool, pytest.raises(ValueError, match="cannot be pickled") as caught:
        pool.apply(len, (breakers.RaisesWhenPickled(),))
    assert "__reduce__" in str(caught.value.__cause__)


@without_collector
@pytest.mark.parametrize("fails", [False, True])
def test_a_result_that_is_kept_does_not_keep_the_pool(fails):
    function, argument = (breakers.raise_it, KeyError()) if fails else (abs, -1)
    pool = POOL()
    results = [pool.apply_async(function, (argument,)), pool.map_async(function, [argument])]
    for result in results:
        result.wait()
    pool.terminate()
    pool.join()
    engine = weakref.ref(pool._engine)
    del pool
    assert engine() is None
    assert [result.successful() for result in results] == [not fails] * 2


@without_collector
@pytest.mark.parametrize("fails", [False, True])
def test_a_future_that_is_kept_does_not_keep_the_executor(fails):
    executor = EXECUTOR()
    futures = [
        executor.submit(breakers.raise_it, KeyError()) if fails else executor.submit(abs, -1)
    ]
    futures.append(executor.submit(abs, -2))
    futures[1].add_done_callback(lambda _: None)
    cancelled = executor.submit(abs, -3)
    cancelled.cancel(force=True)
    executor.shutdown()
    engine = weakref.ref(executor._engine)
    del executor
    assert engine() is None
    assert (futures[0].exception() is not None) == fails
    assert futures[1].result() == 2


def test_a_report_after_the_end_is_that_of_before():
    """What is only needed to find causes of waiting is given up at the end."""
    with POOL() as pool:
        for at in range(30):
            pool.apply(breakers.double, (at,))
        before = pool.report()
    first, second = pool.report(), pool.report()
    assert first.items == 30
    assert [(span.items, span.begun_s) for span in first.spans] == [
        (span.items, span.begun_s) for span in before.spans
    ]
    assert first.parent_spans[: len(before.parent_spans) - 1] == before.parent_spans[:-1]
    assert first.worker_account == second.worker_account
    assert first.idle == second.idle
    clock = pool._engine.phases
    assert len(clock.moments) == len(clock.vectors) == 1
    # All time of all workers has a name.
    assert sum(first.worker_account.values()) == pytest.approx(first.worker_seconds)


# --- the door is dropped --------------------------------------------------------------------------


@without_collector
@pytest.mark.parametrize("make", [POOL, partial(ThreadPool, 2)])
@pytest.mark.filterwarnings("ignore:unclosed running:ResourceWarning")
def test_a_pool_that_is_dropped_unused_ends(make):
    pool = make()
    engine, lanes = weakref.ref(pool._engine), pool._pool
    del pool
    wait_until(lambda: engine() is None)
    assert engine() is None
    wait_until(lambda: not any(lane.is_alive() for lane in lanes))
    assert not any(lane.is_alive() for lane in lanes)


@without_collector
def test_an_executor_that_is_dropped_unused_gives_its_descriptors_back():
    def count():
        return len(list(Path("/proc/self/fd").iterdir()))

    EXECUTOR()
    before = count()
    EXECUTOR()
    assert count() == before


def test_a_pool_in_a_cycle_of_garbage_ends_and_warns():
    pool = POOL()
    engine = weakref.ref(pool._engine)
    pool.itself = pool
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        del pool
        gc.collect()
        wait_until(lambda: engine() is None)
    assert engine() is None
    assert "unclosed running multiprocessing pool" in str(said[0].message)


def test_a_pool_that_was_closed_does_not_warn():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        pool = POOL()
        pool.close()
        pool.join()
        del pool
    assert not [one for one in said if one.category is ResourceWarning]
