"""The report as plain data: through JSON and back, from other versions, and in words."""

from __future__ import annotations

import dataclasses
import json

import pytest

from poolwise.account import ledger
from poolwise.account.ledger import Report
from poolwise.account.states import IDLE_CAUSES, PARENT_ENTRIES, WORKER_ENTRIES
from poolwise.quantities import say_bytes, say_seconds, say_share
from tests.core.made import make_report


def test_through_json_and_back_it_is_the_same():
    report = make_report()
    assert Report.from_json(report.to_json()) == report
    assert Report.from_dict(report.to_dict()) == report


def test_a_later_version_may_have_added_what_we_do_not_know():
    plain = {**make_report().to_dict(), "colour": "blue"}
    assert Report.from_dict(plain) == make_report()


@pytest.mark.parametrize("schema", [ledger.SCHEMA + 1, None, "1"])
def test_what_we_cannot_read_is_refused(schema):
    with pytest.raises(ValueError, match="no report that poolwise can read"):
        Report.from_dict({**make_report().to_dict(), "schema": schema})


def test_every_entry_of_the_example_is_documented():
    report = make_report()
    assert report.worker_account.keys() <= set(WORKER_ENTRIES)
    assert report.parent.keys() <= set(PARENT_ENTRIES)
    assert report.idle.keys() <= set(IDLE_CAUSES)


def test_json_holds_only_plain_values():
    assert json.loads(make_report().to_json())["lanes"][0]["name"] == "ForkPoolWorker-1"


def test_a_span_is_cut_into_its_states():
    assert make_report().spans[0].states() == [
        ("wait", 0.1, 0.2),
        ("receive", 0.2, 0.25),
        ("unpickle", 0.25, 0.3),
        ("run", 0.3, 3.0),
    ]


def test_the_verdict_says_what_was_computed_first_and_what_repeated():
    said = make_report().verdict()
    assert said[0].startswith("Of 8.0 s of worker time, 5.9 s computed (74 %)")
    assert said[1] == (
        "1.2 s (15 %) unpickled: 288 MB of arguments, 1.6 MB an item; 192 MB of it had been "
        "sent before, each about 3 times."
    )
    assert said[-1] == "Unexplained: 1.2 % of worker time."


def test_no_tasks_no_judgement():
    report = dataclasses.replace(make_report(), chunks=0)
    assert report.verdict() == ["No task has been run yet."]


def test_a_pool_that_loses_to_a_loop_is_told_so():
    report = make_report()
    laws = dataclasses.replace(report.laws, speedup=0.2)
    said = " ".join(dataclasses.replace(report, laws=laws).verdict())
    assert "it is faster than the pool" in said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"), (3e-9, "3.0 ns"), (1.5e-5, "15 µs"), (0.0123, "12 ms"), (5.94, "5.9 s"),
        (99, "99 s"), (125, "2 min 5 s"), (12_000, "3 h 20 min"),
    ],
)  # fmt: skip
def test_seconds_as_people_say_them(seconds, said):
    assert say_seconds(seconds) == said


def test_bytes_and_shares_as_people_say_them():
    assert [say_bytes(n) for n in (0, 999, 1600, 288e6, 3e9)] == [
        "0 bytes", "999 bytes", "1.6 kB", "288 MB", "3.0 GB",
    ]  # fmt: skip
    assert [say_share(x) for x in (0, 0.003, 0.736)] == ["0 %", "0.3 %", "74 %"]
