"""What `poolwise.Pool` promises."""

from __future__ import annotations

import threading

import pytest

import poolwise


@pytest.fixture
def pool():
    with poolwise.Pool(2, context="fork") as pool:
        yield pool


# --- callbacks ----------------------------------------------------------------------------------


def test_who_begins_to_wait_while_the_callback_runs_is_woken_after_it(pool):
    go_on = threading.Event()
    result = pool.apply_async(abs, (-1,), callback=lambda _: go_on.wait())
    threading.Timer(0.1, go_on.set).start()
    assert result.get(20) == 1
    assert go_on.is_set()


def test_callbacks_never_run_in_a_thread_that_uses_the_pool(pool):
    lock, told = threading.Lock(), []

    def call_back(value):
        with lock:
            told.append((value, threading.current_thread()))

    with lock:  # a callback run in here by this thread would wait for ever
        results = [pool.apply_async(abs, (-1,), callback=call_back) for _ in range(20)]
        assert pool.map(abs, range(-5, 0)) == [5, 4, 3, 2, 1]
        assert pool.apply(abs, (-2,)) == 2
    assert [result.get(20) for result in results] == [1] * 20
    assert threading.current_thread() not in {thread for _, thread in told}


def test_callback_may_wait_for_a_result_that_has_a_callback(pool):
    told = []

    def call_back(value):
        inner = pool.apply_async(abs, (value - 5,), callback=told.append)
        told.append(inner.get(20))

    pool.apply_async(abs, (-1,), callback=call_back).wait(20)
    assert told == [4, 4]
