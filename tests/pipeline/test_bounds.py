"""Nothing runs ahead of its reader by more than a window, nor takes more than its budget."""

from __future__ import annotations

import itertools
import threading

import pytest

import poolwise
from poolwise.pipeline.flow import LEAST_WINDOW
from tests.conftest import wait_until
from tests.pipeline import tasks


def counted(read):
    for x in itertools.count():
        read.append(x)
        yield x


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("kind", ["thread", "process", "inline"])
def test_a_slow_consumer_slows_the_source(kind, ordered):
    read = []
    pipe = poolwise.pipe(counted(read), window=4, cpus=2, ordered=ordered)
    results = iter(pipe.map(tasks.double, kind=kind).map(tasks.add_one, kind=kind))
    for _ in range(10):
        next(results)
    run = pipe_run(results)
    wait_until(lambda: is_still(run))
    assert len(read) <= 10 + 4 * 4 + 4  # windows, and what was read at once
    results.close()


def pipe_run(results):
    return results._run


def is_still(run):
    with run:
        return len(run.flow.outlet.waiting) >= run.flow.window


def test_one_to_many_is_made_no_further_ahead():
    made = []

    def many(_):
        yield from counted(made)

    results = iter(poolwise.pipe([1], window=4).flat_map(many, kind="thread"))
    assert [next(results) for _ in range(20)] == list(range(20))
    wait_until(lambda: is_still(pipe_run(results)))
    assert len(made) <= 20 + 4 + 4
    results.close()


def test_batches_larger_than_the_window():
    assert list(map(len, poolwise.pipe(range(100), window=2).batch(50))) == [50, 50]


@pytest.mark.parametrize("ordered", [True, False])
def test_bytes_between_stages_stay_within_the_budget(ordered):
    item = 100_000
    budget = 5 * item
    pipe = poolwise.pipe(range(200), max_bytes=budget, ordered=ordered)
    pipe = pipe.map(lambda _: bytes(item), kind="thread", workers=4)
    pipe = pipe.map(bytes.upper, kind="thread", workers=2)
    assert sum(map(len, pipe)) == 200 * item
    stages = 3
    assert pipe.report().peak_bytes <= budget + stages * (item + 200)


def test_items_larger_than_the_budget_go_on_one_by_one():
    pipe = poolwise.pipe(range(5), max_bytes=10).map(lambda _: bytes(1000), kind="thread")
    assert sum(map(len, pipe.batch(3).unbatch())) == 5000


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_no_more_workers_than_asked_for(kind):
    running, most, lock = [], [], threading.Lock()

    def watch(x):
        with lock:
            running.append(x)
            most.append(len(running))
        with lock:
            running.remove(x)
        return x

    pipe = poolwise.pipe(range(60), cpus=2)
    if kind == "thread":
        pipe.map(watch, kind="thread", workers=3).run()
        assert max(most) <= 3
    else:
        found = pipe.map(tasks.pid_of, kind="process", workers=1).run()
        assert len(found) == 60


def test_as_many_workers_as_asked_for():
    together = threading.Barrier(6)
    poolwise.pipe(range(6)).map(lambda _: together.wait(60), kind="thread", workers=6).run()


def test_ordered_results_wait_for_the_slowest_but_no_longer_than_the_window():
    release = threading.Event()
    begun = []

    def first_waits(x):
        begun.append(x)
        if x == 0:
            release.wait(60)
        return x

    results = iter(poolwise.pipe(range(100), window=5).map(first_waits, kind="thread", workers=3))
    wait_until(lambda: len(begun) >= 5)
    assert len(begun) == 5
    release.set()
    assert list(results) == list(range(100))


def test_unordered_results_do_not_wait():
    release = threading.Event()

    def first_waits(x):
        if x == 0:
            release.wait(60)
        return x

    pipe = poolwise.pipe(range(20), ordered=False, window=4)
    results = iter(pipe.map(first_waits, kind="thread", workers=2))
    assert sorted(next(results) for _ in range(19)) == list(range(1, 20))
    release.set()
    assert list(results) == [0]


def test_the_least_window_lets_two_workers_work():
    assert LEAST_WINDOW >= 2
