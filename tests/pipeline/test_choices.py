"""Kinds and widths: chosen by what was measured, and the reasons are kept."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from types import SimpleNamespace

import pytest

import poolwise
from poolwise.doors.functions import name_of_written
from poolwise.pipeline import measure, threads, tuner
from poolwise.pipeline.measure import Gauge
from poolwise.pipeline.steps import in_worker
from poolwise.pipeline.tuner import Width
from tests.conftest import wait_until
from tests.pipeline import tasks

MS = 1_000_000


class Made(Gauge):
    """A gauge that reads what a test has made up: wall, CPU and waiting for a CPU, of each item."""

    wall = cpu = queued = others = 0
    sent = 60_000

    def end(self, given, value, held_ns=0):
        self.items += 1
        self.wall_ns += self.wall
        self.cpu_ns += self.cpu
        self.blocked_ns += self.wall - self.cpu - self.queued
        self.idle_ns += max(0, self.wall - self.cpu - self.queued - self.others)
        self.send_ns = self.sent

    @property
    def measured(self):
        return max(1, self.items)


def gauged(monkeypatch, **numbers):
    monkeypatch.setattr(tuner, "Gauge", type("Gauge", (Made,), numbers))


def run(*functions, cpus=2, **options):
    pipe = poolwise.pipe(range(60), cpus=cpus)
    for function in functions:
        pipe = pipe.map(function, **options)
    found = pipe.run()
    return pipe, found


def chosen(pipe):
    return {each.stage: (each.what, each.why) for each in pipe.report().choices}


def test_what_waits_gets_threads(monkeypatch):
    gauged(monkeypatch, wall=50 * MS, cpu=1 * MS)
    pipe, found = run(tasks.double)
    assert found == [2 * x for x in range(60)]
    what, why = chosen(pipe)["double"]
    assert what.startswith("thread")
    assert "98%" in why


def test_waiting_for_a_cpu_is_not_waiting(monkeypatch):
    gauged(monkeypatch, wall=50 * MS, cpu=10 * MS, queued=40 * MS)
    pipe, _ = run(tasks.double)
    assert chosen(pipe)["double"][0] == "process, 2 workers"


def test_waiting_for_the_gil_is_not_waiting_either(monkeypatch):
    gauged(monkeypatch, wall=50 * MS, cpu=15 * MS, others=34 * MS)
    pipe, _ = run(tasks.double)
    assert chosen(pipe)["double"][0] == "process, 2 workers"


def test_what_hardly_works_waits_whoever_works_beside_it(monkeypatch):
    gauged(monkeypatch, wall=50 * MS, cpu=1 * MS, others=49 * MS)
    pipe, _ = run(tasks.double)
    assert chosen(pipe)["double"][0].startswith("thread")


def test_a_stage_of_threads_that_turns_out_to_work_is_moved(monkeypatch):
    """Its first items seemed to wait; the GIL is full, and most of that is this stage's."""
    gauged(monkeypatch, wall=50 * MS, cpu=1 * MS, others=49 * MS)
    moved = threading.Event()

    def work(x):
        if x > 5 and in_worker.is_true:
            return x
        until = time.thread_time() + 0.002
        while time.thread_time() < until:
            pass
        return x

    pipe = poolwise.pipe(itertools.count(), cpus=2, ordered=False).map(work, name="work")
    with iter(pipe) as results:
        for _ in results:
            if any("process" in each.what for each in pipe.report().choices):
                moved.set()
                break
    assert moved.is_set()


def test_work_gets_processes_and_neighbours_share_a_visit(monkeypatch):
    gauged(monkeypatch, wall=50 * MS, cpu=50 * MS)
    pipe, found = run(tasks.double, tasks.add_one)
    assert found == [2 * x + 1 for x in range(60)]
    first, second = pipe._last.flow.stages[1:3]
    assert second.host is first
    assert "holds the GIL" in " ".join(each.why for each in pipe.report().choices)


def test_neighbours_with_limits_of_their_own_do_not_share_a_visit(monkeypatch):
    gauged(monkeypatch, wall=50 * MS, cpu=50 * MS)
    pipe, found = run(tasks.double, functools.partial(tasks.add_one), timeout=60)
    assert found == [2 * x + 1 for x in range(60)]
    assert [stage.host for stage in pipe._last.flow.stages[1:3]] == [None, None]


def test_tiny_work_rides_with_the_stage_before(monkeypatch):
    gauged(monkeypatch, wall=1000, cpu=1000)
    pipe, found = run(tasks.double, tasks.add_one)
    assert found == [2 * x + 1 for x in range(60)]
    assert chosen(pipe)["double"][0] == "inline, with source"


@pytest.mark.parametrize(
    ("function", "numbers", "cpus", "reason"),
    [
        (tasks.double, {"sent": 90 * MS}, 2, "sending it costs"),
        (tasks.double, {"wall": 50_000, "cpu": 50_000, "sent": 0}, 2, "sending it costs"),
        (tasks.double, {"sent": 1 << 62}, 2, "cannot be pickled"),
        (tasks.double, {}, 1, "one CPU"),
    ],
)
def test_work_that_processes_cannot_help_stays_and_says_why(
    monkeypatch, function, numbers, cpus, reason
):
    gauged(monkeypatch, **{"wall": 50 * MS, "cpu": 50 * MS, **numbers})
    pipe, _ = run(function, cpus=cpus)
    what, why = chosen(pipe)["double"]
    assert what == "thread, 1 worker"
    assert reason in why


def test_a_function_that_writes_elsewhere_stays(monkeypatch):
    gauged(monkeypatch, wall=50 * MS, cpu=50 * MS)
    total = 0

    def add(x):
        nonlocal total
        total += x
        return x

    pipe, _ = run(add)
    assert total == sum(range(60))
    assert "assigns 'total'" in next(iter(chosen(pipe).values()))[1]


def test_a_function_with_a_lock_stays(monkeypatch):
    gauged(monkeypatch, wall=50 * MS, cpu=50 * MS)
    lock = threading.Lock()

    def locked(x):
        with lock:
            return x

    pipe, found = run(locked)
    assert found == list(range(60))
    assert "cannot be pickled" in next(iter(chosen(pipe).values()))[1]


def test_each_item_is_worked_on_once_while_kinds_change(monkeypatch):
    gauged(monkeypatch, wall=50 * MS, cpu=50 * MS)
    for ordered in (True, False):
        pipe = poolwise.pipe(range(3000), cpus=2, ordered=ordered)
        pipe = pipe.map(tasks.double).filter(tasks.is_even).flat_map(tasks.twice).map(tasks.add_one)
        assert sorted(pipe.run()) == [2 * x + 1 for x in range(3000) for _ in range(2)]


# -- the gauge itself


def test_waiting_for_the_reader_is_no_part_of_an_item(monkeypatch):
    now = [1]
    clock = SimpleNamespace(
        perf_counter_ns=lambda: now[0], thread_time_ns=lambda: 0, monotonic=time.monotonic
    )
    monkeypatch.setattr(threads, "time", clock)
    pipe = poolwise.pipe([0], window=1).flat_map(lambda _: range(3), kind="thread")
    results = iter(pipe)
    next(results)
    wait_until(lambda: results._run.flow.stages[1].executor.emitting)
    now[0] += 1000 * MS
    assert list(results) == [1, 2]
    assert results._run is None
    assert pipe.latest().flow.stages[1].counts.busy_ns == 0


def test_the_first_item_is_left_out(monkeypatch):
    clocks = iter(
        [
            (0, 0, 0, 0), (900 * MS, 800 * MS, 0, 0),
            (900 * MS, 800 * MS, 0, 0), (910 * MS, 801 * MS, 0, 2 * MS),
        ]
    )  # fmt: skip
    monkeypatch.setattr(measure, "read_clocks", lambda _: next(clocks))
    monkeypatch.setattr(measure, "Look", lambda _: None)
    gauge = Gauge()
    for _ in range(2):
        gauge.begin()
        gauge.end(1, 1)
    assert (gauge.items, gauge.item_ns, gauge.item_cpu_ns) == (2, 10 * MS, 1 * MS)
    assert gauge.blocked_share == pytest.approx(7 / 8)


def test_sleep_is_waiting_and_a_loop_is_not():
    gauge = Gauge()
    for _ in range(2):
        gauge.begin()
        time.sleep(0.05)
        gauge.end(1, 1)
    assert gauge.blocked_share > 0.5
    gauge = Gauge()
    for _ in range(2):
        gauge.begin()
        until = time.thread_time() + 0.003
        while time.thread_time() < until:
            pass
        gauge.end(1, 1)
    assert gauge.item_cpu_ns >= 3 * MS


def test_a_look_at_the_lock_ends_with_the_gauge():
    gauge = Gauge()
    gauge.begin()
    gauge.look = measure.Look(gauge)
    gauge.close()
    gauge.look.join()
    assert gauge.look.held is None


def test_writes_are_found():
    names = {"x": 1}
    exec("def write(_):\n    global found\n    found = 1", names)
    assert name_of_written(names["write"]) == "found"
    assert name_of_written(functools.partial(names["write"])) == "found"
    assert name_of_written(tasks.double) is None
    assert name_of_written(len) is None


# -- widths


def stage(width, done, *, waiting=True, mean_ns=50 * MS):
    return SimpleNamespace(
        width=width,
        running=width,
        waiting=[1] if waiting else [],
        counts=SimpleNamespace(done=done, mean_ns=mean_ns),
        has_window=lambda: True,
    )


def test_a_stage_is_widened_while_its_rate_grows_and_then_held():
    width = Width(1, 64)
    assert width.look(stage(4, 0), 1, None) is None
    assert width.look(stage(4, 80), 1000 * MS, None)[0] == 8
    assert width.look(stage(8, 240), 2000 * MS, None)[0] == 16
    narrower, why = width.look(stage(16, 402), 3000 * MS, None)
    assert narrower == 8
    assert "less than 5 %" in why
    assert width.look(stage(8, 560), 4000 * MS, None) is None


def test_a_stage_that_nobody_waits_for_is_left():
    width = Width(1, 64)
    width.look(stage(4, 0), 1, None)
    assert width.look(stage(4, 80, waiting=False), 1000 * MS, None) is None


def test_littles_law_bounds_the_width():
    width = Width(1, 64)
    width.look(stage(4, 0), 1, None)
    assert width.look(stage(4, 80), 1000 * MS, 5)[0] == 5
    assert width.look(stage(5, 180), 2000 * MS, 5) is None


def test_after_drift_it_is_widened_again():
    width = Width(1, 64)
    width.look(stage(4, 0), 1, None)
    width.look(stage(4, 80), 1000 * MS, None)
    assert width.look(stage(8, 162), 2000 * MS, None)[0] == 4
    assert width.look(stage(4, 240), 3000 * MS, None) is None
    assert width.look(stage(4, 260), 4000 * MS, None)[0] == 8


def test_nothing_is_said_before_enough_was_seen():
    width = Width(1, 64)
    width.look(stage(4, 0), 1, None)
    assert width.look(stage(4, 3), 1000 * MS, None) is None
    assert width.look(stage(4, 80), 60 * MS, None) is None
