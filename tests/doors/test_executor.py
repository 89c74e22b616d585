"""What `poolwise.ProcessPoolExecutor` promises."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import sys
import threading
import time
import weakref
from concurrent.futures import CancelledError, as_completed, wait
from concurrent.futures.process import BrokenProcessPool

import pytest

import poolwise
from poolwise import errors
from tests.conftest import wait_until


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
    assert (slow.result(100), other.result(100)) == (None, 1)
    dead = executor.submit(_kill_myself)
    with pytest.raises(BrokenProcessPool, match="SIGKILL"):
        dead.result(100)
    assert executor.submit(pow, 2, 8).result(100) == 256


def _kill_myself():
    os.kill(os.getpid(), signal.SIGKILL)


def test_max_tasks_per_child_works_with_fork():
    with poolwise.ProcessPoolExecutor(1, "fork", max_tasks_per_child=2) as executor:
        pids = [executor.submit(os.getpid).result(100) for _ in range(6)]
    assert [pids.index(pid) for pid in pids] == [0, 0, 2, 2, 4, 4]


# --- initializers -------------------------------------------------------------------------------


def test_failed_initializer_breaks_the_executor():
    executor = poolwise.ProcessPoolExecutor(2, "fork", fail)
    future = executor.submit(abs, -1)
    with pytest.raises(BrokenProcessPool, match="no luck today"):
        future.result(100)
    with pytest.raises(BrokenProcessPool, match="no luck today"):
        executor.submit(abs, -1)
    with pytest.raises(errors.InitializerFailed):
        executor.map(abs, [-1])
    executor.shutdown()


def test_an_executor_without_workers_ends_when_all_calls_were_cancelled():
    """Its first worker fails to start over a call that is not wanted any more."""
    for _ in range(20):  # a race between the cancelling and the failure
        executor = poolwise.ProcessPoolExecutor(1, "fork", fail)
        executor.submit(abs, -1).cancel()
        closing = threading.Thread(target=executor.shutdown, daemon=True)
        closing.start()
        closing.join(100)
        assert not closing.is_alive()


# --- values -------------------------------------------------------------------------------------


def test_map_keeps_nothing_that_its_reader_let_go(executor):
    for thing in executor.map(make_thing, range(10)):
        alive = weakref.ref(thing)
        del thing
        gc.collect()
        # the thread that reads answers may be in the midst of letting go of this one
        wait_until(lambda: alive() is None)  # noqa: B023
        assert alive() is None


def test_what_exits_when_it_is_pickled_is_the_tasks_own_exit(executor):
    with pytest.raises(SystemExit):
        executor.submit(ExitsWhenPickled).result(100)
    assert executor.submit(abs, -1).result(100) == 1


def test_result_that_exits_when_it_is_loaded_is_an_error(executor):
    with pytest.raises(errors.ResultNotLoadable, match="SystemExit") as caught:
        executor.submit(ExitsWhenLoaded).result(100)
    assert isinstance(caught.value, BrokenProcessPool)
    assert type(pickle.loads(pickle.dumps(caught.value))) is type(caught.value)


def test_argument_that_exits_when_it_is_loaded_is_an_error(executor):
    with pytest.raises(errors.ArgumentNotLoadable) as caught:
        executor.submit(id, ExitsWhenLoaded()).result(100)
    assert isinstance(caught.value, BrokenProcessPool)
    assert type(pickle.loads(pickle.dumps(caught.value))) is type(caught.value)
    assert executor.submit(abs, -1).result(100) == 1


# --- the end ------------------------------------------------------------------------------------


def test_cancel_futures_spares_what_workers_had_as_good_as_begun():
    executor = poolwise.ProcessPoolExecutor(2, "fork")
    futures = [executor.submit(pid_after, 0.05) for _ in range(30)]
    executor.shutdown(cancel_futures=True)
    assert all(future.done() for future in futures)
    cancelled = sum(future.cancelled() for future in futures)
    assert 0 < 30 - cancelled < 20


@pytest.mark.parametrize("make", [list, iter], ids=["list", "generator"])
@pytest.mark.parametrize("chunksize", [1, 3])
def test_a_map_whose_items_were_cancelled_does_not_just_end(make, chunksize):
    executor = poolwise.ProcessPoolExecutor(2, "fork")
    results = executor.map(after, make(range(300)), chunksize=chunksize)
    got = [next(results)]
    executor.shutdown(cancel_futures=True)
    with pytest.raises(CancelledError):
        got.extend(results)
    assert len(got) < 300
    assert got == list(range(len(got)))


def test_a_map_of_which_nothing_was_begun_is_cancelled_whole():
    executor = poolwise.ProcessPoolExecutor(1, "fork")
    first = executor.submit(pid_after, 0.2)
    results = executor.map(abs, [-1])
    executor.shutdown(cancel_futures=True)
    with pytest.raises(CancelledError):
        list(results)
    assert first.result(100) > 0


def test_a_map_whose_items_were_all_begun_is_not_cancelled():
    executor = poolwise.ProcessPoolExecutor(2, "fork")
    results = executor.map(after, [0, 1], chunksize=1)
    assert next(results) == 0
    executor.shutdown(cancel_futures=True)
    assert list(results) == [1]


def after(item):
    time.sleep(0.01)
    return item


def test_executor_that_is_let_go_finishes_what_it_was_given():
    executor = poolwise.ProcessPoolExecutor(2, "fork")
    results, processes = executor.map(abs, range(-5, 5)), executor._processes
    future = executor.submit(pid_after, 0.05)
    del executor
    gc.collect()
    assert list(results) == [5, 4, 3, 2, 1, 0, 1, 2, 3, 4]
    assert future.result(100) in processes
    # The helper thread reaps them; a join here may come between the kernel's word and its note.
    wait_until(lambda: all(process.exitcode is not None for process in processes.values()))
    assert all(process.exitcode is not None for process in processes.values())


# --- with the rest of the standard library ------------------------------------------------------


def test_asyncio_runs_calls_in_it(executor):
    async def main():
        loop = asyncio.get_running_loop()
        wrapped = asyncio.wrap_future(executor.submit(pow, 2, 5))
        ran = [loop.run_in_executor(executor, abs, -at) for at in range(20)]
        return await asyncio.gather(wrapped, *ran)

    assert asyncio.run(main()) == [32, *range(20)]


def test_asyncio_passes_errors_on(executor):
    async def main():
        await asyncio.get_running_loop().run_in_executor(executor, fail)

    with pytest.raises(RuntimeError, match="no luck"):
        asyncio.run(main())


def test_wait_and_as_completed_from_several_threads(executor):
    shared = [executor.submit(abs, -at) for at in range(50)]
    got = []

    def gather():
        futures = [executor.submit(abs, -at) for at in range(50)]
        done, left = wait(futures + shared, timeout=100)
        found = sorted(future.result() for future in as_completed(futures, timeout=100))
        got.append((len(done), len(left), found))

    threads = [threading.Thread(target=gather) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert got == [(100, 0, list(range(50)))] * 4


def test_callback_that_raises_and_one_that_submits(executor, caplog):
    later = []
    future = executor.submit(pid_after, 0.05)
    future.add_done_callback(lambda _: 1 / 0)
    future.add_done_callback(lambda _: later.append(executor.submit(abs, -3)))
    future.result(100)
    until = time.monotonic() + 100
    while not later and time.monotonic() < until:
        time.sleep(0.001)
    assert later[0].result(100) == 3
    assert "ZeroDivisionError" in caplog.text


def test_two_tasks_never_receive_the_same_list(executor):
    shared = []
    futures = [executor.submit(append_to, shared, at) for at in range(50)]
    assert [future.result(100) for future in futures] == [[at] for at in range(50)]
    assert shared == []


def append_to(values, value):
    values.append(value)
    return values


@pytest.mark.parametrize("kind", [list, set, dict.fromkeys])
def test_the_input_of_a_map_may_be_used_again_as_soon_as_it_returns(executor, kind):
    numbers = kind(range(3_000))
    results = executor.map(abs, numbers)
    numbers.clear()
    assert list(results) == list(range(3_000))


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "match", "options"),
    [
        (ValueError, "max_workers must be greater than 0", {"max_workers": 0}),
        (ValueError, "max_workers must be greater than 0", {"max_workers": -1}),
        (TypeError, "initializer must be a callable", {"initializer": 3}),
        (ValueError, "cannot find context for 'spoon'", {"mp_context": "spoon"}),
        (TypeError, "must be an integer", {"max_tasks_per_child": "3"}),
        (ValueError, "must be >= 1", {"max_tasks_per_child": 0}),
        (ValueError, "unknown backend 'gpus'", {"backend": "gpus"}),
        (ValueError, "task_timeout must be a positive number", {"task_timeout": 0}),
        (ValueError, "retries must be 0 or more", {"retries": -1}),
    ],
)
def test_bad_options_are_refused_where_they_are_given(error, match, options):
    with pytest.raises(error, match=match):
        poolwise.ProcessPoolExecutor(**options)


@pytest.mark.parametrize(
    ("error", "match", "options"),
    [
        (ValueError, "chunksize must be >= 1", {"chunksize": 0}),
        (ValueError, "buffersize must be None or > 0", {"buffersize": 0}),
        (TypeError, "buffersize must be an integer", {"buffersize": 1.5}),
        (TypeError, "unknown argument 'retry'", {"retry": 1}),
    ],
)
def test_bad_options_of_a_map_are_refused_at_the_call(executor, error, match, options):
    with pytest.raises(error, match=match):
        executor.map(abs, [1], **options)


def test_what_cannot_be_called_fails_its_own_task(executor):
    with pytest.raises(TypeError, match="not callable"):
        executor.submit(3, 4).result(100)
    assert executor.submit(abs, -1).result(100) == 1
