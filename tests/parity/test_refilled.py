"""Inputs and callers that change what they gave: each task sees it as it was when handed in."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
import weakref
from functools import partial

import pytest

import poolwise
from poolwise import errors
from poolwise.core.job import Fed
from poolwise.wire.codec import Snapshot
from poolwise.wire.snapshots import fix
from tests.faults.breakers import RaisesElsewhere

np = pytest.importorskip("numpy")

COUNT = 150


def first_of(item):
    """The number that the item was filled with, and a change that nobody else may see."""
    found = item["x"] if isinstance(item, dict) else item
    found = found[1] if isinstance(found, tuple) else found
    value = float(found[0])
    found[0] = 255
    return value


def sum_of(number, buffer):
    return number, float(buffer[0])


BUFFERS = {
    "a list": lambda: [0],
    "a bytearray": lambda: bytearray(10),
    "a small array": lambda: np.zeros(10),
    "a large array": lambda: np.zeros(20_000),
}

WRAPPINGS = {
    "itself": lambda buffer, _: buffer,
    "in a tuple": lambda buffer, n: (n, buffer),
    "in a dict": lambda buffer, _: {"x": buffer},
}


def refill(make, wrap, count=COUNT, *, of=1):
    buffers = [make() for _ in range(of)]
    for n in range(count):
        buffers[n % of][0] = n
        yield wrap(buffers[n % of], n)


@pytest.fixture(scope="module")
def pool():
    with poolwise.Pool(2) as pool:
        yield pool


@pytest.mark.parametrize("of", [1, 2])
@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
@pytest.mark.parametrize("make", BUFFERS.values(), ids=BUFFERS)
def test_each_task_sees_the_buffer_as_it_was_yielded(pool, make, wrap, of):
    assert list(pool.imap(first_of, refill(make, wrap, of=of))) == list(range(COUNT))


def test_in_any_order_and_with_several_arguments(pool):
    items = refill(lambda: np.zeros(10), lambda buffer, n: (n, buffer))
    assert sorted(pool.imap_unordered(first_of, items)) == list(range(COUNT))
    items = refill(lambda: [0], lambda buffer, n: (n, buffer))
    assert list(pool.istarmap(sum_of, items)) == [(n, n) for n in range(COUNT)]


def test_views_of_one_buffer_are_the_same_buffer(pool):
    items = refill(lambda: np.zeros(100), lambda buffer, n: buffer[: 1 + n % 9])
    assert list(pool.imap(first_of, items)) == list(range(COUNT))


# --- inputs that empty what they have yielded ---------------------------------------------------


class Page:
    def __init__(self, words):
        self.words = words

    def clear(self):
        self.words = None


YIELDED = {
    "a list": lambda n: [n] * 50,
    "a dict": lambda n: {"x": n},
    "a set": lambda n: {n},
    "a bytearray": lambda n: bytearray([n % 250, 1]),
    "an object": lambda n: Page([n] * 3),
    "nested": lambda n: ([n], {"x": [n]}),
    "a large array": lambda n: np.full(20_000, n),
    "a small array": lambda n: np.full(3, n),
    "with an array": lambda n: (n, np.full(20_000, n)),
    "a view": lambda n: np.full(40_000, n)[::2],
}


def empty(item):
    if isinstance(item, tuple):
        for part in item:
            empty(part)
    elif isinstance(item, np.ndarray):
        item[:] = -1
    elif hasattr(item, "clear"):
        item.clear()


def yield_and_empty(make, count):
    for number in range(count):
        item = make(number)
        yield item
        empty(item)


READ = {
    "imap": lambda pool, items: pool.imap(shown, items),
    "imap 1": lambda pool, items: pool.imap(shown, items, 1),
    "imap 7": lambda pool, items: pool.imap(shown, items, 7),
    "imap_unordered": lambda pool, items: pool.imap_unordered(shown, items),
    "istarmap": lambda pool, items: pool.istarmap(shown, ((item,) for item in items)),
    "bounded": lambda pool, items: pool.imap(shown, items, buffersize=3),
}


def shown(item):
    """What the item holds, as text."""
    if isinstance(item, tuple):
        return " ".join(map(shown, item))
    if isinstance(item, np.ndarray):
        return f"{item[0]} {item[-1]} {item.size}"
    return repr(vars(item) if isinstance(item, Page) else item)


@pytest.mark.parametrize("read", READ)
@pytest.mark.parametrize("kind", YIELDED)
def test_an_item_is_what_was_yielded(pool, kind, read):
    found = READ[read](pool, yield_and_empty(YIELDED[kind], COUNT))
    assert sorted(found) == sorted(shown(YIELDED[kind](n)) for n in range(COUNT))


@pytest.mark.parametrize("kind", YIELDED)
def test_an_item_is_what_was_yielded_to_an_executor(kind):
    with poolwise.ProcessPoolExecutor(2) as executor:
        for options in ({}, {"chunksize": 5}, {"buffersize": 2}):
            found = executor.map(shown, yield_and_empty(YIELDED[kind], COUNT), **options)
            assert list(found) == [shown(YIELDED[kind](n)) for n in range(COUNT)]
            pairs = executor.map(max, yield_and_empty(lambda n: [n], 9), yield_and_empty(list_, 9))
            assert list(pairs) == [max([n], [5]) for n in range(9)]


def list_(_):
    return [5]


# --- what waits as it is, and what waits as a pickle --------------------------------------------


def read_of(items):
    """What is kept of an input."""
    source = Fed(fix=fix)
    source.read(iter(items), 100, lambda: None)
    return [type(item) for item in source.items], source.waiting_bytes


@pytest.mark.parametrize(
    "item", ["text", b"bytes", 3, 2.5, None, (1, "a", b"b"), np.float64(3), np.int32(1)]
)
def test_what_cannot_change_waits_as_it_is(item):
    assert read_of([item])[0] == [type(item)]


@pytest.mark.parametrize("item", [[1], {}, (1, []), Page(1), np.zeros(2, "i4,i4")[0]])
def test_what_can_change_is_pickled(item):
    assert read_of([item])[0] == [Snapshot]


@pytest.mark.parametrize(
    "item", [np.zeros(3), np.zeros((3, 2), order="F"), np.zeros(8)[::2], np.array(1.5)], ids=str
)
def test_a_small_array_is_copied_and_travels_with_others(item):
    source = Fed(fix=fix)
    source.read(iter([item]), 100, lambda: None)
    kept, alike = source.items[0], pickle.loads(pickle.dumps(item))
    assert type(kept) is np.ndarray
    assert not np.shares_memory(kept, item)
    assert kept.strides == alike.strides
    assert source.waiting_bytes >= item.nbytes


def test_an_array_of_a_class_of_its_own_or_of_objects_is_pickled():
    items = [np.ma.zeros(3), np.rec.array([(1, 2)]), np.array([[1], None], dtype=object)]
    assert read_of(items)[0] == [Snapshot] * 3


def test_a_large_array_that_nobody_else_can_reach_is_not_copied():
    large = 20_000

    def named():
        array = np.zeros(large)
        yield array

    assert read_of(np.zeros(large) for _ in range(3))[0] == [np.ndarray] * 3
    assert read_of(map(np.zeros, [large] * 3))[0] == [np.ndarray] * 3
    assert read_of(named())[0] == [Snapshot]
    assert read_of([np.zeros(large)])[0] == [Snapshot]
    assert read_of(np.zeros(2 * large)[::2] for _ in range(3))[0] == [Snapshot] * 3
    assert read_of(np.full(large, [None]) for _ in range(2))[0] == [Snapshot] * 2


def test_an_array_that_is_watched_is_copied():
    watched = []

    def watch(array):
        watched.append(weakref.ref(array))
        return array

    assert read_of(watch(np.zeros(20_000)) for _ in range(2))[0] == [Snapshot] * 2


def test_what_waits_is_weighed():
    assert read_of([b"x" * 1000] * 3)[1] == 3000
    assert 1000 < read_of([[b"x" * 1000]])[1] < 1100
    assert read_of([np.zeros(1000)])[1] > 8000


def test_an_item_that_cannot_be_pickled_fails_alone(pool):
    items = ([lambda: 0] if n == 1 else [n] for n in range(5))
    results = pool.imap(first_of, items)
    assert next(results) == 0
    with pytest.raises(Exception, match="lambda"):
        next(results)
    assert list(results) == [2, 3, 4]


class Claims:
    """Speaks numpy's array interface, which need not say where the data lies."""

    def __init__(self, interface):
        self.__array_interface__ = interface


class Refuses:
    def __getattr__(self, name):
        raise RuntimeError(name)


@pytest.mark.parametrize(
    "make", [lambda: Claims({}), lambda: Claims({"data": b""}), Refuses], ids=range(3)
)
def test_what_is_no_array_is_not_asked_where_it_lies(make):
    assert len(read_of([make()])[0]) == 1


def test_in_threads_each_task_is_given_the_object_itself():
    with poolwise.Pool(2, backend="threads") as pool:
        given = [[n] for n in range(5)]
        assert all(a is b for a, b in zip(pool.imap(itself, iter(given)), given, strict=True))


def itself(item):
    return item


# --- calls that do not wait ---------------------------------------------------------------------

REFILLED = {
    "a list": [0],
    "a small array": np.zeros(10),
    "a large array": np.zeros(20_000),
}


def fill_of(buffer):
    time.sleep(0.001)
    return float(buffer[0])


def fill_under_name(*, buffer):
    return fill_of(buffer)


SUBMIT = {
    "apply_async": lambda pool, buffer: pool.apply_async(fill_of, (buffer,)),
    "by name": lambda pool, buffer: pool.apply_async(fill_under_name, kwds={"buffer": buffer}),
    "bound": lambda pool, buffer: pool.apply_async(partial(fill_of, buffer)),
    "to a lambda": lambda pool, buffer: pool.apply_async(lambda held: 1 * fill_of(held), (buffer,)),
    "closed over": lambda pool, buffer: pool.apply_async(lambda: fill_of(buffer)),
}


def call_for_each(buffer, count, call):
    """What one call for each number gives, which the buffer is filled with before."""
    made = []
    for number in range(count):
        buffer[0] = number
        made.append(call(buffer))
    return made


@pytest.mark.parametrize("kind", REFILLED)
@pytest.mark.parametrize("submit", SUBMIT)
def test_a_call_has_what_it_was_given_when_it_was_made(pool, kind, submit):
    results = call_for_each(REFILLED[kind], 60, partial(SUBMIT[submit], pool))
    assert [result.get(100) for result in results] == list(range(60))


TOO_MUCH = {"a large bytearray": bytearray(3 << 20), "a lock": [threading.Lock()]}


@pytest.mark.parametrize("before", TOO_MUCH)
def test_what_cannot_be_kept_of_one_function_says_nothing_of_others(pool, before):
    others = [pool.apply_async(first_of, (TOO_MUCH[before],)) for _ in range(30)]
    results = call_for_each([0], 30, partial(SUBMIT["apply_async"], pool))
    assert [result.get(100) for result in results] == list(range(30))
    assert all(other.wait(100) is None for other in others)


@pytest.mark.parametrize("kind", REFILLED)
def test_a_submitted_call_has_what_it_was_given_when_it_was_made(kind):
    with poolwise.ProcessPoolExecutor(2) as executor:
        futures = call_for_each(REFILLED[kind], 60, partial(executor.submit, fill_of))
        assert [future.result(100) for future in futures] == list(range(60))


MAPS = {
    "map_async": lambda pool, function: pool.map_async(function, [0, 1]).get,
    "imap": lambda pool, function: partial(list, pool.imap(function, [0, 1])),
}


@pytest.mark.parametrize("start", MAPS)
@pytest.mark.parametrize("kind", REFILLED)
def test_what_is_bound_in_the_function_of_a_map_is_that_of_the_call(pool, kind, start):
    starts = call_for_each(
        REFILLED[kind], 30, lambda buffer: MAPS[start](pool, partial(fill_beside, buffer))
    )
    assert [get() for get in starts] == [[number] * 2 for number in range(30)]


def fill_beside(buffer, _):
    return fill_of(buffer)


def test_a_map_that_does_not_wait_pickles_no_more_than_it_keeps(pool):
    pickled = []
    items = [Counted(pickled) for _ in range(50)]
    result = pool.map_async(size_of, items)
    assert len(pickled) < 20  # those that were sent, and the first that was not kept
    assert result.get(100) == [200_000] * 50


class Counted:
    """Takes 200 kB in a pickle, and counts how often it was pickled."""

    def __init__(self, pickled):
        self.pickled = pickled

    def __reduce__(self):
        self.pickled.append(1)
        return list, ([*range(100_000)],)


def size_of(numbers):
    return 2 * len(numbers)


@pytest.mark.parametrize("kind", ["a list", "a small array"])
def test_a_map_that_does_not_wait_has_what_it_was_given(pool, kind):
    buffer, results = REFILLED[kind], []
    for number in range(40):
        buffer[0] = number
        results.append(pool.map_async(fill_of, [buffer]))
        results.append(pool.starmap_async(fill_of, [(buffer,)]))
    assert [value for result in results for value in result.get(100)] == [
        number for number in range(40) for _ in range(2)
    ]


def test_the_rows_of_an_array_are_those_of_the_call(pool):
    rows, results = np.zeros((20, 3)), []
    for number in range(20):
        rows[:] = number
        results.append(pool.map_async(fill_of, rows))
    assert [sum(result.get(100)) for result in results] == [20.0 * n for n in range(20)]


def wait_while_there_is(path):
    while os.path.exists(path):  # noqa: PTH110 - a str travels
        time.sleep(0.01)


def test_calls_that_wait_take_no_more_memory_than_allowed(pool, monkeypatch, tmp_path):
    monkeypatch.setattr("poolwise.backends.intake._MOST_BYTES", 100_000)
    gate = tmp_path / "gate"
    gate.touch()
    held = [pool.apply_async(wait_while_there_is, (str(gate),)) for _ in range(2)]
    buffer = np.zeros(5_000)
    results = [pool.apply_async(fill_of, (buffer,)) for _ in range(50)]
    assert sum(result.kept is not None for result in results) < 6
    gate.unlink()
    assert [result.get(100) for result in results] == [0.0] * 50
    assert all(result.kept is None for result in results)
    assert all(result.wait(100) is None for result in held)


def test_a_call_that_waits_and_cannot_be_pickled_fails_alone(pool):
    waiting = [pool.apply_async(fill_of, ([n],)) for n in range(9)]
    bad = pool.apply_async(fill_of, ([lambda: 0],))
    exits = pool.apply_async(fill_of, (ExitsWhenPickled(),))
    with pytest.raises(Exception, match="lambda"):
        bad.get(100)
    with pytest.raises(SystemExit):
        exits.get(100)
    assert [result.get(100) for result in waiting] == list(range(9))


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, ValueError])
def test_what_loading_raises_is_not_the_tasks_own_where_it_waited_either(pool, error):
    waiting = [pool.apply_async(fill_of, ([n],)) for n in range(20)]
    bad = pool.apply_async(fill_of, (RaisesElsewhere(error()),))
    assert bad.kept is not None
    with pytest.raises(errors.ArgumentNotLoadable):
        bad.get(100)
    assert [result.get(100) for result in waiting] == list(range(20))


class ExitsWhenPickled:
    def __reduce__(self):
        sys.exit(3)


# --- calls that another thread sends ------------------------------------------------------------


class SlowToPickle:
    """Takes its time to be pickled, as what is large does."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __reduce__(self):
        time.sleep(0.002)
        return list, (list(self.numbers),)


@pytest.mark.parametrize("door", ["apply_async", "submit"])
def test_a_call_that_another_thread_sends_is_as_it_was_given(door):
    """The thread that waits for another result drives, and pickles this call when it likes."""
    numbers, results = [0], []
    with poolwise.Pool(2) as pool, poolwise.ProcessPoolExecutor(2) as executor:
        call = pool.apply_async if door == "apply_async" else executor.submit
        drives = [
            threading.Thread(target=lambda: pool.map(time.sleep, [0.002] * 400)),
            threading.Thread(target=lambda: list(executor.map(time.sleep, [0.002] * 400))),
        ]
        for thread in drives:
            thread.start()
        for number in range(150):
            numbers[0] = number
            given = SlowToPickle(numbers)
            results.append(call(sum, (given,)) if door == "apply_async" else call(sum, given))
        numbers[0] = -1
        found = [result.get() if door == "apply_async" else result.result() for result in results]
        for thread in drives:
            thread.join()
    assert found == list(range(150))
