"""Ours = multiprocessing.Pool = concurrent.futures.ProcessPoolExecutor, call by call."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import multiprocessing.pool
import tempfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import poolwise
from tests.parity.tasks import outcome_of, refuse_sevenths, run_while_there_is, square, subtract

items_of_all_kinds = st.lists(st.integers(-50, 50), max_size=30)
chunksizes = st.integers(1, 10)
shared = settings(max_examples=20, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def pools():
    """Ours, and the standard one."""
    context = multiprocessing.get_context("fork")
    with poolwise.Pool(2, context=context) as ours, context.Pool(2) as standard:
        yield ours, standard


@pytest.fixture(scope="module")
def executors():
    """Ours, and the standard one."""
    context = multiprocessing.get_context("fork")
    standard_executor = concurrent.futures.ProcessPoolExecutor(2, context)
    with poolwise.ProcessPoolExecutor(2, context) as ours, standard_executor as standard:
        yield ours, standard


def outcomes(run, both):
    """What each of the two makes of it, in words that compare."""
    return [outcome_of(run, one) for one in both]


def read_one_by_one(pool, way, function, items, chunksize):
    """What each `next` gives, exceptions included."""
    results = iter(getattr(pool, way)(function, items, chunksize))
    return [outcome_of(next, results) for _ in items]


@pytest.mark.parametrize("way", ["map", "imap", "imap_unordered"])
@shared
@given(items=items_of_all_kinds, chunksize=chunksizes)
def test_maps_of_pools(pools, way, items, chunksize):
    ours, standard = (read_one_by_one(pool, way, square, items, chunksize) for pool in pools)
    if way == "imap_unordered":
        ours, standard = sorted(ours), sorted(standard)
    assert ours == standard


@pytest.mark.parametrize("function", [refuse_sevenths, len, "not callable"])
@pytest.mark.parametrize("way", ["imap", "imap_unordered"])
@shared
@given(items=items_of_all_kinds)
def test_exceptions_in_maps_of_pools(pools, way, function, items):
    # with a larger chunksize the standard pool loses the values beside an exception; we do not
    ours, standard = (read_one_by_one(pool, way, function, items, 1) for pool in pools)
    if way == "imap_unordered":
        ours, standard = sorted(ours, key=repr), sorted(standard, key=repr)
    assert ours == standard


@shared
@given(pairs=st.lists(st.tuples(st.integers(), st.integers()), max_size=10), chunksize=chunksizes)
def test_starmap_of_pools(pools, pairs, chunksize):
    ours, standard = outcomes(lambda pool: pool.starmap(subtract, pairs, chunksize), pools)
    assert ours == standard


@shared
@given(items=items_of_all_kinds)
def test_apply_of_pools(pools, items):
    ours, standard = outcomes(
        lambda pool: [outcome_of(lambda x: pool.apply(refuse_sevenths, (x,)), x) for x in items],
        pools,
    )
    assert ours == standard


@shared
@given(several=st.lists(items_of_all_kinds, min_size=1, max_size=3), chunksize=chunksizes)
def test_map_of_executors(executors, several, chunksize):
    def run(executor):
        function = max if len(several) > 1 else abs
        return list(executor.map(function, *several, chunksize=chunksize))

    ours, standard = outcomes(run, executors)
    assert ours == standard


@shared
@given(items=items_of_all_kinds)
def test_submit_of_executors(executors, items):
    def run(executor):
        futures = [executor.submit(refuse_sevenths, x) for x in items]
        return [outcome_of(lambda future: future.result(), future) for future in futures]

    ours, standard = outcomes(run, executors)
    assert ours == standard


def test_a_map_of_an_executor_ends_with_the_first_error(executors):
    def run(executor):
        results = executor.map(refuse_sevenths, range(10), chunksize=1)
        return [outcome_of(next, results) for _ in range(10)]

    ours, standard = outcomes(run, executors)
    assert ours == standard


def get_in_words(pool):
    """Ask with a limit that is none, while the task is sure to run: a result is given at once."""
    with tempfile.TemporaryDirectory() as folder:
        return pool.apply_async(run_while_there_is, (folder,)).get(timeout="soon")


WRONG = {
    "not iterable": lambda pool: pool.map(square, 5),
    "chunksize 0": lambda pool: list(pool.imap(square, [1], 0)),
    "join first": lambda pool: pool.join(),
    "a timeout": get_in_words,
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_use_of_pools_is_the_same_error(pools, what):
    ours, standard = outcomes(WRONG[what], pools)
    assert ours[0] == standard[0]
