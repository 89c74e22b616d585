"""What people type wrong, or type as other tools take it: each is answered in words that help."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from poolwise.cli import main
from poolwise.report.pool import Report
from tests.core.made import make_report

PROGRAM = "print('has run')"


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A folder with a saved report in it, as the current one."""
    monkeypatch.chdir(tmp_path)
    Report.of(make_report()).save("run.json")
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def call(capsys, *words):
    """Exit code, standard output and standard error of a command."""
    try:
        code = main(words)
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("ending", ["json", "trace"])
def test_a_report_goes_to_standard_output(saved, capsys, ending):
    code, out, err = call(capsys, "report", "run.json", f"--{ending}", "-")
    assert (code, err) == (0, "")
    assert json.loads(out).keys() & {"schema", "traceEvents"}
    assert not (saved / "-").exists()


@pytest.mark.usefixtures("saved")
def test_a_page_goes_to_standard_output(capsys):
    pytest.importorskip("plotly")
    code, out, _ = call(capsys, "report", "run.json", "--html", "-")
    assert code == 0
    assert out.startswith("<!doctype html>")


def test_a_report_comes_from_standard_input(saved, capsys, monkeypatch):
    with (saved / "run.json").open(encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        code, out, _ = call(capsys, "report", "-")
    assert code == 0
    assert "Of 8.0 s of worker time" in out


@pytest.mark.usefixtures("saved")
def test_what_is_written_is_said_beside_standard_output(capsys):
    code, out, err = call(capsys, "report", "run.json", "--trace", "t.json", "--json", "-")
    assert code == 0
    assert json.loads(out)["schema"] == 2
    assert err == "wrote t.json\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["report", "no.json"], "no.json"),
        (["report", "."], "folder"),
        (["report", "program.py"], "pool.report().save('run.json')"),
        (["report", "bytes"], "no text"),
        (["report", "list"], "holds no report but a list"),
        (["report", "trace"], "ui.perfetto.dev"),
        (["report", "diagnosis"], "poolwise doctor --from DIR"),
        (["report", "half"], "part of it is missing"),
        (["report", "run.json", "--json", "-", "--html", "-"], "only one thing"),
        (["report", "run.json", "--json", "."], "is a folder"),
        (["report", "run.json", "--html", "no/where.html"], "there is no folder no"),
        (["doctor", "--html", "no/where.html", "program.py"], "there is no folder no"),
        (["doctor", "--json", ".", "program.py"], "is a folder"),
        (["doctor", "--json", "-", "--trace", "-", "program.py"], "only one thing"),
        (["doctor", "--from", ".", "--verify"], "runs nothing"),
        (["doctor", "--from", ".", "--profile"], "runs nothing"),
        (["checklist", "--bench", "no/where.py", "program.py"], "there is no folder no"),
        (["bench", "--rounds", "0"], "1 or more"),
        (["bench", "--rounds", "many"], "1 or more"),
        (["explain", "pw099"], "All findings: poolwise explain"),
        (["explain", "repeated"], "Did you mean repeated-payload or imports-repeated?"),
        (["explain", "payload"], "payload-args or payload-results or repeated-payload?"),
        (["explain", "tasks-to-small"], "Did you mean tasks-too-small?"),
        (["explain", "--write", "program.py"], "cannot write the pages"),
        (["reprot", "run.json"], "there is no command"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_makes_no_sense_is_said_and_nothing_is_run(saved, capsys, words, told):
    (saved / "bytes").write_bytes(b"\xd0\xff")
    (saved / "list").write_text("[1]")
    (saved / "trace").write_text('{"traceEvents": []}')
    (saved / "diagnosis").write_text('{"schema": 1, "findings": []}')
    (saved / "half").write_text('{"schema": 1}')
    code, out, err = call(capsys, *words)
    assert code == 2
    assert told in err.replace("directory", "folder")
    assert out == ""
    assert "Traceback" not in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written_is_refused_before_the_program_runs(saved, capsys):
    (saved / "d.json").touch(0o400)
    code, out, err = call(capsys, "doctor", "--json", "d.json", "program.py")
    assert (code, out) == (2, "")
    assert "you have no right to" in err


@pytest.mark.parametrize("word", ["PW006", "pw6", "PW6", "6", "006", "repeated_payload"])
def test_a_finding_by_its_code_its_number_or_its_name(capsys, word):
    code, out, _ = call(capsys, "explain", word)
    assert code == 0
    assert out.startswith("# PW006")


def test_help_is_a_word_too(capsys):
    assert call(capsys, "help") == call(capsys, "--help")
    code, out, _ = call(capsys, "help", "report")
    assert code == 0
    assert out.startswith("usage: poolwise report")


def test_a_reader_that_has_seen_enough_is_no_error():
    """As in `poolwise explain | head -1`."""
    ours = subprocess.Popen(
        [sys.executable, "-m", "poolwise", "explain"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    ours.stdout.close()
    assert ours.stderr.read() == ""
    assert ours.wait() == 141
    ours.stderr.close()
