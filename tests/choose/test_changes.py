"""Changes of mind: what was handed out is read, and nothing runs twice."""

from __future__ import annotations

import itertools
import time

import pytest

import poolwise
from poolwise.choose import outside, pools
from poolwise.choose.intake import Intake, Listed
from poolwise.choose.measure import Meter
from poolwise.choose.model import Measured, Prediction
from poolwise.choose.run import Run
from poolwise.choose.stretch import Stretch
from poolwise.system import budget
from poolwise.wire.cost import Sending
from tests.choose import work


@pytest.fixture(autouse=True, scope="module")
def _end_workers():
    yield
    pools.end_all()


def begin_with(monkeypatch, kind):
    """Calls begin this way, whatever is measured."""
    way = Prediction(kind, 2, 1.0)

    def begin(run):
        measured = Measured(1, 1.0, 1.0, 1.0, 0.0, 0.0)
        run._start_clocks()
        run._begin_pending((way, measured, 1, run._machine(1), []))

    monkeypatch.setattr(Run, "begin", begin)


def read_until(values, kinds):
    """Results of endless items, until the call has been through these kinds, and some more."""
    results, until = [], time.monotonic() + 120
    while [change.after for change in values.plan.changes] != kinds:
        results.append(next(values))
        assert time.monotonic() < until, values.plan.changes
    return results + list(itertools.islice(values, 50))


def check_each_once(function, results):
    assert results == [2 * x for x in range(len(results))]
    calls = function.read()
    assert len(calls) == len(set(calls))
    assert set(calls) >= set(range(len(results)))


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_pool_that_does_not_pay_is_left(monkeypatch, tmp_path, kind):
    begin_with(monkeypatch, kind)
    tiny = Measured(100, 1e-7, 1e-7, 1e-7, 1e-3, 1.0)
    monkeypatch.setattr(Stretch, "review", lambda _: tiny)
    function = work.Written(tmp_path / "calls", work.double)
    with poolwise.imap(function, itertools.count()) as values:
        results = read_until(values, [kind, "serial"])
    check_each_once(function, results)


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_list_is_whole_whenever_a_pool_is_left(monkeypatch, tmp_path, kind):
    begin_with(monkeypatch, kind)
    tiny = Measured(100, 1e-7, 1e-7, 1e-7, 1e-3, 1.0)
    monkeypatch.setattr(Stretch, "review", lambda _: tiny)
    function = work.Written(tmp_path / "calls", work.double)
    values = poolwise.map(function, iter(range(10_000)))
    assert len(values) == values.plan.runs == 10_000
    check_each_once(function, values)


def test_threads_that_wait_for_the_lock_are_left_for_processes(monkeypatch, tmp_path):
    begin_with(monkeypatch, "threads")
    reviews = [*[Measured(100, 0.01, 0.01, 0.01, None, 1.0)] * 2, *[None] * 300]
    monkeypatch.setattr(Stretch, "review", lambda _: reviews.pop() if reviews else None)
    monkeypatch.setattr(budget, "share", lambda: 4)
    function = work.Written(tmp_path / "calls", work.double)
    with poolwise.imap(function, itertools.count()) as values:
        results = read_until(values, ["threads", "processes"])
    check_each_once(function, results)


def test_one_bad_review_changes_nothing(monkeypatch):
    begin_with(monkeypatch, "threads")
    reviews = [Measured(100, 1e-7, 1e-7, 1e-7, 1e-3, 1.0)]
    monkeypatch.setattr(Stretch, "review", lambda _: reviews.pop() if reviews else None)
    assert len(poolwise.map(work.double, iter(range(500))).plan.changes) == 1


# -- reading items


def test_a_block_that_is_cut_goes_on_where_it_was():
    intake = Listed(list(range(10)))
    seen = []
    for x in intake.block(8):
        seen.append(x)
        if x == 3:
            intake.cut()
    assert seen == [0, 1, 2, 3]
    assert intake.due() == 0
    intake.took(len(seen), 8)
    assert not intake.is_ended
    assert list(intake.block(100)) == [4, 5, 6, 7, 8, 9]
    intake.took(6, 100)
    assert intake.is_ended


def test_a_list_that_grows_is_read_to_its_end():
    items = [1, 2, 3]

    def grow(x):
        if len(items) < 6:
            items.append(10 * x)
        return x

    assert poolwise.map(grow, items) == [1, 2, 3, 10, 20, 30]


def test_what_is_handed_out_ends_when_told_and_the_rest_is_left():
    intake = Intake(iter(range(5)))
    handed = intake.hand_out()
    assert [next(handed), next(handed)] == [0, 1]
    intake.stop()
    assert list(handed) == []
    assert list(intake.under_way) == [0, 1]
    assert intake.next() == 2
    assert not intake.is_ended


# -- measuring


def test_a_slow_first_item_is_left_out():
    meter = Meter()
    meter.add(1, (0, 0, 0, 0), (10**9, 10**9, 10**9, 0))
    assert meter.measured().wall_s == pytest.approx(1.0)
    meter.add(1, (0, 0, 0, 0), (10**6, 10**6, 10**6, 0))
    assert meter.measured().wall_s == pytest.approx(0.001)


def test_waiting_for_a_cpu_is_not_waiting():
    meter = Meter()
    meter.add(1, (0, 0, 0, 0), (10**9, 10**8, 10**8, 9 * 10**8))
    measured = meter.measured()
    assert measured.waiting == pytest.approx(0.0)
    assert measured.wall_s == pytest.approx(0.1)


def test_who_holds_the_lock_does_not_wait():
    meter = Meter()
    meter.gil = 1.0
    meter.add(1, (0, 0, 0, 0), (10**9, 10**8, 10**8, 0))
    assert meter.measured().waiting == pytest.approx(0.0)


def test_sending_is_counted_with_its_buffers():
    import numpy as np

    sending = Sending()
    sending.sample(np.zeros(10_000_000), None)
    assert sending.send_s > 0
    assert sending.refused is None
    sending.sample(lambda: None, None)
    assert sending.refused


# -- outside of a function

LIMIT = [1]


def reads(x):
    return helper(x) + LIMIT[0]


def helper(x):
    return x + len(work.SETTING)


def test_what_a_function_reads():
    found = outside.read_outside(reads)
    assert found == {(__name__, "LIMIT"): [1]}
    small, large = outside.part({("m", "small"): 1, ("m", "large"): bytes(1 << 21)})
    assert list(small) == [("m", "small")]
    assert list(large) == [("m", "large")]


def test_what_changed_is_named():
    before = outside.digest(reads)
    LIMIT.append(2)
    try:
        assert outside.changed_between(before, outside.digest(reads)) == "LIMIT"
    finally:
        LIMIT.pop()
    assert outside.changed_between(before, outside.digest(reads)) is None


def test_a_worker_keeps_what_is_equal():
    kept = LIMIT
    small, _ = outside.part({(__name__, "LIMIT"): [1]})
    outside._unpack(reads, small)
    assert LIMIT is kept
