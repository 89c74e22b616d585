"""Nine points for one program, and the benchmark that is left to keep."""

from __future__ import annotations

import re

import pytest

from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.render.checklist import go_through
from tests.doctor.made_up import pool, run
from tests.doctor.test_rules import HEALTHY, SICK
from tests.doors.programs import run_python, write

SCRIPT = """
    from multiprocessing import get_context

    FACTOR = 0

    def start(factor):
        global FACTOR
        FACTOR = factor

    def scale(x):
        return FACTOR * x

    if __name__ == "__main__":
        with get_context("fork").Pool(2, initializer=start, initargs=(3,)) as pool:
            print(sum(pool.map(scale, range(4000))))
    """


def answers(name: str) -> dict[str, str]:
    seen = {**SICK, **HEALTHY}[name]
    return {point.title: point.answer for point in go_through(seen, diagnose(seen))}


def test_nine_points_all_good_for_a_healthy_program():
    told = answers("all workers compute")
    assert len(told) == 9
    assert set(told.values()) == {"good"}


def test_some_milliseconds_are_too_short_to_be_called_waiting():
    seen = run(pool({"run_cpu": 0.001, "run_blocked": 0.005}))
    first, *_ = go_through(seen, diagnose(seen))
    assert "too short" in first.words
    assert "is I/O-bound" not in first.words


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("tasks-too-small", "Batch work"),
        ("tasks-too-small", "Instrument timings"),
        ("repeated-payload", "Lighten arguments"),
        ("payload-args", "Use shared or zero-copy data for big arrays"),
        ("oversubscribed-processes", "Tune pool size"),
        ("imbalance-chunks", "Tune chunksize empirically"),
        ("io-bound", "Re-evaluate the model"),
        ("gil-bound-threads", "Re-evaluate the model"),
    ],
)
def test_what_is_wrong_is_not_ticked_off(name, title):
    assert answers(name)[title] == "bad"


def test_batches_that_cost_more_to_hand_out_than_they_hold_are_not_enough():
    """Whatever the findings are."""
    told = go_through(SICK["tasks-too-small"], diagnose(SICK["tasks-too-small"], []))
    assert {point.title: point.answer for point in told}["Batch work"] == "bad"


def test_nothing_to_go_through_without_a_pool():
    seen = run(wall_s=1.0)
    assert go_through(seen, diagnose(seen)) == []


def test_single_tasks_cannot_be_repeated():
    seen = run(pool({"run_cpu": 1.0}, call={"api": "submit"}))
    assert go_through(seen, diagnose(seen))[-1].answer == "unknown"


def test_checklist_writes_a_benchmark_that_runs(tmp_path):
    script = write(tmp_path / "script.py", SCRIPT)
    ended = run_python("-m", "poolwise", "checklist", script)
    assert ended.code == 0
    assert ended.out == f"{3 * sum(range(4000))}\n"
    assert len(re.findall(r"^\[[x ?]\] \d\.", ended.err, re.MULTILINE)) == 9
    bench = tmp_path / "bench_script.py"
    timed = run_python(bench, cwd=tmp_path)
    assert timed.code == 0, timed.err
    assert timed.out.startswith("scale() on 2,000 items")
    assert "plain loop" in timed.out


def test_benchmark_that_is_there_is_not_overwritten(tmp_path):
    script = write(tmp_path / "script.py", SCRIPT)
    (tmp_path / "bench_script.py").write_text("mine")
    ended = run_python("-m", "poolwise", "checklist", script)
    assert "is there already" in ended.err
    assert (tmp_path / "bench_script.py").read_text() == "mine"


def test_benchmark_says_when_the_call_is_gone(tmp_path):
    write(tmp_path / "script.py", "print(1)")
    bench = write(
        tmp_path / "bench.py",
        f"""
        from poolwise.doctor.microbench import Plan, bench
        bench({str(tmp_path / "script.py")!r}, Plan("f", 14, "map", [1], [1], 10))
        """,
    )
    ended = run_python(bench)
    assert ended.code == 1
    assert "did not come to map() at line 14" in ended.err
