"""Pools on engines of others: what users of a pool see of them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest

import poolwise
from poolwise.backends.remote.base import Remote
from poolwise.backends.remote.executors import on_executor


def double(number):
    return 2 * number


def fail_at_seven(number):
    if number == 7:
        message = "seven"
        raise LookupError(message)
    return number


def end(number):
    if number == 7:
        os._exit(3)
    return number


def pid_of(_):
    return os.getpid()


def add(a, b):
    return a + b


def length(array, number):
    return len(array) + number


def nap(seconds):
    time.sleep(seconds)
    return seconds


def make_ppe():
    return ProcessPoolExecutor(2, mp_context=get_context("forkserver"))


MAKERS = {"processes": make_ppe, "threads": lambda: ThreadPoolExecutor(2)}


@pytest.fixture(scope="module", params=MAKERS)
def executor(request):
    with MAKERS[request.param]() as made:
        yield made


@pytest.fixture(scope="module")
def ppe():
    with make_ppe() as made:
        yield made


# -- every door


def test_a_pool_runs_on_it(executor):
    with poolwise.Pool(backend=executor) as pool:
        assert pool.map(double, range(500)) == [2 * n for n in range(500)]
        assert list(pool.imap(double, iter(range(100)))) == [2 * n for n in range(100)]
        assert sorted(pool.imap_unordered(double, range(50))) == [2 * n for n in range(50)]
        assert pool.starmap(add, [(1, 2), (3, 4)]) == [3, 7]
        assert pool.apply_async(add, (1,), {"b": 5}).get() == 6
        assert pool._processes == 2
        assert f"backend={type(executor).__name__}" in repr(pool)
        report = pool.report()
        assert (report.backend, report.workers) == (type(executor).__name__, 2)
    assert executor.submit(double, 4).result() == 8, "a pool's end is not its executor's"


def test_an_executor_runs_on_it(executor):
    with poolwise.ProcessPoolExecutor(backend=executor) as ours:
        futures = [ours.submit(double, n) for n in range(200)]
        assert [future.result() for future in futures] == [2 * n for n in range(200)]
        assert list(ours.map(add, range(20), range(20))) == [2 * n for n in range(20)]


def test_its_processes_do_the_work(ppe):
    with poolwise.Pool(backend=ppe) as pool:
        assert os.getpid() not in pool.map(pid_of, range(20))


def test_an_error_is_that_of_its_item(executor):
    with poolwise.Pool(backend=executor) as pool:
        with pytest.raises(LookupError, match="seven"):
            pool.map(fail_at_seven, range(20))
        results = pool.imap(fail_at_seven, range(10))
        assert [next(results) for _ in range(7)] == list(range(7))
        with pytest.raises(LookupError):
            next(results)
        assert list(results) == [8, 9]


def test_progress_and_retries_are_those_of_any_pool(executor):
    with poolwise.Pool(backend=executor) as pool:
        with pytest.raises(LookupError):
            pool.map(fail_at_seven, range(10), retries=2, retry_on=LookupError)
        assert pool.statistics()["retries"] == 2


def test_an_endless_input_is_read_as_far_as_it_is_needed(executor):
    with poolwise.Pool(backend=executor) as pool:
        results = pool.imap(double, itertools.count(), buffersize=100)
        assert list(itertools.islice(results, 1000)) == [2 * n for n in range(1000)]


def test_many_tiny_tasks_are_few_calls(ppe):
    with poolwise.Pool(backend=ppe) as pool:
        pool.map(double, range(20_000))
        assert pool.statistics()["chunks"] < 500


def test_a_function_of_a_program_that_nobody_can_import_travels_by_value(ppe):
    def closure(number):
        return number + offset

    offset = 10
    with poolwise.Pool(backend=ppe) as pool:
        assert pool.map(closure, range(3)) == [10, 11, 12]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of its own
def test_an_engine_that_only_knows_whether_it_is_done_is_asked(tmp_path):
    submitit = pytest.importorskip("submitit")
    executor = submitit.AutoExecutor(tmp_path, cluster="local")
    executor.update_parameters(timeout_min=5)
    with poolwise.Pool(2, backend=executor) as pool:
        assert pool.map(double, range(20)) == [2 * n for n in range(20)]


# -- what is sent once


class Counting(Executor):
    """Hands calls on, and counts the bytes that they are given."""

    _max_workers = 2

    def __init__(self, inner):
        self.inner = inner
        self.large = 0

    def submit(self, fn, /, *args, **kwargs):
        self.large += sum(len(part) > 500_000 for part in find_bytes(args))
        return self.inner.submit(fn, *args, **kwargs)


def find_bytes(value):
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from find_bytes(part)


@pytest.mark.parametrize("kind", ["bytes", "array"])
def test_what_is_bound_to_a_function_is_sent_about_once_a_worker(ppe, kind):
    data = bytes(1_000_000)
    if kind == "array":
        data = pytest.importorskip("numpy").frombuffer(data, "u1")
    counting = Counting(ppe)
    with poolwise.Pool(backend=counting) as pool:
        for _ in range(2):
            values = pool.map(partial(length, data), range(100), 1)
            assert values == [1_000_000 + n for n in range(100)]
        assert pool.statistics()["chunks"] > 8
    # About: on a busy machine more chunks are under way before the first worker has it.
    assert 1 <= counting.large <= 8


def test_an_array_that_all_items_hold_is_sent_about_once_a_worker(ppe):
    numpy = pytest.importorskip("numpy")
    array = numpy.zeros(1_000_000, "u1")
    counting = Counting(ppe)
    with poolwise.Pool(backend=counting) as pool:
        values = pool.starmap(length, [(array, n) for n in range(100)], 1)
        assert values == [1_000_000 + n for n in range(100)]
    assert 1 <= counting.large <= 8


# -- what it cannot do


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("initializer", {"initializer": print}),
        ("state", {"state": {"a": 1}}),
        ("maxtasksperchild", {"maxtasksperchild": 3}),
        ("context", {"context": "spawn"}),
        ("worker_output", {"worker_output": "on"}),
        ("task_timeout", {"task_timeout": 3.0}),
    ],
)
def test_what_an_executor_cannot_do_is_refused_with_what_to_do(ppe, name, options):
    with pytest.raises(ValueError, match=rf"{name} cannot be had on .*'ProcessPoolExecutor'"):
        poolwise.Pool(backend=ppe, **options)


def test_so_is_a_time_limit_of_one_call(ppe):
    with (
        poolwise.Pool(backend=ppe) as pool,
        pytest.raises(ValueError, match="task_timeout cannot be had"),
    ):
        pool.map(double, range(3), task_timeout=1.0)


def test_what_it_can_do_is_data(ppe):
    with poolwise.Pool(backend=ppe) as pool:
        assert not pool.backend.promises.has_time_limits
        assert not pool.backend.promises.has_initializers
    with poolwise.Pool(1, backend="threads") as pool:
        assert pool.backend.promises.has_initializers


# -- when it goes otherwise


def test_an_executor_that_was_shut_down_is_one_clear_error():
    executor = make_ppe()
    executor.shutdown()
    with pytest.raises(poolwise.EngineFailed, match="shut down"):
        poolwise.Pool(backend=executor)


def test_an_executor_that_is_shut_down_under_a_pool_is_one_clear_error():
    executor = make_ppe()
    with poolwise.Pool(backend=executor) as pool:
        assert pool.map(double, range(10)) == list(range(0, 20, 2))
        executor.shutdown()
        with pytest.raises(poolwise.EngineFailed, match="shut down"):
            pool.map(double, range(10))
        with pytest.raises(poolwise.EngineFailed, match="shut down"):
            pool.apply(double, (1,))


def test_an_executor_that_breaks_is_one_clear_error():
    with make_ppe() as executor, poolwise.Pool(backend=executor) as pool:
        assert pool.map(double, range(10)) == list(range(0, 20, 2))
        with pytest.raises(poolwise.EngineFailed, match="is broken"):
            pool.map(end, range(20))
        with pytest.raises(poolwise.EngineFailed, match="is broken"):
            pool.map(double, range(3))


class Losing(Executor):
    """An engine that gives an error of its own for calls that it loses."""

    def __init__(self, inner, most):
        self.inner = inner
        self.left = most

    def submit(self, fn, /, *args, **kwargs):
        if fn.__name__ == "run" and self.left:
            self.left -= 1
            lost = Future()
            lost.set_exception(OSError("the job was preempted"))
            return lost
        return self.inner.submit(fn, *args, **kwargs)


def test_what_an_engine_loses_goes_again(ppe):
    with poolwise.Pool(2, backend=Losing(ppe, 2)) as pool:
        assert pool.map(double, range(50)) == [2 * n for n in range(50)]


def test_but_not_for_ever(ppe):
    with (
        poolwise.Pool(2, backend=Losing(ppe, 10**9)) as pool,
        pytest.raises(poolwise.EngineFailed, match=r"lost item .*preempted"),
    ):
        pool.map(double, range(3))


class Without(Executor):
    """An engine whose workers do not have us."""

    def submit(self, fn, /, *args, **kwargs):
        failed = Future()
        failed.set_exception(ModuleNotFoundError("No module named 'poolwise'"))
        return failed


def test_workers_without_poolwise_are_named_before_the_first_item():
    with (
        poolwise.Pool(2, backend=Without()) as pool,
        pytest.raises(poolwise.EngineFailed, match=r"do not have poolwise .* install it"),
    ):
        pool.map(double, range(3))


def test_workers_of_another_version_are_named_before_the_first_item(monkeypatch):
    with ThreadPoolExecutor(2) as executor:
        monkeypatch.setattr("poolwise.worker.remote._version", lambda: "0.0.1")
        with (
            poolwise.Pool(backend=executor) as pool,
            pytest.raises(poolwise.EngineFailed, match=r"run poolwise 0\.0\.1"),
        ):
            pool.map(double, range(3))


def test_what_is_not_picklable_fails_alone(ppe):
    with poolwise.Pool(backend=ppe) as pool:
        results = pool.imap(double, [1, threading.Lock(), 3])
        assert next(results) == 2
        with pytest.raises(TypeError, match="pickle"):
            next(results)
        assert next(results) == 6


# -- by name


def test_the_environment_names_it(monkeypatch):
    monkeypatch.setenv("POOLWISE_BACKEND", "threads")
    with poolwise.Pool(2) as pool:
        assert pool.backend.name == "threads"
    with poolwise.Pool(2, backend="serial") as pool:
        assert pool.backend.name == "serial"


def test_an_unknown_one_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown backend 'nonsense': choose 'processes'"):
        poolwise.Pool(2, backend="nonsense")
    with pytest.raises(ValueError, match="unknown backend <object"):
        poolwise.Pool(2, backend=object())


# -- executors of our own, one for each lane


@pytest.fixture
def own():
    with poolwise.Pool(2, backend="executor", context="forkserver") as pool:
        assert isinstance(pool.backend, Remote)
        yield pool


def test_a_worker_of_our_own_that_dies_costs_its_task(own):
    results = own.imap(end, range(20))
    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(poolwise.WorkerDied, match=r"exited with code 3 while it ran item 7 of end"):
        next(results)
    assert list(results) == list(range(8, 20))


def test_a_task_that_runs_too_long_is_stopped(own):
    with pytest.raises(poolwise.TaskTimeout):
        own.map(nap, [60.0], task_timeout=0.2)
    assert own.map(nap, [0.01] * 5, task_timeout=30.0) == [0.01] * 5


def note_state(_):
    return poolwise.state["a"]


def test_its_workers_have_state_and_are_replaced():
    options = {"state": {"a": 5}, "maxtasksperchild": 2, "context": "forkserver"}
    with poolwise.Pool(1, backend="executor", **options) as pool:
        assert pool.map(note_state, range(6), 1) == [5] * 6
        assert len(set(pool.map(pid_of, range(6), 1))) >= 3


# -- the interpreter's end

LEFT_OPEN = """
import os
import time
from concurrent.futures import ProcessPoolExecutor
import poolwise

def say(number):
    time.sleep(0.01)
    os.write(1, f"{number}\\n".encode())

if __name__ == "__main__":
    inner = ProcessPoolExecutor(2) if GIVEN else "executor"
    executor = poolwise.ProcessPoolExecutor(2, backend=inner)
    for number in range(30):
        executor.submit(say, number)
"""


@pytest.mark.parametrize("given", [True, False])
def test_what_was_submitted_is_done_before_the_interpreter_ends(tmp_path, given):
    script = tmp_path / "left_open.py"
    script.write_text(LEFT_OPEN.replace("GIVEN", str(given)))
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(map(int, done.stdout.split())) == list(range(30))


# -- shared memory, where workers may be on another machine


def total(array):
    return float(array.sum())


def give_shared(size):
    import numpy as np

    return poolwise.share(np.ones(size))


@pytest.mark.parametrize("is_near", [True, False])
@pytest.mark.parametrize("is_listed", [True, False])
def test_what_is_shared_goes_by_value_to_who_cannot_open_it(ppe, is_near, is_listed):
    numpy = pytest.importorskip("numpy")
    shared = poolwise.share(numpy.ones(100_000))
    counting = Counting(ppe)
    backend = on_executor(counting if not is_near else ppe)
    assert backend.is_near is is_near
    with poolwise.Pool(2, backend=backend) as pool:
        items = [shared] * 4
        assert list(pool.imap(total, items if is_listed else iter(items))) == [1e5] * 4
        assert pool.apply(total, (shared,)) == 1e5
        assert pool.map(give_shared, [1000])[0].sum() == 1000
        thing = poolwise.share({"a": 1})
        assert pool.map(get_a, [thing] * 3) == [1] * 3
    assert (counting.large > 0) is not is_near


def get_a(shared):
    return shared.get()["a"]
