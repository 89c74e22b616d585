"""The report: numbers of each stage, and a verdict that follows from them."""

from __future__ import annotations

import json

import pytest

import poolwise
from poolwise.pipeline.report import Bounds, PipeReport, StageReport
from tests.pipeline import tasks


def stage(
    name, kind="thread", workers=4, *, capacity, cpu_s=0.0, busy=1.0, starved=0.0, blocked=0.0
):
    return StageReport(
        name, kind, workers, None, 100, 0, 0, 10.0, 0.1, 0.1, 0.1, 0.1, busy, starved, blocked, 1.0,
        0, 0, capacity, cpu_s,
    )  # fmt: skip


def source():
    return stage("source", "source", 1, capacity=None)


def report(*stages, cpus=2, rate=10.0):
    return PipeReport(10.0, cpus, rate, [source(), *stages], [], 0)


def test_a_stage_that_waits_is_to_be_widened_until_something_else_bounds():
    made = report(stage("fetch", capacity=40.0), stage("store", capacity=90.0, busy=0.4), rate=40.0)
    assert made.verdict == "fetch: 4 to 9 workers gives 2.2x."
    assert made.headspace == {"fetch": pytest.approx(2.25), "store": pytest.approx(1.0)}


def test_cpus_bound_the_gain():
    bounds = Bounds(
        [stage("fetch", capacity=40.0), stage("parse", "process", 2, capacity=200.0, cpu_s=0.025)],
        2,
    )
    assert bounds.of_cpus() == pytest.approx(80.0)
    assert bounds.gain_of_widening(bounds._stages[0]) == pytest.approx(2.0)
    assert bounds.gain_without(bounds._stages[1]) == pytest.approx(1.0)


def test_when_the_cpus_are_busy_no_width_helps():
    made = report(stage("parse", "process", 2, capacity=80.0, cpu_s=0.024), rate=80.0)
    assert made.verdict == "CPU: both CPUs are busy, no width helps."


def test_a_slow_source_and_a_slow_consumer_are_named():
    slow = stage("fetch", capacity=100.0, busy=0.1, starved=0.9)
    assert report(slow).verdict.startswith("The source: the stages wait for it 90 %")
    slow = stage("fetch", capacity=100.0, busy=0.1, blocked=0.9)
    assert report(slow).verdict.startswith("The consumer: results wait")


def test_it_counts_what_passed_and_prints_and_is_plain_data():
    pipe = poolwise.pipe(range(100)).map(tasks.double, kind="thread", name="twice")
    pipe = pipe.filter(lambda x: x % 4 == 0, kind="inline", name="keep").batch(10)
    pipe.map(tasks.fail_on_seven, kind="thread", name="last").run()
    pipe = pipe.map(len, kind="thread", name="last")
    pipe.run()
    made = pipe.report()
    assert [each.name for each in made.stages] == ["source", "twice", "keep", "batch(10)", "last"]
    assert [each.items for each in made.stages] == [100, 100, 0, 50, 5]
    assert made.stages[1].dropped == 50
    assert made.stages[2].host == "twice"
    twice = made.stages[1]
    assert 0 < twice.p50_s <= twice.p90_s <= twice.p99_s
    assert twice.busy + twice.starved + twice.blocked == pytest.approx(1.0, abs=0.01)
    text = str(made)
    assert text.startswith(made.verdict)
    assert "with twice" in text
    assert json.loads(json.dumps(made.to_plain()))["stages"][4]["name"] == "last"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_has_a_row_a_stage(is_terminal, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal, raising=False)
    poolwise.pipe(range(30), progress=True).map(tasks.double, kind="thread").run()
    said = capsys.readouterr().err
    assert "source 30 of 30" in " ".join(said.split())
    assert "double 30" in " ".join(said.split())
    assert ("\x1b[2K" in said) == is_terminal
    poolwise.pipe(range(30)).map(tasks.double).run()
    assert capsys.readouterr().err == ""


def test_it_can_be_asked_while_it_runs():
    pipe = poolwise.pipe(range(10**9)).map(tasks.double, kind="thread")
    results = iter(pipe)
    next(results)
    assert pipe.report().stages[1].items >= 1
    results.close()
