"""Odd arguments and odd orders of calls: what a program sees is what the standard pools show it."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import multiprocessing.pool
import sys

import numpy as np
import pytest

import poolwise
from poolwise.pool import ThreadPool
from tests.parity.tasks import outcome_of, run_while_there_is, square, subtract

FORK = multiprocessing.get_context("fork")


def keep(item):
    return item


def gather(*args, **kwds):
    return args, sorted(kwds.items())


def refuse_three(item):
    if item == 3:
        raise ValueError(item)
    return item


def stop(item):
    raise StopIteration(item)


def count_to(size):
    yield from range(size)


def raising():
    yield 1
    message = "said when"
    raise KeyError(message)


class Sized:
    """Has a length, and is iterable."""

    def __init__(self, *items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __iter__(self):
        return iter(self.items)


def step_through(results, steps):
    """Outcome of each `next`, the end included."""
    return [outcome_of(next, iter(results)) for _ in range(steps)]


def look_at(result):
    return result.ready(), result.successful(), result.get(0)


def use_twice(result):
    result.wait(60)
    return [outcome_of(lambda r: r.get(), result) for _ in range(2)], result.successful()


def is_the_same_list(result):
    return result.get() is result.get()


def is_its_own_iterator(results):
    return iter(results) is results


def read_twice(results):
    return [list(results), list(results)]


def set_twice(future):
    return future.result(60), future.set_result(2)


def hear_back(start):
    """Outcome of a result, and what callbacks were told by then."""
    told = []
    result = start(told.append, lambda error: told.append(repr(error)))
    gives = outcome_of(lambda r: r.get(60), result)
    return gives, told


# --- pools, as they are used --------------------------------------------------------------------

INPUTS = {
    "nothing": list,
    "an empty generator": lambda: count_to(0),
    "a dict": lambda: {1: 2, 3: 4},
    "a str": lambda: "abc",
    "bytes": lambda: b"ab",
    "a set": lambda: {7},
    "a generator": lambda: count_to(4),
    "an array": lambda: np.arange(3),
    "a range": lambda: range(3),
    "a zip": lambda: zip([1, 2], [3, 4], strict=True),
    "what has a length": lambda: Sized(1, 2),
    "what raises": raising,
    "no iterable": lambda: 5,
    "None": lambda: None,
}

WAYS = {
    "map": lambda pool, items, *rest: pool.map(keep, items, *rest),
    "map_async": lambda pool, items, *rest: pool.map_async(keep, items, *rest).get(60),
    "starmap": lambda pool, items, *rest: pool.starmap(gather, items, *rest),
    "starmap_async": lambda pool, items, *rest: pool.starmap_async(gather, items, *rest).get(60),
    "imap": lambda pool, items, *rest: list(pool.imap(keep, items, *rest)),
    "imap_unordered": lambda pool, items, *rest: sorted(pool.imap_unordered(keep, items, *rest)),
}

SIZES = [1, 2, 100, True, np.int64(2), "2"]

USES = {
    "apply, named": lambda pool: pool.apply(func=gather, args=(1,), kwds={"a": 2}),
    "apply, a list": lambda pool: pool.apply(gather, [1, 2]),
    "apply, a str": lambda pool: pool.apply(gather, "ab"),
    "apply, a dict": lambda pool: pool.apply(gather, {1: 2}),
    "apply, no mapping": lambda pool: pool.apply(gather, (), [("a", 1)]),
    "apply, no names": lambda pool: pool.apply(gather, (), {1: 2}),
    "apply, no iterable": lambda pool: pool.apply(gather, 5),
    "apply, None": lambda pool: pool.apply(gather, None),
    "apply_async, no iterable": lambda pool: pool.apply_async(gather, 5).get(60),
    "apply_async, unread": lambda pool: pool.apply_async(gather, 5) is None,
    "apply, no function": lambda pool: pool.apply(3),
    "map, no function": lambda pool: pool.map(3, [1]),
    "map, no function, no items": lambda pool: pool.map(3, []),
    "imap, no function": lambda pool: step_through(pool.imap(3, [1]), 2),
    "map, named": lambda pool: pool.map(func=square, iterable=[2], chunksize=1),
    "imap, named": lambda pool: list(pool.imap(func=square, iterable=[2], chunksize=1)),
    "map of nothing, in no chunks": lambda pool: pool.map(keep, [], 0),
    "map of nothing, in parts": lambda pool: pool.map(keep, [], 0.0),
    "map_async of nothing is ready": lambda pool: look_at(pool.map_async(keep, [])),
    "imap in a chunk of 1.0": lambda pool: list(pool.imap(keep, [1, 2], 1.0)),
    "imap in no chunks": lambda pool: pool.imap(keep, [1], 0),
    "imap in fewer": lambda pool: pool.imap(keep, [1], -1),
    "imap in parts": lambda pool: list(pool.imap(keep, [1, 2, 3], 2.5)),
    "starmap of numbers": lambda pool: pool.starmap(gather, [1, 2]),
    "starmap of strings": lambda pool: pool.starmap(gather, ["ab", "c"]),
    "starmap of dicts": lambda pool: pool.starmap(gather, [{1: 0, 2: 0}]),
    "imap goes on": lambda pool: step_through(pool.imap(refuse_three, range(6)), 8),
    "imap of what raises": lambda pool: step_through(pool.imap(keep, raising()), 4),
    "imap of no iterable": lambda pool: step_through(pool.imap(keep, 5), 3),
    "imap in chunks of no iterable": lambda pool: step_through(pool.imap(keep, 5, 2), 2),
    "imap of a task that stops": lambda pool: len(list(pool.imap(stop, [1, 2]))),
    "apply of a task that stops": lambda pool: pool.apply(stop, (7,)),
    "get twice": lambda pool: use_twice(pool.map_async(square, [1, 2])),
    "an error twice": lambda pool: use_twice(pool.apply_async(refuse_three, (3,))),
    "the same list": lambda pool: is_the_same_list(pool.map_async(square, [1])),
    "iterators are their own": lambda pool: is_its_own_iterator(pool.imap(square, [1])),
    "no length": lambda pool: len(pool.imap(square, [1])),
    "a map that fails": lambda pool: pool.map(refuse_three, range(9), 1),
    "a second read": lambda pool: read_twice(pool.imap(keep, [1, 2])),
    "callback": lambda pool: hear_back(
        lambda told, failed: pool.map_async(square, [1, 2], None, told, failed)
    ),
    "callback of nothing": lambda pool: hear_back(
        lambda told, failed: pool.map_async(square, [], None, told, failed)
    ),
    "callback of nothing, in chunks": lambda pool: hear_back(
        lambda told, failed: pool.starmap_async(subtract, count_to(0), 3, told, failed)
    ),
    "callback of what fails": lambda pool: hear_back(
        lambda told, failed: pool.map_async(refuse_three, range(6), 1, told, failed)
    ),
    "callback of a call": lambda pool: hear_back(
        lambda told, failed: pool.apply_async(square, (3,), {}, told, failed)
    ),
    "callback of a call that fails": lambda pool: hear_back(
        lambda told, failed: pool.apply_async(refuse_three, (3,), {}, told, failed)
    ),
    "no error callback": lambda pool: hear_back(
        lambda told, _: pool.apply_async(refuse_three, (3,), {}, told)
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def pools():
    """Ours, and the standard one."""
    with poolwise.Pool(2, context=FORK) as ours, FORK.Pool(2) as standard:
        yield ours, standard


@pytest.fixture(scope="module")
def thread_pools():
    with ThreadPool(2) as ours, multiprocessing.pool.ThreadPool(2) as standard:
        yield ours, standard


def compare(use, both):
    """The outcome of both is the same; of two errors, the type."""
    ours, standard = (outcome_of(use, one) for one in both)
    if standard[0] == "value":
        assert ours == standard
    else:
        assert ours[0] == standard[0]


@pytest.mark.parametrize("use", USES)
def test_uses_of_pools(pools, use):
    compare(USES[use], pools)


@pytest.mark.parametrize("use", USES)
def test_uses_of_thread_pools(thread_pools, use):
    compare(USES[use], thread_pools)


@pytest.mark.parametrize("what", INPUTS)
@pytest.mark.parametrize("way", WAYS)
def test_inputs_of_pools(pools, way, what):
    compare(lambda pool: WAYS[way](pool, INPUTS[what]()), pools)


@pytest.mark.parametrize("size", SIZES, ids=repr)
@pytest.mark.parametrize("way", WAYS)
def test_chunk_sizes_of_pools(pools, way, size):
    items = [(1, 2), (3, 4), (5, 6)]
    compare(lambda pool: WAYS[way](pool, items, size), pools)


TIMEOUTS = [0, -1, 0.0, 1e-9, True, "soon"]


@pytest.fixture
def gate(tmp_path):
    """A folder; tasks that run while it is there end when it is removed."""
    (folder := tmp_path / "gate").mkdir()
    yield str(folder)
    folder.rmdir()


@pytest.mark.parametrize("timeout", TIMEOUTS[:-2] + TIMEOUTS[-1:], ids=repr)
@pytest.mark.parametrize("verb", ["get", "wait", "next"])
def test_timeouts_that_come_too_early(gate, timeout, verb):
    def use(pool):
        if verb == "next":
            return pool.imap(run_while_there_is, [gate]).next(timeout)
        return getattr(pool.apply_async(run_while_there_is, (gate,)), verb)(timeout)

    with poolwise.Pool(1, context=FORK) as ours, FORK.Pool(1) as standard:
        compare(use, (ours, standard))


@pytest.mark.parametrize("timeout", [*TIMEOUTS, None], ids=repr)
def test_timeouts_of_what_is_there(pools, timeout):
    def use(pool):
        result = pool.apply_async(square, (2,))
        result.wait(60)
        return result.get(timeout), result.wait(timeout)

    compare(use, pools)


def test_result_that_is_not_ready_has_no_success(gate):
    with poolwise.Pool(1, context=FORK) as ours, FORK.Pool(1) as standard:
        for pool in (ours, standard):
            with pytest.raises(ValueError, match="not ready"):
                pool.apply_async(run_while_there_is, (gate,)).successful()


# --- pools, as they end -------------------------------------------------------------------------

CALLS = {
    "apply": lambda pool: pool.apply(square, (1,)),
    "apply_async": lambda pool: pool.apply_async(square, (1,)),
    "map": lambda pool: pool.map(square, [1]),
    "map of nothing": lambda pool: pool.map(square, []),
    "map of no iterable": lambda pool: pool.map(square, 5),
    "map_async": lambda pool: pool.map_async(square, [1]),
    "starmap": lambda pool: pool.starmap(subtract, [(1, 2)]),
    "starmap_async": lambda pool: pool.starmap_async(subtract, [(1, 2)]),
    "imap": lambda pool: pool.imap(square, [1]),
    "imap in no chunks": lambda pool: pool.imap(square, [1], 0),
    "imap_unordered": lambda pool: pool.imap_unordered(square, [1]),
    "with": lambda pool: pool.__enter__(),
}


def end_and(end, call):
    def use(pool):
        getattr(pool, end)()
        return call(pool)

    return use


def enter_twice(pool):
    with pool as entered:
        is_same = entered is pool
    with pool:
        return is_same


def fail_inside(pool):
    with pool:
        message = "inside"
        raise LookupError(message)


ENDS = {
    f"{end}, then {name}": end_and(end, call)
    for end in ("close", "terminate")
    for name, call in CALLS.items()
} | {
    "join": lambda pool: pool.join(),
    "close twice": lambda pool: (pool.close(), pool.close(), pool._state),
    "terminate, close": lambda pool: (pool.terminate(), pool.close(), pool._state),
    "close, terminate": lambda pool: (pool.close(), pool.terminate(), pool._state),
    "terminate twice": lambda pool: (pool.terminate(), pool.terminate(), pool._state),
    "close, join twice": lambda pool: (pool.close(), pool.join(), pool.join(), pool._state),
    "terminate, join": lambda pool: (pool.terminate(), pool.join(), pool._state),
    "with twice": enter_twice,
    "with an error": fail_inside,
    "state": lambda pool: pool._state,
    "pickle": lambda pool: pool.__reduce__(),
}


@pytest.mark.parametrize("end", ENDS)
def test_ends_of_pools(end):
    both = poolwise.Pool(1, context=FORK), FORK.Pool(1)
    try:
        compare(ENDS[end], both)
    finally:
        for pool in both:
            pool.terminate()
            pool.join()


def test_generator_that_is_given_to_a_closed_pool_is_not_read():
    for make in (lambda: poolwise.Pool(1, context=FORK), lambda: FORK.Pool(1)):
        with make() as pool:
            pool.close()
            items = count_to(3)
            with pytest.raises(ValueError, match="Pool not running"):
                pool.map(square, items)
            assert list(items) == [0, 1, 2]


MADE = {
    "none": {"processes": 0},
    "fewer": {"processes": -1},
    "true": {"processes": True},
    "numpy's": {"processes": np.int64(2)},
    "a str": {"processes": "2"},
    "no function": {"processes": 1, "initializer": 3},
    "no initargs": {"processes": 1, "initargs": None},
    "a list": {"processes": 1, "initializer": square, "initargs": [1]},
    "no tasks": {"processes": 1, "maxtasksperchild": 0},
    "parts of tasks": {"processes": 1, "maxtasksperchild": 1.0},
    "true tasks": {"processes": 1, "maxtasksperchild": True},
    "numpy's tasks": {"processes": 1, "maxtasksperchild": np.int64(3)},
}


@pytest.mark.parametrize("how", MADE)
def test_ways_to_make_a_pool(how):
    def use(make):
        with make(**MADE[how]) as pool:
            return pool.map(keep, [1, 2]), pool._processes

    compare(use, (lambda **given: poolwise.Pool(**given, context=FORK), FORK.Pool))


# --- executors ----------------------------------------------------------------------------------

EXECUTOR_USES = {
    "submit nothing": lambda executor: executor.submit(),
    "submit by name": lambda executor: executor.submit(fn=square),
    "submit names": lambda executor: executor.submit(gather, 1, fn=2, self=3).result(60),
    "map nothing": lambda executor: list(executor.map(square)),
    "map two": lambda executor: list(executor.map(gather, [1, 2, 3], count_to(2))),
    "map by name": lambda executor: list(executor.map(fn=square, iterables=[1])),
    "map in no chunks": lambda executor: executor.map(square, [1], chunksize=0),
    "map in numpy's": lambda executor: list(executor.map(square, [1, 2], chunksize=np.int64(2))),
    "map that raises": lambda executor: step_through(executor.map(refuse_three, range(6)), 8),
    "map of what raises": lambda executor: executor.map(square, raising()),
    "map of no iterable": lambda executor: executor.map(square, 5),
    "map is a generator": lambda executor: type(executor.map(square, [1])).__name__,
    "result twice": lambda executor: [executor.submit(keep, [1]).result(60) for _ in range(2)],
    "set_result": lambda executor: set_twice(executor.submit(keep, 1)),
    "pickle": lambda executor: executor.submit(keep, executor).result(60),
}


@pytest.fixture(scope="module")
def executors():
    standard_executor = concurrent.futures.ProcessPoolExecutor(2, FORK)
    with poolwise.ProcessPoolExecutor(2, FORK) as ours, standard_executor as standard:
        yield ours, standard


@pytest.mark.parametrize("use", EXECUTOR_USES)
def test_uses_of_executors(executors, use):
    compare(EXECUTOR_USES[use], executors)


@pytest.mark.parametrize("what", INPUTS)
def test_inputs_of_executors(executors, what):
    compare(lambda executor: list(executor.map(keep, INPUTS[what]())), executors)


@pytest.mark.parametrize("timeout", TIMEOUTS[:-2] + TIMEOUTS[-1:], ids=repr)
@pytest.mark.parametrize("verb", ["result", "exception", "map"])
def test_timeouts_of_executors_that_come_too_early(gate, timeout, verb):
    def use(executor):
        if verb == "map":
            return next(executor.map(run_while_there_is, [gate], timeout=timeout))
        return getattr(executor.submit(run_while_there_is, gate), verb)(timeout)

    both = poolwise.ProcessPoolExecutor(1, FORK), concurrent.futures.ProcessPoolExecutor(1, FORK)
    try:
        compare(use, both)
    finally:
        for executor in both:
            executor.shutdown(wait=False)


def reenter(executor):
    with executor as entered:
        is_same = entered is executor
    with executor:
        return is_same


EXECUTOR_ENDS = {
    "submit": lambda executor: (executor.shutdown(), executor.submit(square, 1)),
    "map": lambda executor: (executor.shutdown(), executor.map(square, [1])),
    "map of nothing": lambda executor: (executor.shutdown(), list(executor.map(square, []))),
    "map of a generator": lambda executor: (executor.shutdown(), executor.map(square, count_to(2))),
    "map in no chunks": lambda executor: (
        executor.shutdown(),
        executor.map(square, [1], chunksize=0),
    ),
    "twice": lambda executor: (executor.shutdown(), executor.shutdown(wait=False)),
    "with twice": reenter,
}


@pytest.mark.parametrize("end", EXECUTOR_ENDS)
def test_ends_of_executors(end):
    both = poolwise.ProcessPoolExecutor(1, FORK), concurrent.futures.ProcessPoolExecutor(1, FORK)
    compare(EXECUTOR_ENDS[end], both)
    for executor in both:
        executor.shutdown()


MADE_EXECUTORS = {
    "none": {"max_workers": 0},
    "fewer": {"max_workers": -1},
    "true": {"max_workers": True},
    "numpy's": {"max_workers": np.int64(2)},
    "a str": {"max_workers": "2"},
    "no function": {"max_workers": 1, "initializer": 3},
    "no initargs": {"max_workers": 1, "initargs": None},
    "no tasks": {"max_workers": 1, "max_tasks_per_child": 0},
    "parts of tasks": {"max_workers": 1, "max_tasks_per_child": 1.5},
}


@pytest.mark.parametrize("how", MADE_EXECUTORS)
def test_ways_to_make_an_executor(how):
    if "max_tasks_per_child" in MADE_EXECUTORS[how] and sys.version_info < (3, 11):
        pytest.skip("the standard executor of this Python has no max_tasks_per_child")

    def use(make):
        with make(**MADE_EXECUTORS[how]) as executor:
            return executor.submit(keep, 1).result(60)

    compare(use, (poolwise.ProcessPoolExecutor, concurrent.futures.ProcessPoolExecutor))


# --- where ours is better, on purpose -----------------------------------------------------------

BETTER = {
    "map in no chunks gives no list of None": (
        lambda pool: pool.map(square, [1, 2], 0),
        "ValueError",
    ),
    "map in fewer gives no list of None": (lambda pool: pool.map(square, [1, 2], -1), "ValueError"),
    "map in parts does not wait for ever": (
        lambda pool: pool.map(square, [1, 2], 1.5),
        "ValueError",
    ),
    "no keywords are none": (lambda pool: pool.apply(gather, (1,), None), ((1,), [])),
    "a generator of arguments": (lambda pool: pool.apply(gather, count_to(2)), ((0, 1), [])),
    "values beside an exception in a chunk": (
        lambda pool: [kind for kind, _ in step_through(pool.imap(refuse_three, range(2, 6), 2), 4)],
        ["value", "ValueError", "value", "value"],
    ),
    "callback that is none": (
        lambda pool: pool.apply_async(square, (2,), callback=5).get(60),
        4,
    ),
}


@pytest.mark.parametrize("what", BETTER)
def test_what_is_better_by_promise(pools, what):
    use, expected = BETTER[what]
    kind, value = outcome_of(use, pools[0])
    assert (value if kind == "value" else kind) == expected
