"""Memory is there until everybody has received it, and gone when nobody can look at it any more."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import poolwise
from poolwise.shared import holding
from tests.shared.held import held_by, wait_until


@pytest.fixture(autouse=True)
def holds_nothing_at_the_end():
    gc.collect()
    before = held_by()
    yield
    assert wait_until(lambda: len(held_by()) <= len(before)), held_by()


def opened(pickled):
    """Open a handle in another process; what it sums up to, or the error."""
    program = """
        import pickle, sys
        try:
            shared = pickle.loads(sys.stdin.buffer.read())
            print(sum(shared.get() if hasattr(shared, "get") else shared))
        except Exception as error:
            print(type(error).__name__, error)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, input=pickled, capture_output=True, check=True).stdout.decode()


BOTH = pytest.mark.parametrize("values", [np.arange(4.0), [1, 2, 3]], ids=["array", "object"])


# --- letting go ---------------------------------------------------------------------------------


@BOTH
def test_what_is_closed_can_be_opened_by_nobody(values):
    shared = poolwise.share(values)
    pickled = pickle.dumps(shared)
    assert opened(pickled).strip() in {"6.0", "6"}
    shared.close()
    shared.close()
    assert "SharedMemoryGone" in opened(pickled)
    with pytest.raises(poolwise.SharedMemoryGone, match="was closed in this process"):
        pickle.dumps(shared)


@BOTH
def test_the_end_of_a_with_closes(values):
    shared = poolwise.share(values)
    with shared as same:
        assert same is shared
        pickled = pickle.dumps(shared)
    assert re.match("SharedMemoryGone .* Keep a shared object", opened(pickled))


def test_arrays_that_exist_outlive_close():
    array = poolwise.share(np.arange(4.0))
    view = array[1:]
    view.close()
    del array
    assert view.tolist() == [1.0, 2.0, 3.0]


def test_an_object_that_was_got_outlives_its_handle():
    with poolwise.share({"a": np.arange(4)}) as shared:
        got = shared.get()
    del shared
    assert got["a"].tolist() == [0, 1, 2, 3]
    assert held_by()


@BOTH
def test_after_close_an_object_is_not_got(values):
    shared = poolwise.share(values)
    shared.close()
    if isinstance(shared, poolwise.Shared):
        with pytest.raises(poolwise.SharedMemoryGone):
            shared.get()
        assert "closed" in repr(shared)


@BOTH
def test_garbage_collection_lets_go_of_cycles(values):
    shared = poolwise.share(values)
    cycle = [shared]
    cycle.append(cycle)
    pickled = pickle.dumps(shared)
    pickle.loads(pickled)
    del cycle


def test_views_keep_what_they_show():
    view = poolwise.share(np.arange(10))[::2][1:]
    gc.collect()
    assert opened(pickle.dumps(view)).strip() == "20"
    assert view.tolist() == [2, 4, 6, 8]


# --- handles on their way -----------------------------------------------------------------------


def test_a_handle_can_be_opened_after_its_owner_was_dropped():
    pickled = pickle.dumps(poolwise.share(np.arange(4.0)))
    gc.collect()
    assert opened(pickled).strip() == "6.0"
    assert wait_until(lambda: "SharedMemoryGone" in opened(pickled))


def test_every_handle_on_its_way_counts():
    array = poolwise.share(np.arange(4.0))
    pickles = [pickle.dumps(array), pickle.dumps(array[1:])]
    del array
    for pickled in pickles:
        assert opened(pickled).strip() == "6.0"


def test_one_that_is_dropped_in_a_cycle_lingers_too():
    cycle = [poolwise.share([1, 2, 3])]
    cycle.append(cycle)
    pickled = pickle.dumps(cycle[0])
    del cycle
    gc.collect()
    assert opened(pickled).strip() == "6"


def test_nothing_lingers_for_ever(monkeypatch):
    monkeypatch.setattr(holding, "LINGER_S", 0.01)
    before = held_by()
    pickled = pickle.dumps(poolwise.share(np.arange(4.0)))
    assert wait_until(lambda: len(held_by()) <= len(before))
    assert "SharedMemoryGone" in opened(pickled)


def test_handles_back_and_forth_use_one_opening():
    array = poolwise.share(np.arange(4.0))
    before = held_by()
    others = [pickle.loads(pickle.dumps(array[at:])) for at in range(4)]
    assert held_by() == before
    assert np.shares_memory(others[0], array)


# --- processes that end -------------------------------------------------------------------------


def pass_on(receiving, sending):
    """Receive a handle, make another of the same memory, stay."""
    array = receiving.recv()
    sending.send(array[::-1])
    receiving.recv()


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_memory_outlives_its_creator_in_those_who_received_it(method):
    context = multiprocessing.get_context(method)
    here, there = context.Pipe()
    child = context.Process(target=pass_on, args=(there, there))
    child.start()
    array = poolwise.share(np.arange(4.0))
    here.send(array)
    del array
    got = here.recv()
    child.kill()
    child.join()
    child.close()
    assert got.tolist() == [3.0, 2.0, 1.0, 0.0]
    assert opened(pickle.dumps(got)).strip() == "6.0"


ENDS = {
    "returns": "",
    "sys.exit": "sys.exit()",
    "os._exit": "os._exit(0)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
}

PROGRAM = """
    import os, pickle, signal, sys, time
    import numpy as np
    import poolwise

    array = poolwise.share(np.ones(1 << 20))
    shared = poolwise.share({{"a": np.ones(1 << 20)}})
    print(pickle.dumps((array, shared)).hex(), flush=True)
    sys.stdin.readline()
    {end}
"""


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("is_creator_first", [True, False])
def test_processes_that_end_in_any_order_leave_nothing_and_say_nothing(end, is_creator_first):
    creator = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM).format(end=end)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    got = pickle.loads(bytes.fromhex(creator.stdout.readline()))
    if is_creator_first:
        _, err = creator.communicate("\n")
        assert got[0].sum() == got[1].get()["a"].sum() == 1 << 20
        del got
    else:
        del got
        _, err = creator.communicate("\n")
    assert err == ""


def share_and_die():
    array = poolwise.share(np.ones(9))
    pickle.dumps(array)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_leaves_nothing():
    with poolwise.Pool(1) as pool:
        with pytest.raises(poolwise.WorkerDied):
            pool.apply(share_and_die)
        assert pool.apply(len, ([1],)) == 1


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_worker_was_sent_does_not_linger():
    before = held_by()
    with poolwise.Pool(1) as pool, pytest.raises(poolwise.WorkerDied):
        pool.apply(die, (poolwise.share(np.ones(9)),))
    assert wait_until(lambda: len(held_by()) <= len(before))


def share_it(size):
    return poolwise.share(np.ones(size))


_kept = []


def pickle_in_vain():
    _kept.append(poolwise.share(np.ones(9)))
    return len(pickle.dumps(_kept[0]))


def test_a_worker_of_ours_does_not_wait_for_what_was_never_sent(monkeypatch):
    monkeypatch.setattr(holding, "LEAVE_S", 600.0)
    with poolwise.ProcessPoolExecutor(1, "fork") as executor:
        assert executor.submit(pickle_in_vain).result() < 200


def share_or_die(number):
    if number in {50, 120}:
        os.kill(os.getpid(), signal.SIGKILL)
    return poolwise.share(np.full(9, number))


def test_a_worker_that_dies_takes_no_results_of_others_with_it():
    with poolwise.Pool(2) as pool:
        results = [pool.apply_async(share_or_die, (number,)) for number in range(200)]
        for number, result in enumerate(results):
            if number in {50, 120}:
                with pytest.raises(poolwise.WorkerDied):
                    result.get()
            else:
                assert result.get()[0] == number


def return_closed():
    with poolwise.share(np.ones(9)) as array:
        pickled = pickle.dumps(array)
    return Closed(pickled)


class Closed:
    """Pickles as a handle whose memory is gone."""

    def __init__(self, pickled):
        self.pickled = pickled

    def __reduce__(self):
        return pickle.loads, (self.pickled,)


def test_a_result_that_its_living_worker_closed_is_an_error():
    pool = poolwise.Pool(1)
    with pool, pytest.raises(poolwise.PoolwiseError, match="Keep a shared object"):
        pool.apply(return_closed)


def test_results_die_with_their_last_view_not_with_the_pool():
    with poolwise.Pool(2) as pool:
        results = pool.map(share_it, [3, 4, 5])
    views = [result[1:] for result in results]
    del results
    assert [view.sum() for view in views] == [2.0, 3.0, 4.0]


def test_a_task_whose_array_was_closed_says_what_to_do():
    array = poolwise.share(np.ones(3))
    with poolwise.Pool(1) as pool:
        array.close()
        with pytest.raises(poolwise.SharedMemoryGone, match="Close it after the last use"):
            pool.apply(np.sum, (array,))
