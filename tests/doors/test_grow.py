"""A pool that is given more workers while it runs."""

from __future__ import annotations

import threading

import pytest

import poolwise


def meet(barrier):
    """Comes back once so many are here at the same time."""
    return barrier.wait(60) >= 0


@pytest.mark.parametrize("backend", ["threads", "serial", "processes"])
def test_more_workers(backend):
    with poolwise.Pool(1, backend=backend) as pool:
        assert pool.map(abs, [-1]) == [1]
        pool.grow(3)
        pool.grow(2)  # fewer there never are
        assert pool.statistics()["workers"] == (1 if backend == "serial" else 3)
        assert pool.map(abs, range(-50, 0)) == list(range(50, 0, -1))


def test_a_call_that_runs_makes_use_of_them():
    barrier = threading.Barrier(4)
    with poolwise.Pool(1, backend="threads") as pool:
        result = pool.map_async(meet, [barrier] * 4, 1)
        pool.grow(4)
        assert result.get(60) == [True] * 4


def test_what_cannot_grow_says_so():
    with poolwise.Pool(1, backend="threads") as pool:
        with pytest.raises(ValueError, match="at least 1"):
            pool.grow(0)
        pool.close()
        with pytest.raises(ValueError, match="not running"):
            pool.grow(2)


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_the_report_knows_of_them(backend):
    with poolwise.Pool(1, backend=backend) as pool:
        pool.map(abs, range(10))
        pool.grow(3)
        pool.map(abs, range(10))
        report = pool.report()
    assert report.workers == 3
    assert len(report.lanes) == 3
    assert "3 workers" in str(report)
