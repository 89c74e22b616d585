"""Shared data arrives as shared data in every pool, however it is handed over."""

from __future__ import annotations

import os
import pickle
from functools import partial

import cloudpickle
import numpy as np
import pytest

import poolwise
from poolwise.shared.arrays import find_place
from tests.shared.held import held_by, wait_until
from tests.shared.pools import POOLS, joblib


def look(array):
    """What a task sees: the sum, whether it got a handle, and whether it may write."""
    return float(array.sum()), is_handle(array), array.flags.writeable


def is_handle(array):
    return type(array) is poolwise.SharedArray and find_place(array) is not None


def put(array, at, value):
    array[at] = value


def make_shared(size):
    return poolwise.share(np.arange(size))


def return_part(array):
    return array[1:3]


def double(array):
    return array * 2


def total(shared):
    return {name: float(values.sum()) for name, values in shared.get().items()}


def hold(shared):
    return os.getpid(), shared.sum()


def check_an_argument_is_a_handle(call):
    array = poolwise.share(np.arange(1000.0))
    assert call(look, array) == (499500.0, True, False)
    assert call(look, array[::-3].reshape(2, -1).T) == (array[::-3].sum(), True, False)


def check_an_argument_that_nobody_keeps_arrives(call):
    assert call(look, poolwise.share(np.ones(9), "copy-on-write")) == (9.0, True, True)
    held = len(held_by())
    assert call(look, poolwise.share(np.ones(9))) == (9.0, True, False)
    assert wait_until(lambda: len(held_by()) <= held), "and is let go"


def check_workers_fill_what_everybody_sees(call):
    array = poolwise.zeros((3, 4), int)
    for at in range(3):
        call(put, array[at], slice(1, 3), at + 1)
    assert array.tolist() == [[0, 1, 1, 0], [0, 2, 2, 0], [0, 3, 3, 0]]


def check_a_result_that_its_worker_dropped_arrives(call):
    results = [call(make_shared, size) for size in (3, 0, 5)]
    assert [result.tolist() for result in results] == [[0, 1, 2], [], [0, 1, 2, 3, 4]]
    assert is_handle(results[0])


def raise_shared(size):
    raise ValueError(make_shared(size))


def check_an_exception_brings_what_its_worker_dropped(call):
    with pytest.raises(ValueError, match="0") as caught:
        call(raise_shared, 3)
    (array,) = caught.value.args
    assert array.tolist() == make_shared(3).tolist()


def check_a_part_of_an_argument_comes_back_as_the_same_memory(call):
    array = poolwise.share(np.arange(5), "read-write")
    part = call(return_part, array)
    part[:] = -1
    assert array.tolist() == [0, -1, -1, 3, 4]


def check_a_computed_result_is_a_plain_array(call):
    result = call(double, poolwise.share(np.arange(3)))
    assert type(result) is np.ndarray
    assert result.tolist() == [0, 2, 4]
    assert result.flags.writeable


def check_partials_and_closures_carry_a_handle(call):
    array = poolwise.share(np.arange(1000.0))
    assert call(partial(look, array)) == (499500.0, True, False)
    closure = cloudpickle.dumps(lambda: look(array))
    assert len(closure) < 2000
    assert call(cloudpickle_call, closure) == (499500.0, True, False)


def cloudpickle_call(pickled):
    return pickle.loads(pickled)()


def check_any_object_arrives_as_a_handle(call):
    shared = poolwise.share({"a": np.arange(10.0), "b": np.ones((3, 3))})
    assert call(total, shared) == {"a": 45.0, "b": 9.0}


class Counted:
    """Counts how often it was built in this process."""

    built = 0

    def __setstate__(self, state):
        Counted.built += 1
        self.__dict__.update(state)


def count_built(shared):
    shared.get()
    return os.getpid(), Counted.built


def check_an_object_is_built_once_in_a_process(call):
    counted = Counted()
    counted.size = 1
    shared = poolwise.share(counted)
    seen = [call(count_built, shared) for _ in range(12)]
    first = dict(reversed(seen))
    assert all(first[pid] == built for pid, built in seen), seen


def count_held(shared):
    shared.get()
    return len(held_by())


def check_what_was_built_goes_with_its_owner(call):
    def held_now():
        return call(count_held, poolwise.share(["something"]))

    few = max(held_now() for _ in range(4)) + 2  # in each of two workers: one, open and mapped
    for _ in range(12):
        held_now()
    assert wait_until(lambda: held_now() <= few)


_given = {}


def remember(array, shared):
    _given["array"], _given["shared"] = array, shared


def look_at_given():
    return look(_given["array"]), total(_given["shared"])


def check_initargs(call):
    assert call(look_at_given) == ((6.0, True, False), {"x": 3.0})


CHECKS = [check for name, check in list(globals().items()) if name.startswith("check_")]


@pytest.mark.parametrize(("make", "method"), POOLS)
def test_in_every_pool(make, method, subtests):
    given = poolwise.share(np.arange(4)), poolwise.share({"x": np.ones(3)})
    with make(method, remember, given) as call:
        for check in CHECKS:
            if check is check_initargs and make is joblib:
                continue  # joblib takes none
            with subtests.test(check.__name__):
                check(call)


def test_a_lambda_in_our_pools():
    array = poolwise.share(np.arange(4))
    with poolwise.Pool(2) as pool:
        assert pool.map(lambda at: int(array[at]), range(4)) == [0, 1, 2, 3]


@pytest.mark.parametrize("make", [poolwise.Pool, pytest.param(None, id="multiprocessing.Pool")])
def test_results_of_workers_that_left_arrive(make):
    import multiprocessing

    with (make or multiprocessing.Pool)(2, maxtasksperchild=1) as pool:
        results = pool.map(make_shared, range(1, 9), chunksize=1)
    assert [len(result) for result in results] == list(range(1, 9))


def test_threads_share_by_being_threads():
    array = poolwise.zeros(4, int)
    with poolwise.Pool(2, backend="threads") as pool:
        pool.starmap(put, [(array, at, at) for at in range(4)])
    assert array.tolist() == [0, 1, 2, 3]


def test_what_a_worker_was_sent_it_lets_go():
    with poolwise.Pool(1) as pool:
        inherited = held_by(pool.apply(os.getpid))
        pid, _ = pool.apply(hold, (poolwise.share(np.arange(9)),))
        pool.apply(int)
        assert wait_until(lambda: len(held_by(pid)) <= len(inherited))
