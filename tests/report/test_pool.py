"""A pool's report: the account in blocks, the files it is saved to, and `poolwise report`."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest

from poolwise.account import ledger, states
from poolwise.cli import main
from poolwise.report import account, spans
from poolwise.report.pool import Report
from tests.core.made import make_report
from tests.report.trace_format import check_trace


@pytest.fixture
def report():
    return Report.of(make_report())


# -- the account


def test_every_entry_and_cause_has_a_name_and_a_colour():
    used = {*states.WORKER_ENTRIES, *states.PARENT_ENTRIES, *states.IDLE_CAUSES}
    assert used <= states.STATES.keys()
    names = [state.title for state in states.STATES.values()]
    assert len(names) == len(set(names))


def test_bar_sums_to_all_worker_seconds(report):
    bar = account.split_worker_time(report)
    assert sum(part.value for part in bar.parts) == pytest.approx(report.worker_seconds)


def test_entries_sum_to_all_worker_seconds(report):
    *rows, whole = account.list_entries(report).rows
    assert sum(row[1] for row in rows) == pytest.approx(whole[1])
    assert all(row[3] for row in rows)


def test_small_entries_are_one_but_named(report):
    other = account.split_worker_time(report).parts[-1]
    assert other.name == "all else"
    assert other.value == pytest.approx(0.02 + 0.02 + 0.02)
    assert other.note == "pickling, sending, nothing left to do"


def test_waiting_is_shown_by_its_cause(report):
    parts = {part.name: part for part in account.split_worker_time(report).parts}
    assert parts["waiting for the parent"].value == pytest.approx(0.3)
    assert "pickling 300 ms" in parts["waiting for the parent"].note
    assert "waiting" not in parts


def test_each_lane_has_its_bar(report):
    labels = [bar.label for bar in account.compare_lanes(report).bars]
    assert labels == ["parent", "ForkPoolWorker-1", "ForkPoolWorker-2"]


def test_verdict_comes_first_and_unexplained_is_said(report):
    text = str(report)
    assert text.startswith("POOL  Of 8.0 s of worker time")
    assert "98.8 % of the workers' time has a name" in text


def test_a_pool_that_did_nothing_has_a_report():
    laws = ledger.Laws(0.0, 0.0, None, 0.0)
    nothing = {
        "items": 0, "chunks": 0, "worker_seconds": 0.0, "worker_account": {}, "idle": {},
        "parent": {}, "lanes": (), "functions": (), "task_times": None, "slowest": (),
        "factors": (), "laws": laws, "spans": (), "parent_spans": (), "wall_s": 0.0,
    }  # fmt: skip
    report = Report.of(dataclasses.replace(make_report(), **nothing))
    assert "No task has been run yet." in str(report)
    assert report.to_html()
    assert check_trace(report.to_trace())
    assert "poolwise" in report._repr_html_()


# -- over time


def make_busy_report(chunks=200):
    """Two workers, chunk after chunk: 1 ms sending in the parent, 8 running, 1 receiving."""
    made, parent = [], []
    for at in range(chunks):
        lane, start = 1 + at % 2, 0.1 + at * 0.01
        moments = [start + ms / 1000 for ms in (0.0, 1.0, 1.2, 1.4, 9.4, 9.6, 9.8)]
        made.append(
            ledger.ChunkSpan(
                lane, 1, "work", 4 * at, 4, *moments, 0.008, 0.0, 1000, 500, "parent_pickle"
            )
        )
        parent.append(ledger.ParentSpan("send", start, start + 0.0009))
        parent.append(ledger.ParentSpan("receive", start + 0.0099, start + 0.01))
    return Report.of(
        dataclasses.replace(make_report(), spans=tuple(made), parent_spans=tuple(parent))
    )


def test_flows_lead_from_sending_over_running_to_receiving():
    report = make_busy_report()
    timeline = spans.draw_timeline(report)
    flows = spans.list_flows(timeline)
    assert len(flows) == 200
    for flow in flows:
        names = [timeline.states[timeline.spans[at].state].name for at in flow.spans]
        assert names == ["sending", "running", "receiving"]
    check_trace(report.to_trace())


def test_bytes_over_time_end_at_their_sums():
    report = make_busy_report()
    out, back = spans.draw_bytes(report).lines
    assert (out.y[-1], back.y[-1]) == (200 * 1000, 200 * 500)


def test_curves_of_many_chunks_stay_small():
    curve = spans.draw_bytes(make_busy_report(9_000))
    assert all(len(line.x) <= 2_300 for line in curve.lines)
    assert all(line.x == sorted(line.x) for line in curve.lines)


def test_waits_say_what_the_parent_did():
    timeline = spans.draw_timeline(make_busy_report(2))
    waits = [s for s in timeline.spans if timeline.states[s.state].name.startswith("waiting")]
    assert {span.label for span in waits} == {"the parent: pickling"}


def test_workers_that_were_added_up_have_no_lane_of_their_own():
    report = make_report()
    many = dataclasses.replace(report.lanes[0], lane=0, name="", lanes=90)
    report = Report.of(dataclasses.replace(report, lanes=(many, *report.lanes)))
    assert len(spans.draw_timeline(report).lanes) == 3
    assert account.compare_lanes(report).bars[1].label == "90 that ended"


def test_every_task_is_in_the_histogram():
    steps = tuple((1.09**at * 1e-6, 1.09 ** (at + 1) * 1e-6, at + 1) for at in range(120))
    times = dataclasses.replace(make_report().task_times, histogram=steps)
    drawn = spans.draw_task_times(times)
    assert sum(drawn.counts) == sum(number for _, _, number in steps)
    assert len(drawn.edges) == len(drawn.counts) + 1
    assert list(drawn.edges) == sorted(drawn.edges)


# -- files


def test_saved_report_comes_back(report, tmp_path):
    path = tmp_path / "run.json"
    report.save(path)
    assert Report.from_json(path.read_text()) == report


def test_file_name_says_what_is_written(report, tmp_path):
    for name, sign in [
        ("a.html", "<!doctype"),
        ("a.trace.json", '{"traceEvents"'),
        ("a.txt", "POOL"),
    ]:
        report.save(tmp_path / name)
        assert (tmp_path / name).read_text().startswith(sign)
    with pytest.raises(ValueError, match="does not say what to write"):
        report.save(tmp_path / "a.pdf")


def test_repr_is_one_line_and_notebooks_get_html(report):
    assert (
        repr(report) == "<poolwise report: 180 items in 180 chunks on 2 workers, efficiency 0.74>"
    )
    assert 'class="poolwise"' in report._repr_html_()


def test_show_can_be_full(report):
    stream = io.StringIO()
    report.show(stream, is_full=True)
    assert "The slowest tasks" in stream.getvalue()


# -- the command


@pytest.mark.parametrize("name", ["run.json", "run.html"])
def test_command_shows_a_saved_report(report, tmp_path, capsys, name):
    report.save(tmp_path / name)
    assert main(["report", str(tmp_path / name)]) == 0
    assert capsys.readouterr().out.startswith("POOL  Of 8.0 s of worker time")


def test_command_writes_other_kinds(report, tmp_path, capsys):
    report.save(tmp_path / "run.json")
    page, trace, data = (str(tmp_path / name) for name in ("p.html", "t.json", "d.json"))
    words = ["report", str(tmp_path / "run.json"), "--html", page, "--trace", trace, "--json", data]
    assert main(words) == 0
    assert "wrote" in capsys.readouterr().err
    check_trace((tmp_path / "t.json").read_text())
    assert Report.from_json((tmp_path / "d.json").read_text()) == report


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ("hello", "neither a saved report nor a page"),
        ("[1]", "holds no report but a list"),
        ("{}", "no report that poolwise can read"),
        (json.dumps({"schema": 99}), "If a newer poolwise wrote it, update this one"),
    ],
)
def test_command_says_what_is_wrong_with_the_file(tmp_path, capsys, content, words):
    path = tmp_path / "run.json"
    if content is not None:
        path.write_text(content)
    assert main(["report", str(path)]) == 2
    assert words in capsys.readouterr().err
