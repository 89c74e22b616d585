"""Predictions from made-up accounts: what must follow whatever the machine. Nothing is timed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from poolwise.account import whatif
from poolwise.account.ledger import Report
from poolwise.account.whatif import calibrate
from poolwise.system import figures
from poolwise.system.figures import Figures
from tests.core.made import make_report


@pytest.fixture(autouse=True)
def same_machine(monkeypatch):
    """Figures that are the same everywhere."""
    monkeypatch.setattr(figures, "_known", Figures({}))


def made(
    *,
    items=200,
    chunk=10,
    cpu_s=0.0,
    blocked_s=0.0,
    queued_s=0.0,
    workers=2,
    cpus=2,
    backend="processes",
    open_s=None,
):
    """A run of equal items, handed out to the workers in turn; no message costs anything."""
    base = make_report()
    span = base.spans[0]
    each_s = cpu_s + blocked_s + queued_s
    spans, free_s = [], [0.1] * workers
    for at, first in enumerate(range(0, items, chunk)):
        count = min(chunk, items - first)
        lane = at % workers
        begun_s, ended_s = free_s[lane], free_s[lane] + count * each_s
        free_s[lane] = ended_s
        spans.append(
            replace(
                span, lane=lane + 1, job=1, first=first, items=count, free_s=begun_s,
                arrived_s=begun_s, received_s=begun_s, begun_s=begun_s, ended_s=ended_s,
                pickled_s=ended_s, sent_s=ended_s, cpu_s=count * cpu_s, queued_s=count * queued_s,
                bytes_out=10, bytes_in=10,
            )
        )  # fmt: skip
    function = replace(
        base.functions[0], items=items, chunks=len(spans), run_s=items * each_s,
        cpu_s=items * cpu_s, queued_s=items * queued_s, bytes_out=10, bytes_in=10,
    )  # fmt: skip
    account = {
        "run_cpu": items * cpu_s, "run_blocked": items * blocked_s, "run_queued": items * queued_s
    }  # fmt: skip
    return replace(
        base, backend=backend, workers=workers, cpus=cpus, items=items, chunks=len(spans),
        spans=tuple(spans), functions=(function,), open_s=open_s or max(free_s) - 0.1,
        worker_account=account, idle={}, bytes_out=10, bytes_in=10,
        parent={"send": 1e-4, "receive": 1e-4, "decide": 1e-4, "pickle": 1e-4},
    )  # fmt: skip


def near(value):
    return pytest.approx(value, rel=0.05)


def test_a_run_predicts_itself():
    report = made(cpu_s=0.003)
    forecast = report.predict()
    assert forecast.seconds == near(report.open_s)
    assert forecast.now_s == report.open_s
    assert forecast.low_s < forecast.seconds < forecast.high_s
    assert calibrate(report).factor == near(1)


def test_items_that_compute_gain_nothing_from_more_workers_than_cpus():
    report = made(cpu_s=0.003)
    assert report.predict(workers=1).seconds == near(2 * report.open_s)
    assert report.predict(workers=8).seconds == near(report.open_s)


def test_items_that_wait_gain_from_each_worker():
    report = made(blocked_s=0.01)
    assert report.predict(workers=1).seconds == near(2 * report.open_s)
    assert report.predict(workers=8).seconds == pytest.approx(report.open_s / 4, rel=0.15)


def test_items_that_do_both_gain_until_the_cpus_are_busy():
    report = made(cpu_s=0.001, blocked_s=0.003)
    assert report.predict(workers=4).seconds == pytest.approx(report.open_s / 2, rel=0.25)
    assert report.predict(workers=64).seconds >= 0.95 * 200 * 0.001 / 2


def test_threads_share_one_cpu_and_wait_side_by_side():
    computing, waiting = made(cpu_s=0.003), made(blocked_s=0.01)
    forecast = computing.predict(kind="threads")
    assert forecast.seconds == near(2 * computing.open_s)
    assert "GIL" in str(forecast)
    assert waiting.predict(kind="threads", workers=16).seconds < waiting.open_s / 6


def test_a_plain_loop_is_all_the_work():
    forecast = made(cpu_s=0.003, blocked_s=0.001).predict(kind="serial", workers=7, chunksize=3)
    assert forecast.seconds == pytest.approx(0.8)
    assert (forecast.workers, forecast.chunksize) == (1, None)


def test_threads_that_hold_the_gil_say_little_of_processes():
    # two threads: each computes half of the time, and waits for the lock the other half
    report = made(cpu_s=0.002, blocked_s=0.002, backend="threads")
    assert report.predict(kind="processes").seconds == near(report.open_s / 2)
    assert report.predict(kind="processes").notes
    widths = [
        (each.high_s - each.low_s) / each.seconds
        for each in (report.predict(), report.predict(kind="processes"))
    ]
    assert widths[1] > widths[0] + 0.4


def test_single_calls_in_turn_gain_nothing_from_workers_or_chunks():
    report = made(cpu_s=0.003, chunk=1, workers=1)
    alternating = tuple(
        replace(span, lane=1 + at % 2, site=None) for at, span in enumerate(report.spans)
    )
    report = replace(report, spans=alternating, workers=2)
    assert report.predict(workers=8).seconds == near(report.open_s)
    assert report.predict(chunksize=50).seconds == near(report.open_s)
    assert "before it was done" in str(report.predict())


def test_other_programs_are_found_by_the_time_without_a_cpu():
    alone = calibrate(made(cpu_s=0.003))
    beside = calibrate(made(cpu_s=0.003, queued_s=0.003))
    assert alone.granted_cpus > 2
    assert beside.granted_cpus == near(1)
    assert beside.factor == near(1)
    for workers in (1, 4):
        assert beside.ask(workers=workers).seconds == near(beside.now_s)
    assert beside.ask(kind="threads").seconds == near(beside.now_s)
    crowded = calibrate(made(cpu_s=0.003, queued_s=0.021))
    assert crowded.granted_cpus == near(0.25)
    assert crowded.serial_s == near(crowded.now_s)
    widths = [model.ask().high_s / model.ask().seconds - 1 for model in (alone, beside, crowded)]
    assert widths[0] + 0.2 < widths[1]
    assert widths[1] + 0.1 < widths[2]


def test_what_the_model_cannot_explain_scales_and_widens():
    fitting, odd = made(cpu_s=0.003), made(cpu_s=0.003, open_s=0.5)
    half = [
        (each.high_s - each.low_s) / each.seconds for each in (fitting.predict(), odd.predict())
    ]
    assert odd.predict().seconds == near(0.5)
    assert half[1] > half[0] + 0.2


def test_a_long_item_at_the_end_is_in_no_chunk_before_it():
    base = made(cpu_s=0.001, chunk=1)
    last = base.spans[-1]
    spans = (*base.spans[:-1], replace(last, ended_s=last.begun_s + 0.3, cpu_s=0.3))
    function = replace(base.functions[0], cpu_s=0.499, run_s=0.499)
    report = replace(base, spans=spans, functions=(function,), open_s=0.4)
    assert report.predict(workers=64).seconds >= 0.29


def test_an_explicit_chunksize_is_kept_unless_another_is_asked_for():
    report = made(cpu_s=0.003, chunk=100)
    assert report.predict().chunksize == 100
    assert report.predict(chunksize="auto").chunksize is None
    assert report.predict(chunksize=7).chunksize == 7
    # three chunks of 100 items on two workers: one of them has two
    assert made(cpu_s=0.003, chunk=100, items=300).predict(chunksize=1).seconds == pytest.approx(
        0.45, rel=0.1
    )


def test_chunks_that_were_dropped_count_as_the_mean():
    report = made(cpu_s=0.003)
    shorter = replace(report, spans=report.spans[5:], spans_left_out=5)
    assert shorter.predict(workers=1).seconds == near(report.predict(workers=1).seconds)
    gap = replace(report, spans=report.spans[:5] + report.spans[10:])
    assert gap.predict(workers=1).seconds == near(report.predict(workers=1).seconds)


def test_a_chunk_that_was_given_back_whole_counts_for_nothing():
    report = made(cpu_s=0.003)
    empty = replace(report.spans[3], items=0, ended_s=report.spans[3].begun_s, cpu_s=0.0)
    spans = (*report.spans[:3], empty, *report.spans[3:])
    assert replace(report, spans=spans).predict(workers=1) == report.predict(workers=1)
    with pytest.raises(ValueError, match="make no sense"):
        replace(report, spans=(empty,)).predict()


def test_very_many_items_are_simulated_some_at_once():
    many = made(cpu_s=1e-6, items=3_000_000, chunk=1000)
    model = calibrate(many)
    assert sum(len(call.cpu_ns) for call in model.calls) <= 220_000
    assert many.predict(workers=1).seconds == near(3.0)
    assert many.predict(chunksize=5000).seconds == near(1.5)


def test_many_calls_are_predicted_by_some_of_them():
    report = made(cpu_s=0.003, chunk=1)
    spans = tuple(replace(span, job=at // 2, first=at % 2) for at, span in enumerate(report.spans))
    model = calibrate(replace(report, spans=spans))
    assert len(model.calls) < 20
    assert model.ask(workers=1).seconds == pytest.approx(2 * report.open_s, rel=0.1)


def test_a_report_from_a_file_predicts_the_same():
    report = made(cpu_s=0.002, blocked_s=0.001)
    again = Report.from_dict(json.loads(report.to_json()))
    assert again.predict(workers=5, kind="threads") == report.predict(workers=5, kind="threads")


@pytest.mark.parametrize(
    "settings",
    [
        {"workers": 0}, {"workers": -1}, {"workers": 1.5}, {"workers": True}, {"workers": "2"},
        {"chunksize": 0}, {"chunksize": "many"}, {"chunksize": 2.0}, {"kind": "fibers"},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused_by_name(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"^{name}"):
        made(cpu_s=0.001).predict(**settings)


def test_an_account_that_does_not_say_what_items_cost_is_refused():
    with pytest.raises(ValueError, match="no task has been run"):
        replace(made(cpu_s=0.001), items=0).predict()
    with pytest.raises(ValueError, match="ledger was off"):
        replace(made(cpu_s=0.001), level="off").predict()


def test_a_call_for_which_workers_were_started_waits_for_them():
    report = made(cpu_s=0.003)
    lanes = tuple(replace(lane, born_s=0.0, ready_s=0.1) for lane in report.lanes)
    assert whatif.calibrate(replace(report, lanes=lanes)).overheads.start_ns == 100_000_000
    early = tuple(replace(lane, born_s=0.0, ready_s=0.05) for lane in report.lanes)
    assert whatif.calibrate(replace(report, lanes=early)).overheads.start_ns == 0
