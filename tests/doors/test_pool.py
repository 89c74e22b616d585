"""What `poolwise.Pool` promises."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
import time
from functools import partial

import pytest

import poolwise
from poolwise import errors
from poolwise.wire.pipes import WakePipe
from tests.conftest import wait_until


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


def test_call_that_a_callback_makes_runs_though_nobody_waits_for_it(pool):
    for _ in range(20):
        made = []
        pool.apply_async(abs, (1,), callback=lambda _, made=made: made.append(submit(pool))).get()
        assert made[0].wait(60)


def submit(pool):
    """A call whose callback says that it is done; its result would help it along."""
    done = threading.Event()
    pool.apply_async(abs, (2,), callback=lambda _: done.set())
    return done


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


def test_callback_that_exits_leaves_the_next_to_be_told(pool, caplog):
    first = pool.apply_async(abs, (-1,), callback=sys.exit)
    assert first.get(20) == 1
    told = []
    assert pool.apply_async(abs, (-2,), callback=told.append).get(20) == 2
    assert told == [2]
    assert "SystemExit" in caplog.text


def test_callback_may_wait_for_a_result_that_has_a_callback(pool):
    told = []

    def call_back(value):
        inner = pool.apply_async(abs, (value - 5,), callback=told.append)
        told.append(inner.get(20))

    pool.apply_async(abs, (-1,), callback=call_back).wait(100)
    wait_until(lambda: len(told) > 1)  # the inner callback waits for the outer one to return
    assert told == [4, 4]


# --- inputs -------------------------------------------------------------------------------------


def raising_at(when):
    yield from range(when)
    message = "said when"
    raise LookupError(message)


@pytest.mark.parametrize("method", ["imap", "imap_unordered", "map"])
@pytest.mark.parametrize("chunksize", [1, None])
def test_empty_generator_gives_nothing(pool, method, chunksize):
    assert list(getattr(pool, method)(abs, iter(()), chunksize)) == []


@pytest.mark.parametrize("when", [0, 1, 5])
@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_what_the_input_raises_comes_after_the_values_before_it(pool, method, when):
    for _ in range(3):
        results = getattr(pool, method)(abs, raising_at(when))
        got = [next(results) for _ in range(when)]
        assert sorted(got) == list(range(when))
        with pytest.raises(LookupError, match="said when") as caught:
            next(results)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("when", [0, 1, 5])
def test_map_raises_what_its_input_raises(pool, when):
    with pytest.raises(LookupError, match="said when"):
        pool.map(abs, raising_at(when))
    assert pool.map(abs, [-1]) == [1]


def test_input_ends_while_every_worker_is_busy_with_something_else(pool):
    busy = [pool.apply_async(time.sleep, (60,)) for _ in range(2)]
    assert list(pool.imap(abs, iter(()))) == []
    assert not any(result.ready() for result in busy)


def test_an_explicit_chunk_that_the_input_breaks_off_is_lost_whole(pool):
    results = pool.imap(abs, raising_at(7), 2)
    assert [next(results) for _ in range(6)] == list(range(6))
    with pytest.raises(LookupError):
        next(results)


def test_chunksize_beyond_the_buffersize_does_not_stall(pool):
    assert list(pool.imap(abs, iter(range(40)), 10, buffersize=3)) == list(range(40))


# --- objects of any kind ------------------------------------------------------------------------


class Proxy:
    """May be called; asked for any attribute, it says that there is nothing behind it."""

    def __getattr__(self, name):
        message = f"working outside of the context: {name}"
        raise RuntimeError(message)

    def __reduce__(self):
        return Proxy, ()

    def __call__(self, number):
        return number + 1


def test_a_function_that_may_not_be_asked_for_attributes(pool):
    assert pool.map(Proxy(), range(3)) == [1, 2, 3]
    assert pool.apply(Proxy(), (3,)) == 4
    assert list(pool.imap(Proxy(), iter(range(3)))) == [1, 2, 3]


def test_an_error_names_a_partial_by_what_it_calls(pool):
    much = partial(end_worker, list(range(100_000)))
    with pytest.raises(poolwise.WorkerDied, match="item 0 of end_worker") as caught:
        pool.map(much, [1])
    assert len(str(caught.value)) < 1000


def end_worker(*_):
    os._exit(3)


# --- inputs that change while they are worked on ------------------------------------------------

CHANGES = {
    "emptied": lambda items: items.clear(),
    "longer": lambda items: items.extend(range(100)),
    "other": lambda items: items.__setitem__(-1, 0),
}

CALLS = {
    "map_async": lambda pool, items: pool.map_async(wait_a_moment, items),
    "imap": lambda pool, items: pool.imap(wait_a_moment, items),
    "imap_unordered": lambda pool, items: pool.imap_unordered(wait_a_moment, items),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("call", CALLS)
def test_a_list_may_be_used_again_as_soon_as_the_call_returns(pool, call, change):
    items = list(range(1, 3_001))
    found = CALLS[call](pool, items)
    CHANGES[change](items)
    values = found.get(100) if call == "map_async" else sorted(found)
    assert values == list(range(1, 3_001))


def wait_a_moment(item):
    time.sleep(0.0001)
    return item


def test_a_map_whose_list_another_thread_empties_fails(pool):
    items = list(range(10_000))
    threading.Timer(0.02, items.clear).start()
    with pytest.raises(RuntimeError, match="became shorter"):
        pool.map(wait_a_moment, items)
    assert pool.map(abs, [1]) == [1]


def test_a_map_has_the_items_that_its_list_had_at_the_call(pool):
    items = list(range(1_000))

    def extend_it():
        wait_until(lambda: pool.statistics()["tasks"] > 0)
        items.extend(items)

    thread = threading.Thread(target=extend_it)
    thread.start()
    assert pool.map(wait_a_moment, items) == list(range(1_000))
    thread.join()


class Doubled(list):
    """A list with items of its own making."""

    def __iter__(self):
        return (2 * item for item in super().__iter__())


def test_the_items_of_a_kind_of_list_are_those_it_yields(pool):
    assert pool.map(abs, Doubled([1, 2])) == [2, 4]
    assert list(pool.imap(abs, Doubled([1, 2]))) == [2, 4]
    assert pool.map_async(abs, Doubled([1, 2])).get(100) == [2, 4]


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "match", "options"),
    [
        (ValueError, "chunksize must be >= 1", {"chunksize": 1.5}),
        (ValueError, "chunksize must be >= 1", {"chunksize": float("nan")}),
        (TypeError, "retry_on must be an exception class", {"retry_on": [ValueError]}),
        (TypeError, "retry_on must be an exception class", {"retry_on": "ValueError"}),
        (TypeError, "cannot be interpreted as an integer", {"retries": 1.5}),
        (TypeError, "cannot be interpreted as an integer", {"retries": float("inf")}),
    ],
)
def test_bad_options_of_a_call_leave_the_pool_alone(pool, error, match, options):
    with pytest.raises(error, match=match):
        pool.map(fail, range(5), **options)
    with pytest.raises(error, match=match):
        pool.imap(fail, range(5), **options)
    assert pool.map(abs, [-1]) == [1]


def fail(item):
    raise ValueError(item)


@pytest.mark.parametrize("limit_s", [float("inf"), 1e300, 10**30])
def test_a_limit_for_ever_is_none(pool, limit_s):
    assert pool.map(abs, [-1, -2], task_timeout=limit_s) == [1, 2]


def test_one_exception_is_worth_another_try_without_a_tuple(pool):
    with pytest.raises(ValueError, match="3"):
        pool.map(fail, [3], retry_on=ValueError, retries=1)
    assert pool.statistics()["retries"] == 1


@pytest.mark.parametrize("state", [5, [("a", 1)], "ab"])
def test_a_state_without_names_is_refused(state):
    with pytest.raises(TypeError, match="state must be a dict"):
        poolwise.Pool(1, state=state)


@pytest.mark.parametrize("processes", [1.5, "2"])
def test_a_number_of_workers_is_whole(processes):
    for door in (poolwise.Pool, poolwise.ProcessPoolExecutor):
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            door(processes)


# --- a pool that is let go ----------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_pool_that_goes_in_a_cycle_has_its_engine_until_its_workers_have_ended(monkeypatch):
    lanes_left = []

    def note_and_close(pipe, close=WakePipe.__del__):
        if id(pipe) == own:  # that of another test's pool may go in this moment
            lanes_left.append(len(state.lanes))
        close(pipe)

    pool = poolwise.Pool(2, context="fork")
    own = id(pool._engine._inbox._wakes)
    state, pool.itself = pool._engine.state, pool
    monkeypatch.setattr(WakePipe, "__del__", note_and_close)
    del pool
    gc.collect()
    wait_until(lambda: bool(lanes_left))
    assert lanes_left == [0]


FIRST_CALLS = {
    "apply_async": lambda pool: pool.apply_async(abs, (1,)).get(),
    "imap": lambda pool: next(pool.imap(abs, iter([1]))),
    "submit": lambda executor: executor.submit(abs, 1).result(),
}


@pytest.mark.parametrize("call", FIRST_CALLS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_failed_initializer_does_not_hold_its_pool(call):
    before = set(threading.enumerate())
    fail_to_start(
        FIRST_CALLS[call], poolwise.ProcessPoolExecutor if call == "submit" else poolwise.Pool
    )

    def is_gone():
        gc.collect()
        return set(threading.enumerate()) <= before

    wait_until(is_gone)
    assert is_gone()


HELD = {
    "apply": lambda pool: (result := pool.apply_async(abs, (1,))).wait() or result,
    "map": lambda pool: (result := pool.map_async(abs, [1])).wait() or result,
    "called back": lambda pool: (result := pool.map_async(abs, [1], None, print)).wait() or result,
    "read": lambda pool: (results := pool.imap(abs, iter([1])), list(results)),
    "unread": lambda pool: pool.imap_unordered(abs, [1]),
}


@pytest.mark.parametrize("call", HELD)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_results_that_are_there_do_not_hold_their_pool(call):
    before = set(threading.enumerate())
    held = HELD[call](poolwise.Pool(2, context="fork"))

    def is_gone():
        gc.collect()
        return set(threading.enumerate()) <= before and not multiprocessing.active_children()

    wait_until(is_gone)
    assert is_gone()
    assert held is not None


def fail_to_start(call, door):
    """Make a pool whose initializer raises, read that error, and let all of it go."""
    pool = door(1, initializer=raise_it, **{CONTEXT[door]: "fork"})
    try:
        call(pool)
    except errors.InitializerFailed:
        return
    pytest.fail("a worker came through its initializer")


CONTEXT = {poolwise.Pool: "context", poolwise.ProcessPoolExecutor: "mp_context"}


def raise_it():
    message = "no worker comes through this"
    raise ValueError(message)
