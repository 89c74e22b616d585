"""For each entry of the ledger a workload that is made of it: its ledger must say so.

What other programs on the machine cause (no CPU free, slow wake-ups, slow forks) is left out of
the comparison, so that the tests hold beside any load.
"""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import poolwise
from poolwise.account.states import IDLE_CAUSES, PARENT_ENTRIES, WORKER_ENTRIES

WORKERS = 2
THE_MACHINE = {
    "run_queued", "cpu_not_granted", "hand_over", "start", "import", "exit", "no_job", "wait",
    "in_flight",
}  # fmt: skip
MOST_UNEXPLAINED = 0.03


def largest(report, *, including=()):
    """The entry, or the cause of idleness, that took most worker time."""
    everything = {**report.worker_account, **report.idle}
    left_out = THE_MACHINE - set(including)
    return max(everything.keys() - left_out, key=everything.__getitem__)


def largest_of_parent(report):
    busy = {name: s for name, s in report.parent.items() if name not in {"wait", "no_job"}}
    return max(busy, key=busy.__getitem__)


def assert_closes(report):
    """Every second has a name, and only one."""
    for lane in report.lanes:
        assert sum(lane.account.values()) == pytest.approx(lane.life_s, abs=1e-6)
        assert abs(lane.account.get("unexplained", 0.0)) <= MOST_UNEXPLAINED * lane.life_s
        assert lane.account.keys() <= set(WORKER_ENTRIES)
        assert min(lane.account.values()) > -1e-3
        idle = sum(lane.account.get(name, 0.0) for name in ("wait", "tail", "no_job"))
        assert sum(lane.idle.values()) == pytest.approx(idle, abs=1e-6)
    assert report.idle.keys() <= set(IDLE_CAUSES)
    assert report.parent.keys() <= set(PARENT_ENTRIES)
    assert sum(report.parent.values()) == pytest.approx(report.wall_s, abs=1e-6)
    assert abs(report.parent["unexplained"]) <= MOST_UNEXPLAINED * report.wall_s


def run(function, items, **options):
    """The report of one map, after the pool was closed in good order."""
    with poolwise.Pool(WORKERS, context="fork", **options) as pool:
        pool.map(function, items, 1)
        pool.close()
        pool.join()
    report = pool.report()
    assert_closes(report)
    return report


# -- what the workloads are made of


class SlowToPickle:
    def __reduce__(self):
        time.sleep(0.005)
        return int, (1,)


def _slowly_one():
    time.sleep(0.005)
    return 1


class SlowToUnpickle:
    def __reduce__(self):
        return _slowly_one, ()


def give_back(item):
    return item


class SlowToClearAway:
    def __del__(self):
        time.sleep(0.005)


def make_slow_to_pickle(_):
    return SlowToPickle()


def make_slow_to_unpickle(_):
    return SlowToUnpickle()


def sleep(seconds):
    time.sleep(seconds)


def compute(cpu_s):
    until_s = time.thread_time() + cpu_s
    while time.thread_time() < until_s:
        pass


def slow_items(count):
    for _ in range(count):
        time.sleep(0.005)
        yield 0.0


def _slowly(buffer):
    time.sleep(0.005)
    return len(buffer)


class SlowAndLarge:
    """Travels beside the pickle, and is loaded when its turn comes."""

    def __reduce_ex__(self, protocol):
        return _slowly, (pickle.PickleBuffer(bytes(1 << 17)),)


# -- the tests


def test_slow_pickling_of_arguments():
    report = run(give_back, [SlowToPickle() for _ in range(50)])
    assert largest(report) == "parent_pickle"
    assert largest_of_parent(report) == "pickle"


def test_slow_unpickling_of_arguments():
    report = run(give_back, [SlowToUnpickle() for _ in range(80)])
    assert largest(report) == "unpickle"


def test_slow_unpickling_of_arguments_one_by_one():
    with poolwise.Pool(WORKERS, context="fork") as pool:
        pool.map(give_back, [SlowAndLarge() for _ in range(40)], 4)
        report = pool.report()
    assert_closes(report)
    assert report.worker_account["unpickle"] > 0.15
    assert largest(report) == "unpickle"


def count_one(_):
    return 1


def count_two(*_):
    return 2


def test_arguments_that_are_slow_to_clear_away():
    """Of a list of a million floats that is a third of what it costs to rebuild it."""
    items = [SlowToClearAway() for _ in range(80)]
    report = run(count_one, items)
    assert largest(report) == "unpickle"


def test_the_same_table_with_each_task_was_sent_before():
    table = [0.5 * at for at in range(50_000)]
    with poolwise.Pool(WORKERS, context="fork") as pool:
        pool.starmap(count_two, [(table, at) for at in range(30)], 1)
        report = pool.report()
    assert report.repeated_bytes == pytest.approx(report.bytes_out - 9 * len(table), rel=0.01)
    assert report.functions[0].repeated_bytes == report.repeated_bytes


def test_a_ledger_that_is_off_has_not_looked():
    with poolwise.Pool(WORKERS, context="fork", ledger="off") as pool:
        pool.map(count_one, range(3))
        assert pool.report().repeated_bytes is None


def test_slow_pickling_of_results():
    report = run(make_slow_to_pickle, range(80))
    assert largest(report) == "pickle"


def test_slow_unpickling_of_results():
    report = run(make_slow_to_unpickle, range(60))
    assert largest(report) == "parent_unpickle"
    assert largest_of_parent(report) == "unpickle"


def test_sleeping():
    report = run(sleep, [0.01] * 50)
    assert largest(report) == "run_blocked"


def test_computing():
    report = run(compute, [0.005] * 50)
    assert largest(report) == "run_cpu"
    assert report.worker_account["run_cpu"] == pytest.approx(0.25, rel=0.2)


def test_a_heavy_tail():
    report = run(sleep, [0.01] * 8 + [0.5])
    account = report.worker_account
    assert largest(report) in {"tail", "run_blocked"}  # the other worker sleeps as long
    assert account["tail"] > 0.5 * account["run_blocked"]
    assert account["tail"] > 10 * (account["wait"] - report.idle.get("cpu_not_granted", 0.0)) / 2
    assert report.slowest[0].item == 8
    assert report.slowest[0].run_s == pytest.approx(0.5, rel=0.5)


def test_a_slow_input_read_by_the_caller():
    report = run(sleep, slow_items(60))
    assert largest(report) == "input_slow"
    assert largest_of_parent(report) == "produce"


def test_a_slow_input_read_by_a_thread():
    with poolwise.Pool(WORKERS, context="fork") as pool:
        list(pool.imap(sleep, slow_items(60)))
        report = pool.report()
    assert_closes(report)
    assert largest(report) == "input_slow"


def test_a_slow_consumer():
    with poolwise.Pool(WORKERS, context="fork") as pool:
        for _ in pool.imap(give_back, range(40), 1, buffersize=4):
            time.sleep(0.01)
        report = pool.report()
    assert_closes(report)
    slow = report.idle.get("consumer_slow", 0.0) + report.idle.get("parent_user_code", 0.0)
    assert slow > 0.5 * (report.worker_account["wait"] - report.idle.get("cpu_not_granted", 0.0))
    assert largest_of_parent(report) == "user_code"


def test_a_slow_initializer():
    report = run(give_back, range(4), initializer=sleep, initargs=(0.3,))
    assert largest(report) == "init"
    assert report.worker_account["init"] >= 0.6


@pytest.mark.slow
def test_fresh_interpreters():
    # The initializer makes this module be imported before the worker is ready.
    with poolwise.Pool(WORKERS, sleep, (0.0,), context="spawn") as pool:
        pool.map(give_back, range(10))
        pool.close()
        pool.join()
    report = pool.report()
    assert_closes(report)
    assert largest(report, including=["start", "import"]) == "import"


def test_nothing_to_do():
    with poolwise.Pool(WORKERS, context="fork") as pool:
        pool.map(give_back, range(4))
        time.sleep(0.3)
        report = pool.report()
    assert_closes(report)
    assert largest(report, including=["no_job"]) == "no_job"
    assert report.parent["no_job"] > 0.25
    assert report.open_s < report.wall_s - 0.25


@pytest.mark.parametrize("backend", ["threads", "serial"])
def test_lanes_that_are_no_processes(backend):
    with poolwise.Pool(WORKERS, backend=backend) as pool:
        pool.map(sleep, [0.01] * 20)
        report = pool.report()
    assert_closes(report)
    assert largest(report) == "run_blocked"


# -- CPU time that is not granted


@pytest.fixture
def small_quota():
    """A control group that may use a tenth of one CPU."""
    group = Path("/sys/fs/cgroup/cpu") / f"poolwise-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        (group / "cpu.cfs_period_us").write_text("20000")
        (group / "cpu.cfs_quota_us").write_text("2000")
        yield group
    except OSError as error:
        pytest.skip(f"no CPU quota can be set here: {error}")
    finally:
        until = time.monotonic() + 2
        while group.exists() and time.monotonic() < until:
            try:
                group.rmdir()
            except OSError:
                time.sleep(0.02)  # the last worker has only just left it


def enter(group):
    (group / "cgroup.procs").write_text(str(os.getpid()))


def test_a_cpu_quota(small_quota):
    report = run(compute, [0.005] * 12, initializer=enter, initargs=(small_quota,))
    assert largest(report, including=["run_queued"]) == "run_queued"


# -- the identity, whatever is run


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    costs_ms=st.lists(st.integers(0, 8), min_size=1, max_size=40),
    chunksize=st.none() | st.integers(1, 7),
    level=st.sampled_from(["chunks", "items"]),
    most_tasks=st.none() | st.integers(1, 5),
    pause_ms=st.integers(0, 20),
)
def test_whatever_is_run_every_second_has_a_name(costs_ms, chunksize, level, most_tasks, pause_ms):
    with poolwise.Pool(WORKERS, context="fork", ledger=level, maxtasksperchild=most_tasks) as pool:
        pool.map(sleep, [cost / 1e3 for cost in costs_ms], chunksize)
        time.sleep(pause_ms / 1e3)
        pool.apply(sleep, (0.001,))
        assert_closes(pool.report())
        pool.close()
        pool.join()
    report = pool.report()
    assert_closes(report)
    assert report.items == len(costs_ms) + 1
    assert report.task_times.count == report.items
    assert sum(each.items for each in report.functions) == report.items
    slept_s = sum(costs_ms) / 1e3 + 0.001
    ran_s = sum(report.worker_account[name] for name in ("run_cpu", "run_blocked", "run_queued"))
    assert ran_s >= slept_s
