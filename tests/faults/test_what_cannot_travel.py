"""What cannot be pickled, or not be rebuilt, fails the task it belongs to and no other."""

from __future__ import annotations

import pickle
import threading
from functools import partial
from multiprocessing.pool import MaybeEncodingError

import pytest

import poolwise
from poolwise import errors
from tests.faults import breakers

LIMIT_S = 100


@pytest.fixture(scope="module", params=["fork", "spawn"])
def pool(request):
    with poolwise.Pool(2, context=request.param) as pool:
        yield pool
        assert pool.map(breakers.double, range(9)) == [2 * at for at in range(9)]


def outcomes(results, size):
    """Each value, or the name of the error's class."""
    got = []
    for _ in range(size):
        try:
            got.append(results.next(LIMIT_S))
        except Exception as error:
            got.append(type(error).__name__)
    return got


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (breakers.RaisesWhenPickled(), "ValueError"),
        (breakers.RecursesWhenPickled(), "RecursionError"),
        (threading.Lock(), "TypeError"),
        (breakers.RaisesWhenLoaded(), "ArgumentNotLoadable"),
    ],
)
@pytest.mark.parametrize("chunksize", [None, 1, 8])
def test_argument(pool, bad, error, chunksize):
    items = [1, 2, bad, 4, 5]
    got = outcomes(pool.imap(breakers.double, items, chunksize), 5)
    assert got == [2, 4, error, 8, 10]


@pytest.mark.parametrize("chunksize", [None, 1, 8])
def test_result(pool, chunksize):
    kinds = [int, breakers.RaisesWhenPickled, int, breakers.RecursesWhenPickled, int]
    got = outcomes(pool.imap(breakers.make, kinds, chunksize), 5)
    assert got == [0, "ResultNotPicklable", 0, "ResultNotPicklable", 0]
    got = outcomes(pool.imap(breakers.make, [int, breakers.RaisesWhenLoaded, int], chunksize), 3)
    assert got == [0, "ResultNotLoadable", 0]


def test_result_that_is_refused_says_which_and_why(pool):
    with pytest.raises(MaybeEncodingError, match="cannot pickle") as caught:
        pool.apply(breakers.return_lock)
    assert isinstance(caught.value, pickle.PicklingError)
    assert "lock" in str(caught.value)


def test_function(pool):
    lock = threading.Lock()
    with pytest.raises(TypeError, match="cannot pickle"):
        pool.map_async(partial(breakers.make, lock), [1, 2, 3]).get(LIMIT_S)
    with pytest.raises(TypeError, match="cannot pickle"):
        pool.apply_async(partial(breakers.make, lock)).get(LIMIT_S)


def test_exception_that_does_not_unpickle_arrives_as_what_it_was(pool):
    with pytest.raises(breakers.BadlyMade) as caught:
        pool.apply_async(breakers.raise_made, (breakers.BadlyMade, "one", 2)).get(LIMIT_S)
    assert (caught.value.args, caught.value.two) == (("one",), 2)
    assert "raise_made" in str(caught.value.__cause__)


def test_exception_that_does_not_pickle_keeps_its_traceback(pool):
    with pytest.raises(poolwise.PoolwiseError) as caught:
        pool.apply_async(breakers.raise_made, (breakers.NotPicklable, "said")).get(LIMIT_S)
    assert isinstance(caught.value, errors.ResultNotPicklable)
    assert "NotPicklable: said" in str(caught.value.__cause__)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration])
@pytest.mark.parametrize("chunksize", [None, 1, 9])
def test_what_is_hardly_an_exception_is_the_tasks_own(pool, error, chunksize):
    results = pool.imap(partial(breakers.raise_at_three, error=error), range(6), chunksize)
    assert [results.next(LIMIT_S) for _ in range(3)] == [0, 2, 4]
    with pytest.raises((error, RuntimeError)):
        results.next(LIMIT_S)
    assert [results.next(LIMIT_S) for _ in range(2)] == [8, 10]


def test_stop_iteration_of_a_single_call_is_whole(pool):
    with pytest.raises(StopIteration) as caught:
        pool.apply_async(breakers.raise_made, (StopIteration, 5)).get(LIMIT_S)
    assert caught.value.value == 5
    assert "raise_made" in str(caught.value.__cause__)


def test_exception_that_exits_when_it_is_printed(pool):
    with pytest.raises(breakers.ExitsWhenAsked):
        pool.apply_async(breakers.raise_made, (breakers.ExitsWhenAsked,)).get(LIMIT_S)


HARDLY = [SystemExit, KeyboardInterrupt, GeneratorExit, RecursionError, MemoryError]


@pytest.mark.parametrize("error", HARDLY)
def test_what_loading_raises_is_an_error_of_that_item(pool, error):
    bad = breakers.RaisesElsewhere(error())
    with pytest.raises(errors.ArgumentNotLoadable):
        pool.apply_async(id, (bad,)).get(LIMIT_S)
    with pytest.raises(errors.ArgumentNotLoadable, match="item 1 of"):
        pool.map_async(str, [0, bad, 2], 3).get(LIMIT_S)
    with pytest.raises(errors.ResultNotLoadable):
        pool.apply_async(breakers.make, (breakers.RaisesElsewhere, error())).get(LIMIT_S)
    assert pool.map(breakers.double, range(3)) == [0, 2, 4]
