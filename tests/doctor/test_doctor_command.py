"""`poolwise doctor`: the program's own output and exit code, the report, what it writes."""

from __future__ import annotations

import io
import json
import re
import signal
import sys
from pathlib import Path

import pytest

from poolwise.account import ledger
from poolwise.account.plain import from_plain
from poolwise.cli import main
from poolwise.doctor import findings
from poolwise.doctor.diagnose import Diagnosis, diagnose
from poolwise.doctor.evidence.features import Evidence
from poolwise.doctor.predict import scaling
from poolwise.doctor.render.record import to_record
from tests.doctor.test_rules import SICK
from tests.doors.programs import Ended, run_python, write
from tests.house.tree import ROOT

TINY = """
    from multiprocessing import get_context

    def tiny(x):
        return x

    if __name__ == "__main__":
        with get_context("fork").Pool(2) as pool:
            print(sum(pool.map(tiny, range(20_000), chunksize=1)))
    """


FILES = {"json": "a.json", "html": "a.html", "trace": "a.trace"}


def doctor(*words: str | Path, **around) -> Ended:
    return run_python("-m", "poolwise", "doctor", *words, **around)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tuple[Path, Ended]:
    """A program of tasks that are too small, looked at once with everything written."""
    folder = tmp_path_factory.mktemp("tiny")
    script = write(folder / "script.py", TINY)
    files = [
        "--json",
        folder / "a.json",
        "--html",
        folder / "a.html",
        "--trace",
        folder / "a.trace",
    ]
    ended = doctor(*files, "--keep", folder / "records", "--fail-on", "PW001", script)
    return folder, ended


def test_output_is_the_program_s_and_the_report_stands_beside(tiny):
    _, ended = tiny
    assert ended.out == f"{sum(range(20_000))}\n"
    assert "PW001" in ended.err
    assert re.search(r"script\.py:\d+", ended.err)
    told = r"^[\d.]+ m?s; about [\d.]+ m?s with (chunksize=\d+|a plain loop) at script.py:\d+\.$"
    assert re.search(told, ended.err, re.MULTILINE)


def test_the_small_print_is_for_those_who_ask(tiny):
    folder, ended = tiny
    assert "What would prove it wrong" not in ended.err
    full = doctor("--from", folder / "records", "--full").out
    assert "What would prove it wrong: with" in full
    assert re.search(r"9\d\.\d % of|100\.\d % of", full)


def test_scaling_is_said_and_written(tiny):
    folder, ended = tiny
    record = json.loads((folder / "a.json").read_text())["scaling"]
    assert 0 < record["speedup"] < 1
    assert record["ceiling_as_is"] < record["ceiling"]
    assert f"{record['speedup']:.2f}x the speed of a plain loop; at most" in ended.err
    page = (folder / "a.html").read_text()
    assert "serial fraction" in page


def test_one_screen_is_enough(tiny):
    assert len(tiny[1].err.splitlines()) <= 46  # 38, and what is said of a busy machine


def test_fail_on_a_finding_that_was_made(tiny):
    assert tiny[1].code == 1


def test_json_holds_diagnosis_and_evidence(tiny):
    record = json.loads((tiny[0] / "a.json").read_text())
    assert record["verdict"] == record["findings"][0]["name"] == "tasks-too-small"
    assert record["answers"]["PW001"] == "yes"
    seen = from_plain(Evidence, record["evidence"])
    assert seen.pools[0].messages == pytest.approx(20_000, rel=0.01)
    assert diagnose(seen).verdict == "tasks-too-small"


def test_page_and_trace_are_written(tiny):
    page = (tiny[0] / "a.html").read_text()
    assert "tasks-too-small" in page
    assert "Who did what when" in page or "The first" in page
    events = json.loads((tiny[0] / "a.trace").read_text())["traceEvents"]
    assert {"X", "M", "s", "f"} <= {event["ph"] for event in events}


def test_records_give_the_same_verdict_again(tiny):
    ended = doctor("--from", tiny[0] / "records", "--fail-on", "tasks-too-small")
    assert ended.code == 1
    assert "PW001" in ended.out
    assert ended.err == ""


def test_json_to_stdout_is_all_there_is(tiny):
    ended = doctor("--json", "-", "--from", tiny[0] / "records")
    assert json.loads(ended.out)["verdict"] == "tasks-too-small"


def test_there_is_work_as_long_as_tasks_run(tmp_path):
    """Handing out 800 tasks in a burst leaves most of the sending unrecorded."""
    script = write(
        tmp_path / "script.py",
        """
        import time
        from multiprocessing import get_context

        if __name__ == "__main__":
            with get_context("fork").Pool(2) as pool:
                results = [pool.apply_async(time.sleep, (0.002,)) for _ in range(800)]
                for result in results:
                    result.get()
        """,
    )
    doctor("--json", tmp_path / "a.json", script)
    [pool] = json.loads((tmp_path / "a.json").read_text())["evidence"]["pools"]
    idle_s = sum(pool["account"][state] for state in ("start", "no_job", "drain")) / 2
    assert pool["active_s"] >= 0.9 * (pool["region_s"] - idle_s)


def test_exit_code_is_the_program_s(tmp_path):
    script = write(tmp_path / "script.py", "import sys; sys.exit(3)")
    ended = doctor("--fail-on", "any", script)
    assert ended.code == 3
    assert "CANNOT-TELL" in ended.err


def test_a_signal_becomes_what_a_shell_makes_of_it(tmp_path):
    script = write(tmp_path / "script.py", "import os; os.kill(os.getpid(), 9)")
    assert doctor(script).code == 128 + signal.SIGKILL


def test_stdin_and_arguments_reach_the_program(tmp_path):
    script = write(tmp_path / "script.py", "import sys; print(sys.argv[1:], sys.stdin.read())")
    assert doctor(script, "--json", "x", stdin="hello").out == "['--json', 'x'] hello\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no program was given"),
        (["missing.py"], "No such file"),
        (["--fail-on", "PW999", "x.py"], "there is no finding 'PW999'"),
        (["--nonsense", "x.py"], "--nonsense"),
        (["--from", "nowhere"], "holds no observed run"),
        (["--from", "nowhere", "script.py"], "runs nothing"),
    ],
)
def test_command_lines_that_make_no_sense(words, said, tmp_path):
    ended = doctor(*words, cwd=tmp_path)
    assert ended.code == 2
    assert said in ended.err


def test_docs_name_every_field():
    text = (ROOT / "docs" / "doctor-json.md").read_text()
    told = set(re.findall(r"`(\w+)`", text))
    record = to_record(SICK["repeated-payload"], diagnose(SICK["repeated-payload"]))
    finding = record["findings"][0]
    remedy = next(each for each in finding["remedies"] if each["prediction"])
    fields = {*record, *finding, *remedy, *remedy["prediction"], *finding["where"]}
    fields |= set(findings.Change.__dataclass_fields__)
    fields |= set(findings.CannotTell.__dataclass_fields__)
    for known in (scaling.Scaling, scaling.MostWorkers, ledger.Laws):
        fields |= set(known.__dataclass_fields__)
    assert fields - told == set()


def test_a_diagnosis_goes_through_json():
    diagnosis = diagnose(SICK["repeated-payload"])
    record = json.loads(json.dumps(to_record(SICK["repeated-payload"], diagnosis)))
    assert from_plain(Diagnosis, record) == diagnosis


def test_edits_are_written_as_a_patch_and_made(tmp_path):
    script = write(tmp_path / "script.py", TINY)
    before, records = script.read_text(), tmp_path / "records"
    patch = tmp_path / "a.diff"
    ended = doctor("--diff", patch, "--keep", records, script)
    assert ended.code == 0, ended.err
    assert "script.py" in patch.read_text()
    assert script.read_text() == before

    asked = doctor("--from", records, "--apply")
    assert "--yes" in asked.err
    assert script.read_text() == before

    made = doctor("--from", records, "--apply", "--yes")
    assert "was edited" in made.err
    assert script.read_text() != before
    assert run_python(script).out == ended.out


@pytest.mark.parametrize("answer", ["y", "n"])
def test_apply_asks(answer, tiny, monkeypatch, capsys):
    folder, _ = tiny
    before = (folder / "script.py").read_text()
    monkeypatch.setattr(sys, "stdin", Terminal(f"{answer}\n"))
    try:
        main(["doctor", "--from", str(folder / "records"), "--apply"])
        assert ((folder / "script.py").read_text() != before) == (answer == "y")
        assert "Make this edit?" in capsys.readouterr().err
    finally:
        (folder / "script.py").write_text(before)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
