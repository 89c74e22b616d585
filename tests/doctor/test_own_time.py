"""What pools and batches do around a short function is not the function's time."""

from __future__ import annotations

import pytest

from poolwise.doctor.gather import own_time, sites
from poolwise.doctor.gather.account import account
from poolwise.doctor.records.run import ItemTimes, Run
from tests.doctor.test_account import T0, make_pool, make_task, make_worker

INSIDE = 5
"""The step of a task that is its function."""


def settle(pool, items=()):
    run = Run({"began_ns": 0}, {})
    for each in items:
        run.items[each.pid, each.job, each.position].append(each)
    found = account(pool)
    settled = own_time.settle(run, pool, found, sites.Messages.of(pool))
    assert sum(settled.states.values()) == pytest.approx(sum(found.states.values()))
    return settled.states


def one_by_one(*inside_ns, cpu_ns=None, kind="multiprocessing.Pool"):
    """A worker that ran tasks of one item each; the function and its frame took so long."""
    tasks, at = [], T0
    for number, ran in enumerate(inside_ns, 1):
        steps = [0] * 10
        steps[INSIDE] = ran
        cpu = ran if cpu_ns is None else cpu_ns
        tasks.append(make_task(1, number, at, steps, cpu=min(cpu, ran), queued=0, position=number))
        at = tasks[-1].sent
    pool = make_pool([make_worker(1, tasks)], kind=kind)
    pool.sites[0] = {"api": "map"}
    return pool


def test_the_frame_around_a_tiny_function_is_the_pool_s() -> None:
    states = settle(one_by_one(*[1_600] * 50))
    assert states["run_cpu"] == pytest.approx(50 * 1_000)
    assert states["loop"] == pytest.approx(50 * 600)


def test_what_interrupted_a_tiny_function_is_not_its_work() -> None:
    """One of them lost its CPU for 4 ms, which the kernel did not count."""
    states = settle(one_by_one(*[1_600] * 49, 4_000_000, cpu_ns=1_600))
    assert states["run_cpu"] + states["run_blocked"] == pytest.approx(50 * 1_000)
    assert states["run_queued"] > 3_900_000


def test_long_functions_and_few_long_ones_among_short_ones_stay_as_they_are() -> None:
    for pool in (one_by_one(*[2_000_000] * 20), one_by_one(*[1_600] * 49, 4_000_000)):
        before = account(pool).states
        assert settle(pool)["run_cpu"] == before["run_cpu"]


def test_of_functions_that_differ_the_median_is_taken() -> None:
    states = settle(one_by_one(*[2_600, 10_600, 20_600] * 20))
    assert states["run_cpu"] == pytest.approx(60 * 10_000)


def test_what_joblib_does_around_a_call_is_not_the_call() -> None:
    """A batch takes 20 us, the call in it 3 us, of which the mark is a part."""
    pool = one_by_one(*[20_000] * 50, kind="loky")
    pool.sites[0] = {"api": "__call__"}
    marks = [ItemTimes(1, 1, at, 0, 1, 1, (3_000 + own_time.MARK_NS,)) for at in range(1, 51)]
    states = settle(pool, marks)
    assert states["run_cpu"] == pytest.approx(50 * 3_000)


@pytest.mark.parametrize(("ran", "own"), [(4_000, 1_000), (90_000, 90_000)])
def test_of_threads_only_the_tiniest_tasks_are_settled(ran, own) -> None:
    """Those of 90 us may have waited for the interpreter's lock, which is for a rule to judge."""
    pool = one_by_one(*[ran] * 50, kind="ThreadPoolExecutor")
    assert settle(pool)["run_cpu"] == pytest.approx(50 * own)


def test_hand_made_workers_are_left_alone() -> None:
    pool = one_by_one(*[1_600] * 50, kind="hand-made")
    assert settle(pool)["run_cpu"] == pytest.approx(50 * 1_600)
