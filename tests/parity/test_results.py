"""Results are those of `[f(x) for x in xs]`, in order, by whatever way they were asked for."""

from __future__ import annotations

import random
from concurrent.futures import as_completed
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import poolwise
from tests.parity.tasks import (
    OddError,
    end_at_negative,
    end_once,
    outcome_of,
    refuse_sevenths,
    square,
    subtract,
)

values = st.integers() | st.text() | st.floats(allow_nan=False) | st.binary()
chunksizes = st.none() | st.integers(1, 50)
shared_pool = settings(max_examples=15, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", params=["fork", "threads", "serial"])
def pool(request):
    """A pool that all examples share, and so meet each other's remains."""
    options = {"context": "fork"} if request.param == "fork" else {"backend": request.param}
    with poolwise.Pool(2, **options) as made:
        yield made


@pytest.fixture(scope="module")
def executor():
    with poolwise.ProcessPoolExecutor(2, "fork") as made:
        yield made


def as_generator(items):
    yield from items


BY_POOL = {
    "map": lambda pool, f, items, size: pool.map(f, items, size),
    "map, a generator": lambda pool, f, items, size: pool.map(f, as_generator(items), size),
    "map_async": lambda pool, f, items, size: pool.map_async(f, items, size).get(),
    "imap": lambda pool, f, items, size: list(pool.imap(f, items, size)),
    "imap, a generator": lambda pool, f, items, size: list(pool.imap(f, as_generator(items), size)),
    "imap, a small buffer": lambda pool, f, items, size: list(
        pool.imap(f, as_generator(items), size, buffersize=3)
    ),
    "starmap": lambda pool, f, items, size: pool.starmap(f, [(x,) for x in items], size),
    "istarmap": lambda pool, f, items, size: list(pool.istarmap(f, [(x,) for x in items], size)),
    "imap_unordered": lambda pool, f, items, size: put_in_order(
        items, pool.imap_unordered(partial(label, f), list(enumerate(items)), size)
    ),
    "apply": lambda pool, f, items, _: [pool.apply(f, (x,)) for x in items],
    "apply_async": lambda pool, f, items, _: [
        result.get() for result in [pool.apply_async(f, (x,)) for x in items]
    ],
}

BY_EXECUTOR = {
    "map": lambda pool, f, items, size: list(pool.map(f, items, chunksize=size)),
    "map, a generator": lambda pool, f, items, size: list(
        pool.map(f, as_generator(items), chunksize=size)
    ),
    "map, a small buffer": lambda pool, f, items, size: list(
        pool.map(f, as_generator(items), chunksize=size, buffersize=2)
    ),
    "submit": lambda pool, f, items, _: [
        future.result() for future in [pool.submit(f, x) for x in items]
    ],
    "as_completed": lambda pool, f, items, _: put_in_order(
        items,
        (
            future.result()
            for future in as_completed([pool.submit(label, f, pair) for pair in enumerate(items)])
        ),
    ),
}


def label(function, pair):
    """The value with the number of its item."""
    number, item = pair
    return number, function(item)


def put_in_order(items, labelled):
    """Values that came in any order, by the number that each carries."""
    found = dict(labelled)
    assert len(found) == len(items)
    return [found[number] for number in range(len(items))]


@pytest.mark.parametrize("way", BY_POOL)
@shared_pool
@given(items=st.lists(st.integers(), max_size=60), chunksize=chunksizes)
def test_a_pool_gives_what_a_loop_gives(pool, way, items, chunksize):
    assert BY_POOL[way](pool, square, items, chunksize) == [square(x) for x in items]


@pytest.mark.parametrize("way", BY_EXECUTOR)
@shared_pool
@given(items=st.lists(st.integers(), max_size=60), chunksize=st.integers(1, 50))
def test_an_executor_gives_what_a_loop_gives(executor, way, items, chunksize):
    assert BY_EXECUTOR[way](executor, square, items, chunksize) == [square(x) for x in items]


@shared_pool
@given(items=st.lists(values, max_size=30), chunksize=chunksizes)
def test_values_of_any_type_come_back_equal(pool, items, chunksize):
    assert pool.map(repr, items, chunksize) == [repr(x) for x in items]
    assert list(pool.imap(identity, items, chunksize)) == items


def identity(x):
    return x


@shared_pool
@given(pairs=st.lists(st.tuples(st.integers(), st.integers()), max_size=40), chunksize=chunksizes)
def test_arguments_are_unpacked_as_by_a_star(pool, pairs, chunksize):
    assert pool.starmap(subtract, pairs, chunksize) == [subtract(*pair) for pair in pairs]


@shared_pool
@given(size=st.integers(0, 5000), chunksize=chunksizes)
def test_sizes_that_pass_through_all_of_the_growth(pool, size, chunksize):
    assert pool.map(square, range(size), chunksize) == [square(x) for x in range(size)]


# -- exceptions


def first_failure(function, items):
    """What a loop raises, or None."""
    for item in items:
        try:
            function(item)
        except OddError as error:
            return error
    return None


@shared_pool
@given(items=st.lists(st.integers(0, 100), max_size=60), chunksize=chunksizes)
def test_a_map_raises_what_a_loop_raises_first(pool, items, chunksize):
    expected = first_failure(refuse_sevenths, items)
    if expected is None:
        assert pool.map(refuse_sevenths, items, chunksize) == items
        return
    with pytest.raises(OddError) as info:
        pool.map(refuse_sevenths, items, chunksize)
    assert (info.value.args, info.value.reason) == (expected.args, expected.reason)


@shared_pool
@given(items=st.lists(st.integers(0, 100), max_size=60), chunksize=chunksizes)
def test_an_imap_raises_in_the_place_of_the_value_and_goes_on(pool, items, chunksize):
    results = pool.imap(refuse_sevenths, items, chunksize)
    got = [outcome_of(next, results) for _ in items]
    assert got == [outcome_of(refuse_sevenths, x) for x in items]


@shared_pool
@given(items=st.lists(st.integers(0, 100), max_size=60))
def test_calls_fail_each_for_itself(pool, executor, items):
    expected = [outcome_of(refuse_sevenths, x) for x in items]
    results = [pool.apply_async(refuse_sevenths, (x,)) for x in items]
    futures = [executor.submit(refuse_sevenths, x) for x in items]
    assert [outcome_of(lambda result: result.get(), result) for result in results] == expected
    assert [outcome_of(lambda future: future.result(), future) for future in futures] == expected


# -- killed workers


@settings(shared_pool, max_examples=6)
@given(
    size=st.integers(1, 40),
    bad=st.sets(st.integers(0, 39), min_size=1, max_size=2),
    chunksize=st.none() | st.integers(1, 20),
)
def test_a_killed_worker_costs_the_item_it_ran_and_no_other(size, bad, chunksize):
    with poolwise.Pool(2, context="fork") as pool:
        items = [-1 if at in bad else at for at in range(size)]
        results = pool.imap(end_at_negative, items, chunksize)
        got = [outcome_of(next, results)[0] for _ in items]
        assert got == ["WorkerDied" if x < 0 else "value" for x in items]
        assert pool.map(square, range(100)) == [x * x for x in range(100)]


@settings(shared_pool, max_examples=6)
@given(
    size=st.integers(1, 200),
    at=st.integers(0, 199),
    chunksize=st.none() | st.integers(1, 20),
)
def test_with_retries_a_killed_worker_costs_nothing(tmp_path_factory, size, at, chunksize):
    path = tmp_path_factory.mktemp("once") / "died"
    items = [(x, str(path) if x == at else None) for x in range(size)]
    with poolwise.Pool(2, context="fork", retries=1) as pool:
        assert pool.map(end_once, items, chunksize) == list(range(size))
        assert list(pool.imap(end_once, items, chunksize)) == list(range(size))


@pytest.mark.parametrize("way", ["map", "imap", "starmap"])
def test_workers_that_are_replaced_all_the_time_lose_nothing(way):
    with poolwise.Pool(2, context="fork", maxtasksperchild=2) as pool:
        assert BY_POOL[way](pool, square, range(200), 5) == [x * x for x in range(200)]


# -- other ways to start


@pytest.mark.slow
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_workers_that_start_afresh_give_the_same(method):
    draw = random.Random(0)
    items = [draw.randrange(100) for _ in range(500)]
    expected = [outcome_of(refuse_sevenths, x) for x in items]
    task = partial(outcome_of, refuse_sevenths)
    with poolwise.Pool(2, context=method) as pool:
        for way, run in BY_POOL.items():
            assert run(pool, task, items, None) == expected, way
            assert run(pool, task, items, 7) == expected, way
    with poolwise.ProcessPoolExecutor(2, method) as executor:
        for way, run in BY_EXECUTOR.items():
            assert run(executor, task, items, 7) == expected, way
