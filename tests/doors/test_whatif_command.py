"""`poolwise whatif`: its table, its files, and what people type wrong."""

from __future__ import annotations

import json
import shutil

import pytest

from poolwise.cli import main
from poolwise.report.pool import Report
from poolwise.system import figures
from poolwise.system.figures import Figures
from tests.account.test_whatif import made
from tests.house.tree import ROOT

FOLDER = ROOT / "tests" / "doctor" / "records" / "two_pools"


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A folder with the report of a run in it, as the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(figures, "_known", Figures({}))
    Report.of(made(cpu_s=0.001, blocked_s=0.003)).save("run.json")
    return tmp_path


def call(capsys, *words):
    try:
        code = main(["whatif", *words])
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.usefixtures("saved")
def test_without_options_it_shows_workers_threads_and_a_plain_loop(capsys):
    code, out, err = call(capsys, "run.json")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "200 items of work on 2 processes took 400 ms."
    rows = [line for line in lines if "=" in line and "%" in line]
    assert [row.split("  ")[0] for row in rows] == ["1 process", "2 processes", "4 processes"]
    assert all("-" in row for row in rows)  # each has its band
    assert "Or 2 threads" in out
    assert "Or a plain loop" in out


@pytest.mark.usefixtures("saved")
def test_a_range_of_workers_is_thinned_in_the_terminal_and_whole_in_the_data(capsys):
    _, out, _ = call(capsys, "run.json", "--workers", "1..64")
    assert sum("%" in line for line in out.splitlines()) <= 16
    assert "1 process " in out
    assert "64 processes" in out
    _, out, err = call(capsys, "run.json", "--workers", "1..64", "--json", "-")
    plain = json.loads(out)
    assert err == ""
    assert [each["workers"] for each in plain["forecasts"]] == list(range(1, 65))
    assert all(each["low_s"] <= each["seconds"] <= each["high_s"] for each in plain["forecasts"])


@pytest.mark.usefixtures("saved")
def test_a_very_long_range_is_spread_by_ratio(capsys):
    _, out, _ = call(capsys, "run.json", "--workers", "1..1000", "--json", "-")
    counts = [each["workers"] for each in json.loads(out)["forecasts"]]
    assert len(counts) <= 66
    assert (counts[0], counts[-1]) == (1, 1000)


@pytest.mark.usefixtures("saved")
def test_chunk_sizes_and_kinds(capsys):
    code, out, _ = call(capsys, "run.json", "--chunksize", "1,50,auto", "--workers", "4")
    assert code == 0
    assert "By chunk size, 4 processes" in out
    assert [line.split()[0] for line in out.splitlines() if "%" in line] == ["auto", "1", "50"]
    code, out, _ = call(capsys, "run.json", "--kind", "threads,serial", "--workers", "1,8")
    assert code == 0
    assert "8 threads" in out
    assert out.count("a plain loop") == 1


@pytest.mark.usefixtures("saved")
def test_a_page_has_the_curve(capsys, tmp_path):
    pytest.importorskip("plotly")
    code, out, err = call(capsys, "run.json", "--workers", "1..8", "--html", "page.html")
    assert code == 0
    assert "wrote page.html" in err
    assert "By workers" in out
    assert "Predicted time by workers" in (tmp_path / "page.html").read_text()


def test_the_page_of_a_report_is_read_as_well(saved, capsys):
    pytest.importorskip("plotly")
    Report.of(made(cpu_s=0.001)).save(saved / "run.html")
    assert call(capsys, "run.html", "--workers", "4")[0] == 0


def test_a_report_comes_from_standard_input(saved, capsys, monkeypatch):
    with (saved / "run.json").open(encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        assert call(capsys, "-")[0] == 0


def test_a_doctors_folder_is_asked_for_its_heaviest_call(capsys):
    code, out, err = call(capsys, str(FOLDER), "--workers", "1..4")
    assert (code, err) == (0, "")
    assert "4 processes" in out
    code, out, _ = call(capsys, str(FOLDER), "--kind", "processes,threads,serial")
    assert code == 0
    assert "GIL" in out
    assert call(capsys, str(FOLDER), "--chunksize", "1,5")[0] == 0


# -- typed wrong


@pytest.mark.parametrize(
    "words",
    [
        ("nothing.json",),
        (".",),
        ("run.json", "--workers", "0"),
        ("run.json", "--workers", "-3"),
        ("run.json", "--workers", "5..2"),
        ("run.json", "--workers", ""),
        ("run.json", "--workers", "1..x"),
        ("run.json", "--workers", "1..999999999999999999999"),
        ("run.json", "--workers", "²"),
        ("run.json", "--chunksize", "0"),
        ("run.json", "--chunksize", "some"),
        ("run.json", "--kind", "fibers"),
        ("run.json", "--json", "nowhere/x.json"),
        ("run.json", "--json", "-", "--html", "-"),
        (str(FOLDER), "--chunksize", "auto"),
    ],
)
@pytest.mark.usefixtures("saved")
def test_one_sentence_says_what_is_wrong(capsys, words):
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("poolwise whatif: ")
    assert "Traceback" not in err


def broken(plain):
    """Reports that were damaged, one thing at a time."""
    yield "not a report", []
    yield "a number for text", {**plain, "spans": 3}
    yield "a text for a number", {**plain, "open_s": "long"}
    yield "null for a number", {**plain, "open_s": None}
    yield "no spans", {**plain, "spans": []}
    yield "no functions", {**plain, "functions": []}
    yield "a later schema", {**plain, "schema": 99}
    span = plain["spans"][0]
    for key, value in (("items", 0), ("items", -5), ("items", "x"), ("first", "x"),
                       ("cpu_s", None), ("ended_s", float("nan")), ("ended_s", float("inf")),
                       ("items", 10**12)):  # fmt: skip
        yield f"span.{key} = {value}", {**plain, "spans": [{**span, key: value}]}
    yield "workers 0", {**plain, "workers": 0}
    yield "a trace", {"traceEvents": []}
    del (lacking := dict(plain))["lanes"]
    yield "no lanes", lacking


def test_records_that_are_damaged_give_a_sentence_or_an_answer(saved, capsys):
    plain = json.loads((saved / "run.json").read_text())
    for what, damaged in broken(plain):
        (saved / "bad.json").write_text(json.dumps(damaged))
        code, _, err = call(capsys, "bad.json", "--workers", "1,2")
        assert code in {0, 2}, what
        assert err.count("\n") == (code == 2), what


def test_a_folder_that_is_cut_short_gives_a_sentence(tmp_path, capsys):
    cut = tmp_path / "cut"
    shutil.copytree(FOLDER, cut)
    (cut / "run.json").write_text("{")
    code, out, err = call(capsys, str(cut))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    for file in cut.glob("*.rec"):
        file.write_bytes(b"")
    shutil.copy(FOLDER / "run.json", cut)
    code, _, err = call(capsys, str(cut))
    assert code == 2
    assert err.count("\n") == 1
