"""Streams of results: work goes on ahead of the reader, in order, and ends with the pool."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import threading
import time
from concurrent.futures import CancelledError

import pytest

import poolwise
from poolwise import errors
from tests.conftest import threads_of_ours, wait_until

BACKENDS = ["processes", "threads"]
STREAMS = ["imap", "imap_unordered"]
COUNT = 300


@pytest.fixture
def tally(tmp_path):
    """A task that leaves a mark for each item, and the number of marks so far."""
    path = tmp_path / "marks"
    path.touch()

    def mark(item):
        with path.open("ab", buffering=0) as file:
            file.write(b".")
        return item

    return mark, path.stat


def marks(stat):
    return stat().st_size


def double(item):
    return 2 * item


def sleep_at_first(item):
    time.sleep(60 if item == 0 else 0)
    return item


def heavy(_):
    return b"x" * 10_000


# --- order --------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunksize", [None, 1, 3])
@pytest.mark.parametrize("kind", [range, lambda size: iter(range(size))], ids=["held", "read"])
def test_no_later_value_is_read_in_the_place_of_a_missing_one(kind, chunksize):
    pool = poolwise.Pool(2)
    results = pool.imap(sleep_at_first, kind(6), chunksize)
    with pytest.raises(multiprocessing.TimeoutError):
        results.next(timeout=0.3)  # meanwhile the other worker answers for the later ones
    pool.terminate()
    with pytest.raises(errors.PoolTerminated):
        next(results)
    assert list(results) == []


def test_no_later_value_is_read_where_an_executors_was_killed():
    executor = poolwise.ProcessPoolExecutor(2)
    results = executor.map(sleep_at_first, range(6), timeout=60)
    time.sleep(0.3)
    executor.kill_workers()
    with pytest.raises(errors.PoolTerminated):
        next(results)
    assert list(results) == []


def test_values_before_the_missing_one_can_still_be_read():
    pool = poolwise.Pool(1)
    results = pool.imap(sleep_at_first, [1, 2, 0, 3], 1)
    wait_until(lambda: len(results._stream.ready) == 2)
    pool.terminate()
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(errors.PoolTerminated):
        next(results)


# --- ahead of the reader ------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("method", STREAMS)
@pytest.mark.parametrize("kind", [list, iter], ids=["held", "read"])
def test_workers_go_on_while_nobody_reads(backend, method, kind, tally):
    mark, stat = tally
    with poolwise.Pool(2, backend=backend) as pool:
        results = getattr(pool, method)(mark, kind(list(range(COUNT))))
        wait_until(lambda: marks(stat) == COUNT)
        assert sorted(results) == list(range(COUNT))


@pytest.mark.parametrize("kind", [list, iter], ids=["held", "read"])
def test_workers_of_an_executor_go_on_while_nobody_reads(kind, tally):
    mark, stat = tally
    with poolwise.ProcessPoolExecutor(2, "fork") as executor:
        results = executor.map(mark, kind(list(range(COUNT))))
        wait_until(lambda: marks(stat) == COUNT)
        assert list(results) == list(range(COUNT))


@pytest.mark.parametrize("method", STREAMS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_unread_results_stop_the_input_at_their_limit(method, backend, monkeypatch):
    limit = 4 << 20
    monkeypatch.setattr("poolwise.pool.unread_limit_bytes", lambda: limit)
    read = itertools.count()
    with poolwise.Pool(2, backend=backend) as pool:
        results = getattr(pool, method)(heavy, read)
        stopped_at = settled(lambda: int(repr(read)[6:-1]))
        assert len(results._stream.ready) * 10_000 < 1.2 * limit
        for _ in range(2 * stopped_at):  # and the reader sets it going again
            assert next(results) == b"x" * 10_000
        results.close()


def settled(value):
    """A value once it has stayed the same for a while."""
    before = -1
    while (now := value()) != before:
        before = now
        time.sleep(0.3)
    return now


def test_a_count_still_bounds_what_is_read(tally):
    mark, stat = tally
    with poolwise.Pool(2) as pool:
        results = pool.imap(mark, itertools.count(), buffersize=7)
        wait_until(lambda: marks(stat) == 7)
        assert settled(lambda: marks(stat)) == 7
        assert [next(results) for _ in range(50)] == list(range(50))
        wait_until(lambda: marks(stat) == 57)
        assert settled(lambda: marks(stat)) == 57


# --- read after the end -------------------------------------------------------------------------

INPUTS = {
    "list": lambda: list(range(COUNT)),
    "tuple": lambda: tuple(range(COUNT)),
    "range": lambda: range(COUNT),
    "set": lambda: set(range(COUNT)),
    "dict": lambda: dict.fromkeys(range(COUNT)),
    "generator": lambda: (n for n in range(COUNT)),
    "map": lambda: map(int, range(COUNT)),
}


HELD = ["list", "tuple", "range", "set", "dict"]


@pytest.mark.parametrize("read_inside", [0, 1, 5])
@pytest.mark.parametrize(
    ("kind", "buffersize"),
    [*((kind, None) for kind in INPUTS), *((kind, 2) for kind in HELD)],
)
def test_a_map_is_read_after_its_executor(kind, buffersize, read_inside):
    with poolwise.ProcessPoolExecutor(2, "fork") as executor:
        results = executor.map(double, INPUTS[kind](), buffersize=buffersize)
        inside = [next(results) for _ in range(read_inside)]
    assert inside + list(results) == [2 * n for n in range(COUNT)]


@pytest.mark.parametrize("read_inside", [0, 1, 5])
@pytest.mark.parametrize("size", [None, 40])
def test_an_input_with_a_buffersize_is_read_no_further_after_its_executor(size, read_inside):
    numbers = itertools.count() if size is None else iter(range(size))
    with poolwise.ProcessPoolExecutor(2, "fork") as executor:
        results = executor.map(double, numbers, buffersize=4)
        found = [next(results) for _ in range(read_inside)]
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        found.extend(results)
    assert found == [2 * n for n in range(len(found))]
    assert max(4, read_inside) <= len(found) <= read_inside + 4
    assert next(numbers) == len(found) + 1  # one was read to see whether there is one


def test_an_input_that_was_read_to_its_end_is_refused_nothing():
    with poolwise.ProcessPoolExecutor(2, "fork") as executor:
        results = executor.map(double, iter(range(4)), buffersize=4)
    assert list(results) == [0, 2, 4, 6]


def slow_items(count, then=lambda _: None):
    for number in range(count):
        time.sleep(0.002)
        then(number)
        yield number


@pytest.mark.parametrize("buffersize", [None, 5])
def test_an_executor_is_shut_down_while_another_thread_reads_an_input(buffersize):
    executor = poolwise.ProcessPoolExecutor(2)
    is_read, values = threading.Event(), []

    def read():
        results = executor.map(double, slow_items(300), buffersize=buffersize)
        values.append(next(results))
        is_read.set()
        try:
            values.extend(results)
        except RuntimeError as error:
            values.append(str(error))

    thread = threading.Thread(target=read)
    thread.start()
    is_read.wait(60)
    executor.shutdown()
    thread.join()
    if buffersize is not None:  # its input is left where it was
        assert "after shutdown" in values.pop()
        assert len(values) < 300
    else:
        assert len(values) == 300
    assert values == [2 * number for number in range(len(values))]


@pytest.mark.parametrize("buffersize", [None, 5])
@pytest.mark.parametrize("at", [0, 3, 200, 299])
@pytest.mark.parametrize("options", [{}, {"wait": False}, {"cancel_futures": True}], ids=str)
def test_an_input_may_shut_down_its_own_executor(options, at, buffersize, caplog):
    executor = poolwise.ProcessPoolExecutor(2)
    end = {at: lambda: executor.shutdown(**options)}
    values = []

    def read():
        items = slow_items(300, lambda number: end.get(number, lambda: None)())
        values.extend(executor.map(double, items, buffersize=buffersize))

    with pytest.raises((RuntimeError, CancelledError)):
        read()
    executor.shutdown()
    assert values == [2 * number for number in range(len(values))]
    assert len(values) <= at + 1  # the item that it was about to give may be run
    assert not caplog.records


def test_several_maps_of_several_inputs_are_read_after_their_executor():
    with poolwise.ProcessPoolExecutor(2, "fork") as executor:
        first = executor.map(pow, range(20), [2] * 20, chunksize=3)
        second = executor.map(pow, iter(range(20)), itertools.repeat(3))
        third = executor.map(double, [[n] for n in range(20)], buffersize=1)
    assert list(third) == [[n, n] for n in range(20)]
    assert list(second) == [n**3 for n in range(20)]
    assert list(first) == [n**2 for n in range(20)]


@pytest.mark.parametrize(("kind", "buffersize"), [("list", None), ("list", 2), ("generator", None)])
def test_a_map_that_is_dropped_unread_is_run(kind, buffersize, tally):
    mark, stat = tally
    with poolwise.ProcessPoolExecutor(2, "fork") as executor:
        executor.map(mark, INPUTS[kind](), buffersize=buffersize)
    assert marks(stat) == COUNT


@pytest.mark.parametrize("options", [{}, {"buffersize": 2}, {"chunksize": 7}])
@pytest.mark.parametrize("method", [*STREAMS, "istarmap", "istarmap_unordered"])
@pytest.mark.parametrize("kind", ["list", "generator"])
@pytest.mark.parametrize("holds", [True, False], ids=["held", "dropped"])
def test_a_stream_that_nobody_reads_is_run(kind, method, options, holds, tally):
    mark, stat = tally
    pool = poolwise.Pool(2)
    items = INPUTS[kind]()
    for _ in range(2):
        stars = items if "star" not in method else [(n,) for n in items]
        results = getattr(pool, method)(mark, stars, **options)
        items = INPUTS[kind]()
    if not holds:
        del results
    pool.close()
    pool.join()
    assert marks(stat) == 2 * COUNT


def test_a_stream_that_is_dropped_unread_runs_on_by_itself(tally):
    mark, stat = tally
    with poolwise.Pool(2) as pool:
        results = pool.imap(mark, iter(range(COUNT)), buffersize=2)
        wait_until(lambda: marks(stat) == 2)
        del results
        wait_until(lambda: marks(stat) == COUNT)


def test_results_can_be_read_after_close_and_join():
    pool = poolwise.Pool(2)
    results = [pool.imap(double, kind(range(50))) for kind in (list, iter)]
    results.append(pool.imap_unordered(double, iter(range(50)), buffersize=3))
    pool.close()
    pool.join()
    assert [sorted(one) for one in results] == [[2 * n for n in range(50)]] * 3


# --- the end of threads and inputs --------------------------------------------------------------


class Numbers:
    """An endless generator that notes when it is closed."""

    def __init__(self):
        self.is_closed = False

    def __call__(self):
        try:
            yield from itertools.count()
        finally:
            self.is_closed = True


def end_by_block(pool, results):
    with pool:
        next(results)


def end_by_terminate(pool, _):
    pool.terminate()


def end_by_close_of_results(_, results):
    results.close()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("end", [end_by_block, end_by_terminate, end_by_close_of_results])
@pytest.mark.parametrize("options", [{}, {"buffersize": 2}, {"chunksize": 4}])
def test_threads_and_generators_end_with_the_pool(end, options, backend):
    numbers = Numbers()
    generator = numbers()
    pool = poolwise.Pool(2, backend=backend)
    results = pool.imap(double, generator, **options)
    end(pool, results)
    if end is end_by_close_of_results:
        wait_until(lambda: generator.gi_frame is None)
        pool.terminate()
    assert generator.gi_frame is None  # closed, whether it was begun or not
    if backend == "threads":
        wait_until(lambda: not threads_of_ours())  # those that run a task cannot be ended
    assert not threads_of_ours()
    del results


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_endless_input_that_nobody_reads_ends_with_its_pool():
    numbers = Numbers()
    poolwise.Pool(2).imap_unordered(double, numbers(), chunksize=2)
    gc.collect()
    wait_until(lambda: not threads_of_ours())
    assert not threads_of_ours()
    assert numbers.is_closed


def test_an_endless_input_that_nobody_reads_ends_with_its_executor():
    numbers = Numbers()
    poolwise.ProcessPoolExecutor(2).map(double, numbers())
    gc.collect()
    wait_until(lambda: not threads_of_ours())
    assert not threads_of_ours()
    assert numbers.is_closed


def test_a_thread_ends_after_the_task_at_which_its_pool_was_terminated():
    begun, gate = [], threading.Event()

    def wait(number):
        begun.append(number)
        gate.wait(60)

    pool = poolwise.Pool(1, backend="threads")
    pool.map_async(wait, range(100), chunksize=50)
    wait_until(lambda: begun == [0])
    pool.terminate()
    gate.set()
    wait_until(lambda: not threads_of_ours())
    assert begun == [0]


def test_a_loop_that_breaks_off_ends_its_input():
    numbers = Numbers()
    with poolwise.Pool(2) as pool:
        for value in pool.imap(double, numbers()):
            if value > 20:
                break
        wait_until(lambda: numbers.is_closed)
        assert pool.map(double, [1]) == [2]
    with poolwise.ProcessPoolExecutor(2) as executor:
        again = Numbers()
        for value in executor.map(double, again()):
            if value > 20:
                break
        assert again.is_closed


def test_an_input_that_waits_for_something_does_not_hold_up_the_end():
    forever = threading.Event()

    def items():
        yield 1
        forever.wait(60)

    with poolwise.Pool(2) as pool:
        assert next(pool.imap(double, items())) == 2
    forever.set()
    wait_until(lambda: not threads_of_ours())


def test_an_input_may_end_its_own_pool():
    pool = poolwise.Pool(2)

    def items():
        yield 1
        pool.terminate()
        yield 2

    results = pool.imap(double, items())
    with pytest.raises(errors.PoolTerminated):
        list(results)
    wait_until(lambda: not threads_of_ours())


def test_an_input_that_joins_its_own_pool_hears_that_it_would_wait_for_itself():
    pool = poolwise.Pool(2)

    def items():
        yield 1
        pool.close()
        pool.join()
        yield 2

    results = pool.imap(double, items())
    assert next(results) == 2
    with pytest.raises(RuntimeError, match="wait for itself"):
        next(results)
    pool.join()
    wait_until(lambda: not threads_of_ours())


def test_a_pool_is_let_go_with_its_stream():
    def use():
        pool = poolwise.Pool(2)
        results = pool.imap(double, iter(range(10)))
        assert sorted(results) == [2 * n for n in range(10)]
        return pool._pool

    with pytest.warns(ResourceWarning, match="unclosed"):  # noqa: PT031 - when it is collected
        processes = use()
        gc.collect()
    wait_until(lambda: not any(process.is_alive() for process in processes))


# --- an input that cannot be opened -------------------------------------------------------------


class Gone:
    def __iter__(self):
        message = "the database is gone"
        raise ConnectionError(message)


@pytest.mark.parametrize("method", STREAMS)
@pytest.mark.parametrize("chunksize", [None, 1, 2])
@pytest.mark.parametrize(("items", "error"), [(Gone(), ConnectionError), (None, TypeError)])
def test_what_opening_the_input_raises_is_raised_by_the_first_read(items, error, chunksize, method):
    with poolwise.Pool(2) as pool:
        with pytest.raises(error):
            list(getattr(pool, method)(double, items, chunksize))
        assert pool.map(double, [1]) == [2]


# --- callbacks ----------------------------------------------------------------------------------


def test_no_callback_is_called_for_what_terminate_drops():
    called = []
    pool = poolwise.Pool(2)
    waiting = [
        pool.apply_async(time.sleep, (60,), callback=called.append, error_callback=called.append)
        for _ in range(20)
    ]
    waiting.append(pool.map_async(time.sleep, [60] * 9, None, called.append, called.append))
    pool.terminate()
    pool.join()
    assert called == []
    for result in waiting:
        with pytest.raises(errors.PoolTerminated):
            result.get(10)


def fail_at(number):
    if number == 3:
        raise ValueError(number)
    time.sleep(0.01)
    return number


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_callback_that_ends_the_pool_is_the_last(backend):
    called, depth, deepest = [], [0], [0]

    def call(value):
        depth[0] += 1
        deepest[0] = max(deepest[0], depth[0])
        called.append(value)
        if isinstance(value, ValueError):
            pool.terminate()
        depth[0] -= 1

    pool = poolwise.Pool(2, backend=backend)
    results = [
        pool.apply_async(fail_at, (n,), callback=call, error_callback=call) for n in range(200)
    ]
    results[3].wait(60)
    pool.join()
    assert deepest == [1]
    assert sum(isinstance(value, ValueError) for value in called) == 1
    assert not any(isinstance(value, errors.PoolTerminated) for value in called)


def test_a_callback_is_not_re_entered_when_it_waits():
    depth, deepest, order = [0], [0], []

    def call(value):
        depth[0] += 1
        deepest[0] = max(deepest[0], depth[0])
        if value == 0:
            order.append(results[5].get(60))
            order.append(pool.apply(abs, (-77,)))
            assert results[5].ready()
        order.append(f"called {value}")
        depth[0] -= 1

    with poolwise.Pool(2) as pool:
        results: list = []
        gate = threading.Lock()
        with gate:
            results.extend(pool.apply_async(abs, (n,), callback=call) for n in range(6))
        for result in results:
            result.wait(60)
    assert deepest == [1]
    at = order.index(5)
    assert order[at : at + 3] == [5, 77, "called 0"]  # nothing was called in between
    assert sorted(order[:at] + order[at + 2 :]) == [f"called {n}" for n in range(6)]


def test_a_future_is_done_for_a_callback_that_waits_for_it():
    with poolwise.ProcessPoolExecutor(2, "fork") as executor:
        seen, done = [], threading.Event()
        second = executor.submit(double, 2)
        second.add_done_callback(lambda future: seen.append(("second", future.result())))

        def call(future):
            seen.append((future.result(), second.result(60)))
            done.set()

        executor.submit(double, 1).add_done_callback(call)
        assert done.wait(60)
        wait_until(lambda: len(seen) == 2)
    assert sorted(seen, key=str) == [("second", 4), (2, 4)] or seen == [("second", 4), (2, 4)]


def test_the_end_of_the_block_calls_nothing_back():
    called = []
    with poolwise.Pool(1) as pool:
        for _ in range(50):
            pool.apply_async(time.sleep, (60,), error_callback=called.append)
    assert called == []
