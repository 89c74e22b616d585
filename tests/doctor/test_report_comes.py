"""The report comes at once and comes first: bounded work, and files that cost only themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report_time import _POOL, PROCESSES, observe, repeat
from poolwise.cli import doctor
from poolwise.doctor.boot._poolwise_observer import gate, recorder
from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.evidence.features import Place
from poolwise.doctor.evidence.groups import group_pools
from poolwise.doctor.gather.run import gather
from poolwise.doctor.predict import calls as predict
from poolwise.doctor.predict import curves
from poolwise.doctor.predict.simulate import Load
from poolwise.doctor.records import run as run_records
from poolwise.doctor.records import store
from poolwise.doctor.render import present
from poolwise.report import files
from tests.doctor.made_up import pool, run
from tests.doctor.programs import write_program

WELL = """
    from multiprocessing import get_context

    def work(number):
        return number

    if __name__ == "__main__":
        with get_context("fork").Pool(2) as pool:
            print(sum(pool.map(work, range(100))))
"""


def many(count: int, place: Place | None = None):
    """A run in which one line made many pools."""
    states = {"run_cpu": 0.02, "parent_send": 0.3, "start": 0.02}
    where = place or Place("/srv/a.py", 7)
    pools = [pool(states, id=number, messages=400, place=where) for number in range(count)]
    return run(*pools, wall_s=count * 0.3)


def test_a_million_messages_are_simulated_by_a_thousand():
    messages, stand_for = Load([1e-6], [0.0], 1_000_000).cut(1, 1000)
    assert (len(messages), stand_for) == (1000, 1000)
    assert sum(message.items for message in messages) == 1000
    assert Load([1e-6], [0.0], 10).cut(3, 1000)[1] == 1


def test_pools_of_one_line_are_one():
    seen = many(120)
    [group] = group_pools(seen.pools)
    assert len(group.pools) == 120
    assert group.worker_seconds == pytest.approx(sum(pool.worker_seconds for pool in seen.pools))
    document = present.make_document(seen, diagnose(seen))
    sections = [block.title for block in document.details if hasattr(block, "blocks")]
    assert [title for title in sections if "120 times" in title]
    assert len([title for title in sections if "a.py:7" in title]) == 1


def test_a_page_holds_one_pool_of_each_line():
    from poolwise.doctor.render.record import for_page

    seen = many(120)
    record = present.make_document(seen, diagnose(seen)).record
    assert len(record["evidence"]["pools"]) == 120
    assert len(for_page(record, seen)["evidence"]["pools"]) == 1


def test_few_of_many_pools_are_simulated():
    pools = [
        pool({"run_cpu": 0.1}, id=number, messages=40, place=Place("/srv/a.py", number))
        for number in range(1, 60)
    ]
    models = curves.Models(run(*pools))
    simulated = [number for number in models if number in models._simulated]
    assert len(simulated) == curves.MOST_POOLS


def test_curves_are_drawn_only_where_they_are_shown(monkeypatch):
    def draw(*_):
        raise AssertionError

    monkeypatch.setattr(present, "draw_predictions", draw)
    seen = many(2)
    assert present.make_document(seen, diagnose(seen), is_full=False).details == []


def test_a_model_is_made_once(monkeypatch):
    made = []
    monkeypatch.setattr(predict, "_calibrate", lambda *key: made.append(key))
    seen = many(1)
    for _ in range(3):
        predict.calibrate(seen.pools[0].sites[0], seen.pools[0], seen)
    assert len(made) == 1


def test_who_waits_no_longer_gets_the_report_without_predictions(monkeypatch, tmp_path, capsys):
    script = write_program(tmp_path, WELL)
    records = str(tmp_path / "records")
    assert doctor.main(["--keep", records, str(script)]) == 0
    capsys.readouterr()
    monkeypatch.setattr(predict, "_is_hurried", False)
    looks = []

    def interrupt(*_):
        if not looks:
            looks.append(1)
            raise KeyboardInterrupt
        return diagnose(*_)

    monkeypatch.setattr("poolwise.doctor.diagnose.diagnose", interrupt)
    assert doctor.main(["--from", records]) == 0
    assert "of worker time" in capsys.readouterr().out


@pytest.mark.exhaustive  # a hundred messages, repeated: their gaps are those of a loaded machine
def test_of_very_many_records_a_sample_is_read(tmp_path):
    """The same run a thousand times over: all is counted, and adds up."""
    program = _POOL.format(**PROCESSES, call="imap(work, range(100))")
    records = observe(program, tmp_path)
    few = store.read(str(records))
    repeat(records, 1000)
    many = store.read(str(records))
    assert many.slots > 2 * store.MOST_SLOTS
    assert sum(map(len, [*many.tasks.values(), *many.sends.values()])) < store.MOST_SLOTS
    before, after = gather(few), gather(many)
    assert after.pools[0].messages == 1000 * before.pools[0].messages
    assert after.pools[0].identity == pytest.approx(1.0, abs=0.01)


def test_a_task_that_took_long_is_in_every_sample():
    sieve = store._Sieve(10 * store.MOST_SLOTS)
    began = 7 * gate.PERIOD_NS

    def task(took_ns):
        times = (*[began] * 6, *[began + took_ns] * 5)
        return (recorder.TASK, 1, 700, 1, 700, *times, 0, 0, *[5] * 6)

    assert sieve.look(task(10_000)) is None
    found = run_records.Task(*sieve.look(task(10**9)))
    assert (found.ended - found.began, found.cpu) == (10**9, -1)


# -- files


def test_a_page_that_cannot_be_drawn_is_known_before_the_program_runs(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr("poolwise.report.extras.find_spec", lambda _: None)
    script = write_program(tmp_path, "print('ran')")
    assert doctor.main(["--html", str(tmp_path / "a.html"), str(script)]) == 2
    told = capfd.readouterr()
    assert "plotly" in told.err
    assert told.out == ""


def test_a_folder_for_records_that_cannot_be_made_is_known_before(tmp_path, capfd):
    (tmp_path / "file").touch()
    script = write_program(tmp_path, "print('ran')")
    assert doctor.main(["--keep", str(tmp_path / "file" / "records"), str(script)]) == 2
    assert capfd.readouterr().out == ""


def test_a_full_disk_costs_only_the_page(monkeypatch, tmp_path, capfd):
    def write(path, written):
        Path(path).write_bytes(written[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_write", write)
    page = tmp_path / "a.json"
    page.write_text("what stood there")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert doctor.main(["--json", str(page), str(write_program(tmp_path, WELL))]) == 2
    told = capfd.readouterr().err
    assert "of worker time" in told
    assert "No space left on device" in told
    assert page.read_text() == "what stood there"
    assert list(tmp_path.glob("*.part")) == []
    [kept] = tmp_path.glob("poolwise-doctor-*")
    assert f"--from {kept}" in told
    monkeypatch.undo()
    assert doctor.main(["--from", str(kept)]) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [[], ["--json", "-"], ["--diff", "-"], ["--diff", "/dev/full"]])
def test_output_that_cannot_be_written_is_one_sentence(words, tmp_path):
    records = str(tmp_path / "records")
    assert doctor.main(["--keep", records, str(write_program(tmp_path, WELL))]) == 0
    command = [sys.executable, "-m", "poolwise", "doctor", "--from", records, *words]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "content", [b'{"a": 1}', b'{"command"', b"[]", b"\xff\xfe", b'{"command": 1, "began_ns": "x"}']
)
def test_a_foreign_or_broken_folder_is_one_sentence(content, tmp_path, capsys):
    (tmp_path / "run.json").write_bytes(content)
    (tmp_path / "notes.rec").write_bytes(b"\1" * 500)
    (tmp_path / "1-2.ev").write_bytes(b"{'ev': 'pool', 't': 1}\n{'ev'")
    assert doctor.main(["--from", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1
    assert str(tmp_path) in told.err


def test_records_of_an_earlier_run_are_not_mixed_with_those_of_this(tmp_path):
    script, records = write_program(tmp_path, WELL), tmp_path / "records"
    (tmp_path / "records").mkdir()
    (records / "mine.txt").touch()
    for _ in range(2):
        assert (
            doctor.main(["--keep", str(records), "--json", str(tmp_path / "a"), str(script)]) == 0
        )
    assert len(json.loads((tmp_path / "a").read_text())["evidence"]["pools"]) == 1
    assert (records / "mine.txt").exists()
