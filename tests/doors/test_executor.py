"""What `poolwise.ProcessPoolExecutor` promises."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import time
import weakref
from concurrent.futures.process import BrokenProcessPool

import pytest

import poolwise
from poolwise import errors


@pytest.fixture
def executor():
    with poolwise.ProcessPoolExecutor(2, mp_context="fork") as executor:
        yield executor


class Thing:
    pass


def make_thing(_):
    return Thing()


class ExitsWhenPickled:
    def __reduce__(self):
        sys.exit(3)


class ExitsWhenLoaded:
    def __reduce__(self):
        return sys.exit, (3,)


def fail():
    message = "no luck today"
    raise RuntimeError(message)


def pid_after(pause_s):
    time.sleep(pause_s)
    return os.getpid()


# --- workers that die ---------------------------------------------------------------------------


def test_a_death_costs_its_task_alone(executor):
    slow, other = executor.submit(os.kill, os.getpid(), 0), executor.submit(abs, -1)
    assert (slow.result(20), other.result(20)) == (None, 1)
    dead = executor.submit(_kill_myself)
    with pytest.raises(BrokenProcessPool, match="SIGKILL"):
        dead.result(20)
    assert executor.submit(pow, 2, 8).result(20) == 256


def _kill_myself():
    os.kill(os.getpid(), signal.SIGKILL)


def test_max_tasks_per_child_works_with_fork():
    with poolwise.ProcessPoolExecutor(1, "fork", max_tasks_per_child=2) as executor:
        pids = [executor.submit(os.getpid).result(20) for _ in range(6)]
    assert [pids.index(pid) for pid in pids] == [0, 0, 2, 2, 4, 4]


# --- initializers -------------------------------------------------------------------------------


def test_failed_initializer_breaks_the_executor():
    executor = poolwise.ProcessPoolExecutor(2, "fork", fail)
    future = executor.submit(abs, -1)
    with pytest.raises(BrokenProcessPool, match="no luck today"):
        future.result(20)
    with pytest.raises(BrokenProcessPool, match="no luck today"):
        executor.submit(abs, -1)
    with pytest.raises(errors.InitializerFailed):
        executor.map(abs, [-1])
    executor.shutdown()


# --- values -------------------------------------------------------------------------------------


def test_map_keeps_nothing_that_its_reader_let_go(executor):
    for thing in executor.map(make_thing, range(10)):
        alive = weakref.ref(thing)
        del thing
        gc.collect()
        assert alive() is None


def test_what_exits_when_it_is_pickled_is_the_tasks_own_exit(executor):
    with pytest.raises(SystemExit):
        executor.submit(ExitsWhenPickled).result(20)
    assert executor.submit(abs, -1).result(20) == 1


def test_result_that_exits_when_it_is_loaded_is_an_error(executor):
    with pytest.raises(errors.ResultNotLoadable, match="SystemExit") as caught:
        executor.submit(ExitsWhenLoaded).result(20)
    assert isinstance(caught.value, BrokenProcessPool)
    assert type(pickle.loads(pickle.dumps(caught.value))) is type(caught.value)


def test_argument_that_exits_when_it_is_loaded_is_an_error(executor):
    with pytest.raises(errors.ArgumentNotLoadable) as caught:
        executor.submit(id, ExitsWhenLoaded()).result(20)
    assert isinstance(caught.value, BrokenProcessPool)
    assert type(pickle.loads(pickle.dumps(caught.value))) is type(caught.value)
    assert executor.submit(abs, -1).result(20) == 1


# --- the end ------------------------------------------------------------------------------------


def test_cancel_futures_spares_what_workers_had_as_good_as_begun():
    executor = poolwise.ProcessPoolExecutor(2, "fork")
    futures = [executor.submit(pid_after, 0.05) for _ in range(30)]
    executor.shutdown(cancel_futures=True)
    assert all(future.done() for future in futures)
    cancelled = sum(future.cancelled() for future in futures)
    assert 0 < 30 - cancelled < 20


def test_executor_that_is_let_go_finishes_what_it_was_given():
    executor = poolwise.ProcessPoolExecutor(2, "fork")
    results, processes = executor.map(abs, range(-5, 5)), executor._processes
    future = executor.submit(pid_after, 0.05)
    del executor
    gc.collect()
    assert list(results) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]
    assert future.result(20) in processes
    for process in processes.values():
        process.join(20)
        assert process.exitcode is not None
