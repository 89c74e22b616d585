"""Private names of the standard pools, which programs read and ours have as views."""

from __future__ import annotations

import concurrent.futures
import gc
import multiprocessing
import multiprocessing.pool
import os
import signal
import threading
import time
import weakref

import pytest

import poolwise
from tests.conftest import wait_until
from tests.parity.tasks import run_while_there_is

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def pool():
    with poolwise.Pool(2, context="fork") as pool:
        yield pool


@pytest.fixture
def executor():
    with poolwise.ProcessPoolExecutor(2, "fork") as executor:
        yield executor


@pytest.fixture
def gate(tmp_path):
    """A folder; tasks that run while it is there end when it is removed."""
    (folder := tmp_path / "gate").mkdir()
    yield folder
    if folder.exists():
        folder.rmdir()


def wait_while(is_true):
    wait_until(lambda: not is_true())
    assert not is_true()


def add(one, other):
    return one + other


# --- results ------------------------------------------------------------------------------------

SHAPES = [(10, 3), (10, None), (33, None), (1, None), (7, 1), (7, 100), (0, None), (0, 5)]


@pytest.mark.parametrize(("size", "chunksize"), SHAPES)
def test_chunks_that_are_left_are_those_of_the_standard_pool(pool, gate, size, chunksize):
    with FORK.Pool(2) as standard:
        results = [
            each.map_async(run_while_there_is, [str(gate)] * size, chunksize)
            for each in (standard, pool)
        ]
        left = [(result._number_left, result.ready()) for result in results]
        gate.rmdir()
        for result in results:
            result.get(60)
        assert left[0] == left[1]
        assert [result._number_left for result in results] == [0, 0]
        if size:
            assert results[0]._chunksize == results[1]._chunksize


def test_chunks_that_are_left_get_fewer(pool):
    result, seen = pool.map_async(abs, range(20_000), 10), []
    while not result.ready():
        seen.append(result._number_left)
    assert seen == sorted(seen, reverse=True)
    assert result._number_left == 0
    assert result._value == list(range(20_000))


def test_success_and_event_of_a_result(pool, gate):
    result = pool.apply_async(run_while_there_is, (str(gate),))
    assert not result._event.is_set()
    assert not result._event.wait(0.01)
    assert result._success is None
    gate.rmdir()
    assert result._event.wait(60)
    assert result._success
    failed = pool.apply_async(abs, ("no number",))
    failed.wait(60)
    assert (failed._success, type(failed._value)) == (False, TypeError)


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
@pytest.mark.parametrize("make", [range, lambda size: iter(range(size))])
def test_index_of_an_iterator_reaches_the_end_though_nothing_is_read(pool, method, make):
    results, seen = getattr(pool, method)(abs, make(3_000)), []
    wait_while(lambda: seen.append(results._index) or seen[-1] < 3_000)
    assert seen == sorted(seen)
    wait_while(lambda: results._length is None)
    assert results._length == 3_000
    assert len(list(results)) == 3_000
    assert (results._index, results._length) == (3_000, 3_000)


# --- a pool's unfinished work -------------------------------------------------------------------


def test_cache_is_empty_when_all_is_done_callbacks_included(pool):
    told = []

    def call_back(value):
        time.sleep(0.001)
        told.append(value)

    results = [pool.apply_async(abs, (-n,), callback=call_back) for n in range(50)]
    results.append(pool.map_async(abs, range(100), callback=call_back))
    wait_while(lambda: pool._cache)
    assert all(result.ready() for result in results)
    assert len(told) == 51


def test_cache_is_empty_at_last_though_a_stream_is_not_read(pool):
    results = pool.imap(abs, iter(range(20_000)))
    wait_while(lambda: pool._cache)
    assert list(results) == list(range(20_000))


def test_cache_counts_and_finds_what_is_not_done(pool, gate):
    assert not pool._cache
    assert list(pool._cache) == []
    cache = pool._cache
    results = [pool.apply_async(run_while_there_is, (str(gate),)) for _ in range(9)]
    results.append(pool.map_async(run_while_there_is, [str(gate)]))
    stream = pool.imap(run_while_there_is, [str(gate)])
    assert len(cache) == 11
    assert all(cache[result._job] is result for result in results)
    assert {id(result) for result in cache.values()} == {id(r) for r in (*results, stream)}
    gate.rmdir()
    wait_while(lambda: cache)
    assert all(result.ready() for result in results)
    with pytest.raises(KeyError):
        cache[results[0]._job]


def test_cache_of_a_pool_that_has_ended_is_empty(gate):
    with poolwise.Pool(1, context="fork") as pool:
        result = pool.apply_async(run_while_there_is, (str(gate),), callback=print)
        assert len(pool._cache) == 1
    assert not pool._cache
    with pytest.raises(poolwise.PoolwiseError):
        result.get(60)


def test_backpressure_by_the_length_of_the_cache(pool):
    most = 0
    for n in range(300):
        pool.apply_async(abs, (n,))
        wait_while(lambda: len(pool._cache) >= 10)
        most = max(most, len(pool._cache))
    assert most <= 10


def test_cache_may_be_looked_at_in_a_callback_and_by_many_threads(pool):
    seen = []
    results = [
        pool.apply_async(abs, (n,), callback=lambda _: seen.append(len(pool._cache)))
        for n in range(30)
    ]
    threads = [
        threading.Thread(target=lambda: [seen.append(len(pool._cache)) for _ in range(50)])
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [result.get(60) for result in results] == list(range(30))
    wait_while(lambda: len(seen) < 180)
    assert all(0 <= count <= 30 for count in seen)


def test_task_queue_says_how_many_calls_wait(pool, gate):
    queue = pool._taskqueue
    assert queue.empty()
    results = [pool.apply_async(run_while_there_is, (str(gate),)) for _ in range(10)]
    wait_while(lambda: queue.qsize() > 8)
    assert (queue.qsize(), queue.empty()) == (8, False)
    gate.rmdir()
    wait_while(queue.qsize)
    for result in results:
        result.get(60)


def test_what_a_pool_was_made_of_is_where_programs_look(pool):
    assert pool._ctx.get_start_method() == "fork"
    assert (pool._initializer, pool._initargs, pool._maxtasksperchild) == (None, (), None)
    assert (pool._processes, len(pool._pool), pool._state) == (2, 2, "RUN")
    with poolwise.Pool(1, abs, [-1], 7, "fork") as other:
        assert (other._initializer, other._initargs, other._maxtasksperchild) == (abs, (-1,), 7)
        assert [process.pid for process in other._pool] == [other.apply(os.getpid)]


def test_recipe_that_kills_a_pool(pool, gate):
    results = [pool.apply_async(run_while_there_is, (str(gate),)) for _ in range(9)]
    pool._state = multiprocessing.pool.TERMINATE
    pool._worker_handler._state = multiprocessing.pool.TERMINATE
    for process in pool._pool:
        os.kill(process.pid, signal.SIGKILL)
    wait_while(lambda: any(process.is_alive() for process in pool._pool))
    pool.terminate()
    assert not pool._worker_handler.is_alive()
    assert all(result.ready() for result in results)


def test_handlers_of_a_pool_end_with_it(pool):
    handlers = [pool._worker_handler, pool._task_handler, pool._result_handler]
    assert all(handler.is_alive() for handler in handlers)
    handlers[0].join(0.01)
    pool._worker_handler._state = multiprocessing.pool.CLOSE
    assert pool._state == "CLOSE"
    for handler in handlers:
        handler.join(60)
    assert not any(handler.is_alive() for handler in handlers)
    pool._change_notifier.put(None)
    pool._terminate()
    assert pool._state == handlers[0]._state == "TERMINATE"


def test_views_do_not_keep_a_pool():
    pool = poolwise.Pool(1, context="fork")
    views = [pool._cache, pool._ctx]
    pool.close()
    alive = weakref.ref(pool)
    del pool
    gc.collect()
    assert alive() is None
    assert len(views[0]) == 0


@pytest.mark.parametrize("name", ["_inqueue", "_outqueue", "_quick_put", "_quick_get"])
def test_the_pipes_of_the_standard_pool_are_not_there(pool, name):
    assert not hasattr(pool, name)


def test_subclass_may_have_such_names_for_itself():
    class Caching(poolwise.Pool):
        def __init__(self):
            super().__init__(1, context="fork")
            self._cache = {}

        def square(self, number):
            if number not in self._cache:
                self._cache[number] = self.apply(pow, (number, 2))
            return self._cache[number]

    with Caching() as pool:
        assert [pool.square(3), pool.square(3), pool._cache] == [9, 9, {3: 9}]


# --- executors ----------------------------------------------------------------------------------


def test_pending_items_are_the_calls_that_are_not_done(executor, gate):
    pending = executor._pending_work_items
    assert not pending
    futures = [executor.submit(run_while_there_is, str(gate)) for _ in range(9)]
    assert len(pending) == len(executor._pending_work_items) == 9
    assert {id(item.future) for item in pending.values()} == {id(future) for future in futures}
    assert all(number in pending for number in pending)
    wait_while(lambda: executor._work_ids.qsize() > 7)  # later, a worker might begin with the map
    results = executor.map(run_while_there_is, [str(gate)] * 3)
    assert len(pending) == 10
    for item in pending.values():
        item.future.cancel()
    assert [future.cancelled() for future in futures] == [False] * 2 + [True] * 7
    gate.rmdir()
    wait_while(lambda: pending)
    assert list(results) == [None] * 3
    assert all(future.done() for future in futures)


def test_backpressure_by_the_number_of_pending_items(executor):
    futures, most = [], 0
    while len(futures) < 200:
        if len(executor._pending_work_items) < 6:
            futures.append(executor.submit(abs, -len(futures)))
        most = max(most, len(executor._pending_work_items))
    assert [future.result(60) for future in futures] == list(range(200))
    assert most <= 6


def test_queues_of_an_executor_have_a_length(executor, gate):
    assert executor._work_ids.empty()
    assert executor._call_queue.empty()
    assert executor._result_queue.empty()
    futures = [executor.submit(run_while_there_is, str(gate)) for _ in range(30)]
    wait_while(lambda: executor._work_ids.qsize() > 28)
    assert executor._work_ids.qsize() + executor._call_queue.qsize() == 28
    assert not executor._work_ids.full()
    gate.rmdir()
    for future in futures:
        future.result(60)
    assert executor._work_ids.qsize() == 0
    assert not hasattr(executor, "_work_queue")  # ThreadPoolExecutor alone has it


def test_what_an_executor_was_made_of_is_where_programs_look():
    context = multiprocessing.get_context("spawn")
    executor = poolwise.ProcessPoolExecutor(3, context, abs, (-1,), max_tasks_per_child=5)
    assert executor._max_workers == 3
    assert executor._mp_context is context
    assert (executor._initializer, executor._initargs) == (abs, (-1,))
    assert executor._max_tasks_per_child == 5
    assert (executor._processes, executor._broken, executor._shutdown_thread) == ({}, False, False)
    assert executor._executor_manager_thread is None or executor._queue_count == 0
    with executor._shutdown_lock:
        assert executor._shutdown_lock.locked()
    executor.shutdown()
    assert executor._shutdown_thread
    assert executor._executor_manager_thread is None


def note(text):
    os.environ["NOTED"] = text


def read_note():
    return os.environ.get("NOTED")


def test_initializer_that_is_assigned_before_the_first_call():
    with poolwise.ProcessPoolExecutor(1, "fork") as executor:
        executor._initializer = note
        executor._initargs = ("assigned",)
        assert executor.submit(read_note).result(60) == "assigned"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_that_are_started_ahead(method):
    with poolwise.ProcessPoolExecutor(2, method) as executor:
        for _ in range(2):
            executor._adjust_process_count()
        executor._start_executor_manager_thread()
        assert len(executor._processes) == 2
        assert executor.submit(os.getpid).result(60) in executor._processes
        assert len(executor._processes) == 2


def test_manager_of_an_executor_ends_with_it():
    executor = poolwise.ProcessPoolExecutor(1, "fork")
    results = executor.map(abs, range(-3, 0))
    manager, queue = executor._executor_manager_thread, executor._call_queue
    assert manager.is_alive()
    manager.join(0.01)
    executor.shutdown(wait=False)
    manager.join(60)
    assert not manager.is_alive()
    queue.close()
    queue.join_thread()
    assert list(results) == [3, 2, 1]


def test_views_do_not_keep_an_executor():
    executor = poolwise.ProcessPoolExecutor(1, "fork")
    assert executor.submit(abs, -1).result(60) == 1
    views = [executor._pending_work_items, executor._executor_manager_thread, executor._call_queue]
    alive = weakref.ref(executor)
    del executor
    gc.collect()
    assert alive() is None
    views[1].join(60)
    assert len(views[0]) == 0


def test_executor_is_not_pickled(executor):
    with pytest.raises(TypeError, match="cannot be passed between processes"):
        executor.submit(id, executor).result(60)


def test_standard_futures_wait_with_ours(executor):
    plain = concurrent.futures.Future()
    ours = executor.submit(abs, -1)
    done, left = concurrent.futures.wait([plain, ours], 60, "FIRST_COMPLETED")
    assert (done, left) == ({ours}, {plain})
