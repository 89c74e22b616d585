"""A walk through a pool's doors, for each engine that runs elsewhere."""

from __future__ import annotations

import os
import signal
from functools import partial

import pytest

import poolwise
from tests.engines.test_pools import add, double, end, fail_at_seven, length, nap, pid_of


def check_every_way_of_calling(pool, name):
    assert (pool._processes, pool.backend.name) == (2, name)
    assert pool.map(double, range(500)) == [2 * n for n in range(500)]
    assert list(pool.imap(double, iter(range(100)))) == [2 * n for n in range(100)]
    assert sorted(pool.imap_unordered(double, range(50))) == [2 * n for n in range(50)]
    assert pool.starmap(add, [(1, 2), (3, 4)]) == [3, 7]
    assert pool.apply_async(add, (1,), {"b": 5}).get() == 6
    assert os.getpid() not in pool.map(pid_of, range(20))
    assert pool.statistics()["chunks"] < 200
    with pytest.raises(LookupError, match="seven"):
        pool.map(fail_at_seven, range(20))


def check_task_that_ends_its_worker(pool):
    results = pool.imap(end, range(20))
    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(poolwise.WorkerDied, match="while it ran item 7 of end"):
        next(results)
    assert list(results) == list(range(8, 20))


def check_killed_worker(pool):
    results = pool.imap_unordered(nap, [0.02] * 100, retries=3)
    got = [next(results) for _ in range(10)]
    os.kill(pool.apply(pid_of, (0,)), signal.SIGKILL)
    assert got + list(results) == [0.02] * 100


def check_large_array(pool, array):
    assert pool.map(partial(length, array), range(60)) == [len(array) + n for n in range(60)]
    values = pool.starmap(length, [(array, n) for n in range(60)])
    assert values == [len(array) + n for n in range(60)]
