"""A few of the acceptance cases, end to end. All of them, several times: scripts/acceptance."""

from __future__ import annotations

import pytest

from tests.doctor.accept import CASES, diagnose, list_cases, read_case, select

FEW = (
    "tasks_too_small_one_by_one",
    "repeated_payload_partial",
    "imbalance_item_last_city",
    "worker_died_executor",
    "healthy_some_tasks_raise",
)
"""Verdicts that do not depend on how busy the machine is."""


@pytest.mark.slow
@pytest.mark.parametrize("name", FEW)
def test_first_verdict(name):
    case = read_case(CASES / f"{name}.py")
    assert case is not None
    code, record = diagnose(case)
    assert code == case.exit_code
    assert record["verdict"] in case.verdicts, record["summary"]
    pools = [pool for pool in record["evidence"]["pools"] if pool["messages"]]
    assert [pool["identity"] for pool in pools] == [pytest.approx(1.0, abs=0.005)] * len(pools)


def test_every_case_says_what_is_expected():
    known = list_cases()
    files = [path for path in CASES.glob("[!_]*.py") if path.name != "effort.py"]
    assert {case.path for case in known} == set(files)
    assert all(case.verdicts for case in known)


def test_other_folders_may_say_it_in_their_first_line(tmp_path):
    (tmp_path / "s24.py").write_text("# expected verdict: eager-input (payload-args)\nprint(1)\n")
    [case] = list_cases(tmp_path)
    assert case.verdicts == ("eager-input", "payload-args")


def test_cases_that_cannot_run_here_are_left_out_with_a_reason(tmp_path):
    (tmp_path / "a.py").write_text('"""A.\n\n:verdict: healthy\n:needs: no_such_package\n"""\n')
    good, left_out = select(list_cases(tmp_path))
    assert good == []
    assert [why for _, why in left_out] == ["needs no_such_package"]
