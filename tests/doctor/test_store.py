from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from poolwise.account.plain import from_plain, to_plain
from poolwise.doctor import replay
from poolwise.doctor.boot._poolwise_observer import recorder
from poolwise.doctor.evidence.features import Evidence
from poolwise.doctor.records import store

RECORDS = Path(__file__).parent / "records"


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """An empty record directory that this process writes to."""
    monkeypatch.setattr(recorder, "_base", "")
    recorder.forget_parent()
    recorder.use(str(tmp_path))
    (tmp_path / "run.json").write_text(json.dumps({"format": 1, "command": [], "began_ns": 0}))
    yield tmp_path
    recorder.forget_parent()


def test_slots_and_events_come_back(directory):
    recorder.put(recorder.SEND, 7, 1, 2, 3, 4, *range(100, 118))
    recorder.event("site", site=1, pool=7, place=("a.py", 3, "f"))
    run = store.read(str(directory))
    (send,) = run.sends[7]
    assert (send.job, send.position, send.items, send.number, send.free) == (1, 2, 3, 4, 100)
    assert run.of("site")[0]["place"] == ("a.py", 3, "f")


def test_more_slots_than_one_segment(directory):
    for job in range(3 * recorder.FIRST_SLOTS):
        recorder.reserve(recorder.CALL, 7, job)
    assert [call.job for call in store.read(str(directory)).calls[7]] == list(range(768))


def test_a_patched_slot_shows_its_last_state(directory):
    shared, offset = recorder.reserve(recorder.BEAT)
    recorder.pack_2(shared, offset + 8, 41, 1)
    recorder.pack_2(shared, offset + 8, 42, 2)
    assert [beat.seen for beat in store.read(str(directory)).beats] == [42]


def test_what_was_cut_off_is_left_out(directory):
    recorder.event("trouble", where="here", error="none")
    (events,) = directory.glob("*.ev")
    with events.open("a") as file:
        file.write("{'ev': 'trouble', 'wher")
    recorder.reserve(recorder.CALL, 7, 1)
    (slots,) = directory.glob("*.rec")
    slots.write_bytes(slots.read_bytes()[: 2 * recorder.SLOT_BYTES + 50])
    (directory / "samples.txt").write_text("1 2 3 S futex_wait 0\n5 6 7\n")
    run = store.read(str(directory))
    assert len(run.of("trouble")) == len(run.calls[7]) == len(run.samples) == 1


def test_a_worker_killed_while_it_sent_began_to_pickle(directory):
    recorder.put(recorder.TASK, 1, 0, 1, 1, *range(10, 18), 0, 0, 0, 0, 5, *[-1] * 6)
    (task,) = next(iter(store.read(str(directory)).tasks.values()))
    assert task.sent == task.wanted == task.pickling == 17


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(store.UnreadableError, match=r"no run\.json"):
        store.read(str(tmp_path))


def test_a_later_version_is_refused(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(store.UnreadableError, match="later version"):
        replay(str(tmp_path))


def test_a_run_whose_launcher_was_killed_can_be_read(tmp_path):
    shutil.copytree(RECORDS / "two_pools", tmp_path / "copy")
    facts = json.loads((tmp_path / "copy" / "run.json").read_text())
    early = {name: facts[name] for name in ("format", "command", "began_ns", "root")}
    (tmp_path / "copy" / "run.json").write_text(json.dumps(early))
    evidence = replay(str(tmp_path / "copy"))
    assert evidence.program.exit_status is None
    assert evidence.program.is_interrupted
    assert len(evidence.pools) == 2


def test_a_recorded_run_gives_the_same_answer_tomorrow():
    evidence = replay(str(RECORDS / "two_pools"))
    kinds = [(pool.kind, pool.messages, pool.items) for pool in evidence.pools]
    assert kinds == [("multiprocessing.Pool", 8, 40), ("ThreadPoolExecutor", 12, 12)]
    assert [pool.identity for pool in evidence.pools] == pytest.approx([1, 1], abs=0.005)
    assert str(evidence.pools[0].sites[0].place) == "program.py:13"
    assert replay(str(RECORDS / "two_pools")) == evidence
    processes, threads = (pool.laws for pool in evidence.pools)
    assert (processes.speedup, processes.ceiling) == pytest.approx((1.13, 7.82), abs=0.01)
    assert threads.speedup == pytest.approx(1.52, abs=0.01)
    assert threads.ceiling is None  # nothing is handed out by a parent there


def test_evidence_goes_through_json():
    evidence = replay(str(RECORDS / "two_pools"))
    plain = json.loads(json.dumps(to_plain(evidence)))
    assert from_plain(Evidence, plain) == evidence
