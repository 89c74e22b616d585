"""What an initializer is given: equal, writable and the worker's own by every start method."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.reduction import ForkingPickler

import pytest

import poolwise
from poolwise.memory.arena import PoolMemory
from poolwise.memory.link import Handover

np = pytest.importorskip("numpy")

BIG = 600_000
"""Numbers in an array that is long enough to be found again by the next worker."""

METHODS = ["fork", "spawn", "forkserver"]

given = {}


def keep(**values):
    given.update(values)


def keep_all(array, same_array, text, lock, queue):
    given.update(array=array, same=same_array, text=text, lock=lock, queue=queue)


def look(_):
    with given["lock"]:
        array = given["array"]
        seen = (float(array[0]), float(array[-1]), array is given["same"], len(given["text"]))
        array[:] = -1  # nobody else may see this
        return (*seen, array.flags.writeable)


def look_once(_):
    return os.getpid(), float(given["array"].sum())


def keep_array(array):
    given["array"] = array


def refuse():
    message = "not here"
    raise ZeroDivisionError(message)


class NotRebuilt:
    """Can be pickled only."""

    def __init__(self):
        self.array = np.zeros(BIG)

    def __reduce__(self):
        return refuse, ()


@pytest.mark.parametrize("method", METHODS)
def test_large_initargs_arrive_as_they_are_beside_what_only_processes_hand_on(method):
    context = multiprocessing.get_context(method)
    array = np.arange(float(BIG))
    array.flags.writeable = False  # arrives writable where it is pickled
    if method == "fork":
        array = array.copy()
    args = array, array, "x" * 300_000, context.Lock(), context.Queue()
    with poolwise.Pool(2, keep_all, args, context=context) as pool:
        seen = pool.map(look, range(4), chunksize=1)
    first = {one for one in seen if one[0] == 0}
    assert first == {(0.0, BIG - 1.0, True, 300_000, True)}
    assert array[0] == 0


@pytest.mark.parametrize("method", METHODS)
def test_every_worker_that_replaces_another_gets_them(method):
    array = np.ones(BIG)
    with poolwise.Pool(2, keep_array, (array,), maxtasksperchild=1, context=method) as pool:
        seen = pool.map(look_once, range(4), chunksize=1)
    assert {total for _, total in seen} == {float(BIG)}
    assert len({pid for pid, _ in seen}) == 4


@pytest.mark.parametrize("method", METHODS)
def test_what_a_worker_is_given_outlives_what_the_caller_does_to_it(method):
    array = np.ones(BIG)
    with poolwise.Pool(1, keep_array, (array,), context=method) as pool:
        pool.apply(abs, (1,))
        array[:] = 0
        del array
        pool.apply(len, (np.zeros(BIG),))  # goes through the same memory
        assert pool.apply(look_once, (0,))[1] == BIG


def test_what_cannot_be_rebuilt_in_the_worker_is_said_so():
    with (
        pytest.raises(Exception, match="not here"),
        poolwise.Pool(1, keep_array, (NotRebuilt(),), context="spawn") as pool,
    ):
        pool.apply(abs, (1,))


def test_large_data_does_not_go_through_the_pipe_of_the_process():
    array, memory = np.ones(BIG), PoolMemory()
    first, second = Handover((keep, (array,)), memory), Handover((keep, (array,)), memory)
    assert max(len(ForkingPickler.dumps(one)) for one in (first, second)) < 1000
    assert len(first.blocks) == len(second.blocks) == 1
    piped = Handover((keep, (array,)), None)
    assert len(ForkingPickler.dumps(piped)) > array.nbytes
    assert piped.blocks == []
    memory.close()
