"""`Pool(state={...})`: there in every worker from its start, made or mapped once, not per task."""

from __future__ import annotations

import os
import pickle
import threading
from functools import partial

import cloudpickle
import numpy as np
import pytest

import poolwise
from poolwise import state
from tests.shared.held import held_by, wait_until
from tests.shared.pools import METHODS

FRESH_OR_NOT = [METHODS[0], METHODS[-1]]
"""Forked workers inherit what they need, spawned ones are sent it; forkserver's are as spawned."""

DOORS = pytest.mark.parametrize("door", [poolwise.Pool, poolwise.ProcessPoolExecutor])
KINDS = pytest.mark.parametrize(
    "options",
    [
        *({"context": method} for method in FRESH_OR_NOT),
        {"backend": "threads"},
        {"backend": "serial"},
    ],
    ids=lambda options: next(iter(options.values())),
)


def look(name):
    return state[name]


def total(_):
    return float(state["table"].sum()), os.getpid()


def connect():
    """Stands for a connection: cannot be pickled, and says where it was made."""
    return [os.getpid(), threading.get_ident(), threading.Lock()]


def who(_):
    made = state["connection"]
    return made[0], made[1], id(made), os.getpid()


@KINDS
def test_values_are_there(options):
    values = {"table": np.arange(100_000.0), "few": (1, 2), "none": None}
    with poolwise.Pool(2, **options, state=values) as pool:
        assert {value for value, _ in pool.map(total, range(10))} == {4999950000.0}
        assert pool.map(look, ["few", "none"]) == [(1, 2), None]


def test_the_fork_server_hands_it_on():
    if "forkserver" not in METHODS:
        pytest.skip("there is no fork server here")
    with poolwise.Pool(1, context="forkserver", state={"table": np.ones(9), "f": connect}) as pool:
        assert pool.apply(total, (0,))[0] == 9.0


@DOORS
def test_every_door_has_it(door):
    with door(2, state={"x": 5}) as pool:
        assert list(pool.map(look, ["x", "x"])) == [5, 5]


@KINDS
def test_functions_are_called_once_in_each_worker(options):
    with poolwise.Pool(2, **options, state={"connection": connect}) as pool:
        seen = set(pool.map(who, range(40), chunksize=1))
    assert all(made_in == runs_in for made_in, _, _, runs_in in seen)
    assert len(seen) == len({(pid, thread) for pid, thread, _, _ in seen}) <= 2


@pytest.mark.parametrize("method", FRESH_OR_NOT)
def test_lambdas_and_partials_make_values_too(method):
    size = 3
    values = {"a": lambda: [0] * size, "b": partial(dict, x=1)}
    with poolwise.Pool(1, context=method, state=values) as pool:
        assert pool.map(look, "ab") == [[0, 0, 0], {"x": 1}]


class Model:
    """A value that happens to be callable."""

    def __call__(self, x):
        return 2 * x


def apply_model(x):
    return state["model"](x)


@KINDS
def test_a_callable_object_is_a_value(options):
    with poolwise.Pool(1, **options, state={"model": Model()}) as pool:
        assert pool.map(apply_model, [1, 2]) == [2, 4]


def change():
    state["table"][0] += 1
    return float(state["table"][0])


@pytest.mark.parametrize("method", FRESH_OR_NOT)
def test_a_worker_may_write_its_own(method):
    table = np.zeros(3)
    with poolwise.Pool(1, context=method, state={"table": table}) as pool:
        assert [pool.apply(change) for _ in range(3)] == [1.0, 2.0, 3.0]
    assert table[0] == 0.0


@pytest.mark.parametrize("method", FRESH_OR_NOT)
def test_what_is_shared_already_stays_shared(method):
    table = poolwise.zeros(3)
    with poolwise.Pool(1, context=method, state={"table": table}) as pool:
        pool.apply(change)
    assert table[0] == 1.0


@pytest.mark.parametrize("method", FRESH_OR_NOT)
def test_new_workers_have_it_as_well(method):
    with poolwise.Pool(1, context=method, maxtasksperchild=1, state={"table": np.ones(9)}) as pool:
        seen = pool.map(total, range(2), chunksize=1)
    assert {value for value, _ in seen} == {9.0}
    assert len({pid for _, pid in seen}) == 2


def test_fresh_interpreters_map_one_copy():
    assert wait_until(lambda: not held_by())  # pools of other tests may be on their way out
    before = held_by()
    with poolwise.Pool(2, context="spawn", state={"table": np.ones(1 << 20), "b": "x"}) as pool:
        assert len(held_by()) == len(before) + 1
        assert pool.map(total, range(4))[0][0] == 1 << 20
        pool.terminate()
    del pool
    assert wait_until(lambda: len(held_by()) <= len(before))


seen_by_initializer = []


def remember(number):
    seen_by_initializer.append(state["x"] + number)


def recall():
    return seen_by_initializer[-1]


@KINDS
def test_the_initializer_finds_it(options):
    with poolwise.Pool(1, remember, (1,), **options, state={"x": 5}) as pool:
        assert pool.apply(recall) == 6


@pytest.mark.parametrize("backend", ["threads", "serial"])
def test_two_pools_in_one_process_have_two_states(backend):
    first = poolwise.Pool(1, backend=backend, state={"x": 1})
    second = poolwise.Pool(1, backend=backend, state={"x": 2})
    with first, second:
        assert [pool.apply(look, ("x",)) for pool in (first, second, first)] == [1, 2, 1]
    assert dict(state) == {}


# --- errors -------------------------------------------------------------------------------------


def fail():
    message = "no database today"
    raise OSError(message)


@pytest.mark.parametrize("method", FRESH_OR_NOT)
def test_a_function_that_fails_is_an_initializer_that_fails(method):
    pool = poolwise.Pool(1, context=method, state={"connection": fail})
    with pool, pytest.raises(poolwise.InitializerFailed) as caught:
        pool.apply(look, ("connection",))
    assert "no database today" in f"{caught.value} {caught.value.__cause__!r}"


def test_a_value_that_cannot_be_pickled_is_named_with_the_cure():
    with pytest.raises(TypeError, match=r"state\['lock'\] cannot be pickled .* Give a function"):
        poolwise.Pool(1, context="spawn", state={"fine": 1, "lock": threading.Lock()})
    with poolwise.Pool(1, context="fork", state={"lock": threading.Lock()}) as pool:
        assert pool.apply(is_lock)


def is_lock():
    return state["lock"].acquire(blocking=False)


def test_a_missing_name_says_what_is_there():
    pool = poolwise.Pool(1, state={"x": 1})
    with pool, pytest.raises(KeyError, match=r"no 'y' in poolwise\.state, which has 'x'"):
        pool.apply(look, ("y",))
    with pytest.raises(KeyError, match="filled in workers only"):
        look("x")


def test_the_name_is_the_workers_own_wherever_it_travels():
    assert pickle.loads(pickle.dumps(state)) is state
    with poolwise.Pool(1, context="spawn", state={"x": 7}) as pool:
        assert pool.apply(pickle.loads, (cloudpickle.dumps(state),)) is state
        assert pool.apply(eval_state, (cloudpickle.dumps(lambda: state["x"]),)) == 7
    assert repr(state) == "<poolwise.state: empty>"


def eval_state(pickled):
    return pickle.loads(pickled)()
