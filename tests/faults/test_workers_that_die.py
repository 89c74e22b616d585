"""A worker that ends, however and whenever, costs the task it ran and nothing else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial

import pytest

import poolwise
from poolwise import errors
from tests.conftest import wait_until
from tests.faults import breakers

LIMIT_S = 100
HOW = sorted(breakers.ENDS)


@pytest.fixture(scope="module", params=["fork", "spawn", "forkserver"])
def pool(request):
    with poolwise.Pool(2, context=request.param) as pool:
        yield pool


@pytest.fixture
def executor():
    with poolwise.ProcessPoolExecutor(2, "fork") as executor:
        yield executor


def tell_of_sigterm(heard, waits):
    def hear(*_):
        heard.touch()
        os._exit(0)

    signal.signal(signal.SIGTERM, hear)
    waits.touch()
    time.sleep(LIMIT_S)


def works(pool):
    """The pool is as good as new."""
    return pool.map(breakers.double, range(50)) == [2 * at for at in range(50)]


# --- in the call --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", HOW)
def test_a_single_call_names_the_end(pool, how):
    with pytest.raises(BrokenProcessPool, match=how) as caught:
        pool.apply_async(breakers.end, (how,)).get(LIMIT_S)
    assert isinstance(caught.value, poolwise.WorkerDied)
    assert caught.value.pid not in {None, os.getpid()}
    assert caught.value.item is None
    assert works(pool)


@pytest.mark.parametrize("chunksize", [None, 1, 4, 100])
def test_map_names_the_item(pool, chunksize):
    with pytest.raises(poolwise.WorkerDied, match="item 3 of") as caught:
        pool.map_async(breakers.end_at_three, range(10), chunksize).get(LIMIT_S)
    assert caught.value.item == 3
    assert works(pool)


@pytest.mark.parametrize("chunksize", [None, 1, 4, 100])
@pytest.mark.parametrize("how", ["SIGKILL", "code 0"])
def test_every_other_item_of_a_stream_arrives(pool, how, chunksize):
    results = pool.imap(partial(breakers.end_at_three, how=how), range(10), chunksize)
    got = []
    for _ in range(10):
        try:
            got.append(results.next(LIMIT_S))
        except poolwise.WorkerDied as error:
            got.append(error.item)
    assert got == [0, 2, 4, 3, 8, 10, 12, 14, 16, 18]
    assert works(pool)


def test_submitted_calls_beside_it_are_run(executor):
    before = [executor.submit(breakers.double, at) for at in range(20)]
    dead = executor.submit(breakers.end, "SIGKILL")
    after = [executor.submit(breakers.double, at) for at in range(20)]
    with pytest.raises(poolwise.WorkerDied):
        dead.result(LIMIT_S)
    assert [future.result(LIMIT_S) for future in before + after] == 2 * [2 * at for at in range(20)]


def test_many_deaths_are_many_errors(executor):
    futures = [executor.submit(breakers.end_at_three, at % 4) for at in range(40)]
    dead = [isinstance(future.exception(LIMIT_S), poolwise.WorkerDied) for future in futures]
    assert dead == [at % 4 == 3 for at in range(40)]
    said = {id(future.exception()) for future in futures if future.exception()}
    assert len(said) == 10  # no error is shared, so that no traceback grows


# --- elsewhere on the journey -------------------------------------------------------------------


def test_at_unpickling_an_argument(pool):
    with pytest.raises(poolwise.WorkerDied):
        pool.apply_async(id, (breakers.EndsWhenLoaded(),)).get(LIMIT_S)
    items = [1, breakers.EndsWhenLoaded(), 3]
    with pytest.raises(poolwise.WorkerDied, match="item 1 of"):
        pool.map_async(str, items, 3).get(LIMIT_S)
    assert works(pool)


def test_at_pickling_the_result(pool):
    with pytest.raises(poolwise.WorkerDied):
        pool.apply_async(breakers.make, (breakers.EndsWhenPickled,)).get(LIMIT_S)
    assert works(pool)


@pytest.mark.parametrize("size", [10, 300_000])
def test_around_writing_the_result(executor, size):
    for _ in range(5):
        try:
            assert len(executor.submit(breakers.end_in_a_moment, size).result(LIMIT_S)) == size
        except poolwise.WorkerDied:
            pass
    assert executor.submit(breakers.double, 2).result(LIMIT_S) == 4


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_while_idle(number):
    with poolwise.Pool(2, context="fork") as pool:
        assert works(pool)
        for process in pool._pool:
            os.kill(process.pid, number)
        assert works(pool)
        assert works(pool)


def test_while_a_huge_argument_is_written(executor):
    huge = [str(at) for at in range(300_000)]
    futures = [executor.submit(breakers.raise_at_three, 1) for _ in range(3)]
    dead = executor.submit(breakers.end_at_three, 3)
    big = [executor.submit(len, huge) for _ in range(3)]
    with pytest.raises(poolwise.WorkerDied):
        dead.result(LIMIT_S)
    assert [future.result(LIMIT_S) for future in futures + big] == [2] * 3 + [300_000] * 3


def test_before_it_is_ready(tmp_path):
    pool = poolwise.Pool(2, breakers.count_start, (str(tmp_path),), context="fork")
    with pool, pytest.raises(poolwise.InitializerFailed, match="before they are ready"):
        pool.map_async(breakers.double, range(4)).get(LIMIT_S)
    assert len(list(tmp_path.iterdir())) < 12  # no storm


UNGUARDED = {
    "Pool": """
import poolwise
with poolwise.Pool(2, context="{method}") as pool:
    pool.map(abs, [1])
""",
    "executor": """
import poolwise
poolwise.ProcessPoolExecutor(2, "{method}").submit(abs, 1).result()
""",
    "installed": """
import multiprocessing, poolwise
poolwise.install()
multiprocessing.get_context("{method}").Pool(2).map(abs, [1])
""",
}


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("door", UNGUARDED)
def test_a_main_module_without_a_guard_is_told_of_it(tmp_path, door, method):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED[door].format(method=method))
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", script],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    said = ended.stderr.strip().splitlines()
    assert "InitializerFailed" in said[-1]
    assert "if __name__ == '__main__':" in said[-1]
    assert ended.stderr.count("Traceback") == 1
    assert len(said) < 20


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("start", [breakers.fail_start, breakers.sys_exit])
def test_initializer_that_fails_is_the_error(method, start):
    args = (4,) if start is breakers.sys_exit else ()
    with poolwise.Pool(2, start, args, context=method) as pool:
        with pytest.raises(poolwise.InitializerFailed, match=r"no start|SystemExit"):
            pool.map_async(breakers.double, range(4)).get(LIMIT_S)
        with pytest.raises(poolwise.InitializerFailed):
            list(pool.imap(breakers.double, range(4)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_initializer_that_never_returns_does_not_hold_up_the_end(method):
    pool = poolwise.Pool(2, time.sleep, (600,), context=method)
    result = pool.map_async(breakers.double, range(4))
    with pytest.raises(multiprocessing.TimeoutError):
        result.get(0.2)
    pool.terminate()
    pool.join()
    with pytest.raises(errors.PoolTerminated):
        result.get(LIMIT_S)
    executor = poolwise.ProcessPoolExecutor(2, method, time.sleep, (600,))
    future = executor.submit(breakers.double, 1)
    executor.kill_workers()
    with pytest.raises(errors.PoolTerminated):
        future.result(LIMIT_S)


# --- the pipes themselves -----------------------------------------------------------------------


GARBAGE = {
    "endless": b"\xff" * 100,  # a frame longer than any memory
    "no such kind": (9 << 56 | 3).to_bytes(8, "little") + b"abc",
    "short answer": (2 << 56 | 3).to_bytes(8, "little") + b"abc",
    "unreadable": (4 << 56 | 3).to_bytes(8, "little") + b"abc",
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_what_makes_no_sense_costs_one_worker(pool, garbage):
    beside = pool.map_async(breakers.double, range(100))
    with pytest.raises(poolwise.WorkerDied, match=r"makes no sense.*not its own"):
        pool.apply_async(breakers.write_into_pipes, (GARBAGE[garbage],)).get(LIMIT_S)
    assert beside.get(LIMIT_S) == list(range(0, 200, 2))
    assert works(pool)


def test_an_answer_that_is_too_large_for_the_memory_is_told_from_one_that_makes_no_sense(pool):
    head = (2 << 56 | 1 << 46).to_bytes(8, "little") + b"x" * 100
    with pytest.raises(poolwise.WorkerDied, match=f"no memory for a message of {1 << 46} bytes"):
        pool.apply_async(breakers.write_into_pipes, (head,)).get(LIMIT_S)
    assert works(pool)


def test_closed_descriptors_are_not_taken_for_a_lack_of_memory(pool):
    with pytest.raises(poolwise.WorkerDied) as caught:
        pool.apply_async(breakers.close_descriptors).get(LIMIT_S)
    assert "memory" not in str(caught.value)
    assert works(pool)


# --- retries, time limits -----------------------------------------------------------------------


def test_retries_are_bounded_and_counted(pool):
    before = pool.statistics()["retries"]
    with pytest.raises(poolwise.WorkerDied):
        pool.map(breakers.end_at_three, range(6), retries=2)
    assert pool.statistics()["retries"] == before + 2
    assert works(pool)


def test_time_limit_stops_the_task_alone(pool):
    results = pool.imap(time.sleep, [0, 60, 0], 1, task_timeout=0.2)
    assert results.next(LIMIT_S) is None
    with pytest.raises(TimeoutError, match="item 1 of") as caught:
        results.next(LIMIT_S)
    assert isinstance(caught.value, poolwise.TaskTimeout)
    assert results.next(LIMIT_S) is None
    assert works(pool)


def test_frozen_worker_falls_to_the_time_limit():
    with poolwise.Pool(1, context="fork") as pool:
        (process,) = pool._pool
        result = pool.map_async(stop_myself, [1], task_timeout=0.3)
        with pytest.raises(poolwise.TaskTimeout):
            result.get(LIMIT_S)
        assert not process.is_alive()
        assert works(pool)


def stop_myself(_):
    os.kill(os.getpid(), signal.SIGSTOP)


def test_frozen_workers_do_not_hold_up_the_end():
    pool = poolwise.Pool(2, context="fork")
    assert works(pool)
    for process in pool._pool:
        os.kill(process.pid, signal.SIGSTOP)
    pool.terminate()
    pool.join()


def test_cancelled_by_force(executor):
    future = executor.submit(time.sleep, 60)
    while not future.running():
        time.sleep(0.001)
    assert future.cancel(force=True)
    assert future.cancelled()
    assert executor.submit(breakers.double, 4).result(LIMIT_S) == 8


@pytest.mark.parametrize(("method", "is_heard"), [("terminate_workers", 1), ("kill_workers", 0)])
def test_only_workers_that_are_terminated_can_hear_of_it(method, is_heard, tmp_path):
    heard, waits = tmp_path / "heard", tmp_path / "waits"
    executor = poolwise.ProcessPoolExecutor(1, mp_context="fork")
    future = executor.submit(tell_of_sigterm, heard, waits)
    wait_until(waits.exists)
    getattr(executor, method)()
    with pytest.raises(errors.PoolTerminated):
        future.result()
    assert heard.exists() == is_heard


@pytest.mark.parametrize("method", ["terminate_workers", "kill_workers"])
def test_ended_by_the_program(method):
    executor = poolwise.ProcessPoolExecutor(2, "fork")
    futures = [executor.submit(time.sleep, 60) for _ in range(4)]
    getattr(executor, method)()
    assert not wait(futures, LIMIT_S).not_done
    for future in futures:
        with pytest.raises((errors.PoolTerminated, BrokenProcessPool)):
            future.result(LIMIT_S)
    with pytest.raises(RuntimeError):
        executor.submit(breakers.double, 1)
    executor.shutdown()


@pytest.mark.parametrize("is_handed_out", [False, True])
def test_calls_of_a_terminated_pool_are_over(is_handed_out):
    told = []
    with poolwise.Pool(1, context="fork", retry_on=(Exception,), retries=9) as pool:
        results = [pool.apply_async(time.sleep, (60,), error_callback=told.append) for _ in "abc"]
        if is_handed_out:
            results[0].wait(0.01)
    assert all(result.ready() for result in results)
    assert told == []  # as in the standard pool
    for result in results:
        result.wait()
        with pytest.raises(errors.PoolTerminated):
            result.get()


def test_terminated_pool_is_joined_whatever_was_being_read():
    pool = poolwise.Pool(2, context="fork")
    read = pool.imap(breakers.double, range(100_000))
    assert next(read) == 0
    pool.terminate()
    pool.join()
    with pytest.raises(errors.PoolTerminated):
        list(read)
