"""What findings become together: cause and consequence, healthy or not, beside others' load."""

from __future__ import annotations

import pytest

from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.evidence.features import Evidence
from poolwise.doctor.findings import Finding
from poolwise.doctor.render.present import make_document
from poolwise.doctor.rules.pw001_tasks_too_small import TasksTooSmall
from poolwise.doctor.rules.pw002_slower_than_serial import SlowerThanSerial
from poolwise.doctor.rules.pw009_lock_serialised import LockSerialised
from poolwise.doctor.rules.pw016_gil_bound_threads import GilBoundThreads
from poolwise.report.text import render
from tests.doctor import made_up


def says(base, seconds: float):
    """A rule that finds what `base` looks for, about so many seconds."""

    class Says(base):
        def examine(self, seen: Evidence):
            pool = seen.pools[0]
            yield self.found(pool, made_up.CALL, seconds, "so it is", [], [])

    return Says


def told(cause_s: float, effect_s: float) -> list[Finding]:
    seen = made_up.run(made_up.pool({"run_cpu": 4.0}))
    return diagnose(seen, [says(TasksTooSmall, cause_s), says(SlowerThanSerial, effect_s)]).findings


def test_a_cause_of_most_of_the_time_is_all_that_is_said() -> None:
    (only,) = told(1.0, 1.5)
    assert (only.code, only.consequences) == ("PW001", ["slower-than-serial"])


def test_a_cause_of_a_part_leads_and_the_rest_is_said_with_its_own_seconds() -> None:
    first, second = told(0.4, 1.5)
    assert (first.code, second.code, second.seconds) == ("PW001", "PW002", 1.5)


def test_the_interpreter_s_lock_is_not_a_second_finding() -> None:
    seen = made_up.run(made_up.pool({"run_cpu": 4.0}))
    (only,) = diagnose(seen, [says(GilBoundThreads, 0.4), says(LockSerialised, 1.5)]).findings
    assert (only.code, only.consequences) == ("PW016", ["lock-serialised"])


def test_a_cause_of_next_to_nothing_does_not_lead() -> None:
    assert [each.code for each in told(0.12, 1.5)] == ["PW002", "PW001"]


@pytest.mark.parametrize(("seconds", "verdict"), [(0.4, "cannot-tell"), (1.0, "tasks-too-small")])
def test_of_a_program_that_failed_little_is_not_worth_a_word(seconds, verdict) -> None:
    seen = made_up.run(made_up.pool({"run_cpu": 4.0}), exit_status=1)
    assert diagnose(seen, [says(TasksTooSmall, seconds)]).verdict == verdict


IDLE = {"run_cpu": 1.0, "no_job": 1.02}


@pytest.mark.parametrize(
    ("account", "verdict"),
    [
        (IDLE, "cannot-tell"),
        ({"run_cpu": 1.9, "no_job": 0.1}, "healthy"),
        ({"run_cpu": 1.4, "no_job": 0.6}, "healthy"),
    ],
)
def test_a_pool_that_gains_nothing_while_workers_are_idle_is_not_healthy(account, verdict) -> None:
    pool = made_up.pool(account)
    diagnosis = diagnose(made_up.run(pool), [])
    assert diagnosis.verdict == verdict
    if verdict == "cannot-tell":
        assert "loop would have taken about 1.00 s, the pool took 1.01 s" in diagnosis.summary


def test_healthy_workers_are_not_blamed_for_what_others_took() -> None:
    pool = made_up.pool({"run_cpu": 1.0, "run_queued": 1.0})
    summary = diagnose(made_up.run(pool, other_cpus=1.0), []).summary
    assert summary.endswith("100 % of their time in your function, of that in which they had a CPU")


def test_what_others_took_stands_before_the_verdict() -> None:
    for other_cpus, is_said in ((1.4, True), (0.1, False)):
        seen = made_up.run(made_up.pool({"run_cpu": 2.0}), other_cpus=other_cpus)
        first = render(make_document(seen, diagnose(seen))).splitlines()[0]
        assert first.startswith("Other programs took 1.4 of 2 CPUs") is is_said


def test_beside_a_hog_slower_than_a_loop_is_said_where_no_load_explains_it() -> None:
    """And where it might, both numbers are."""
    moving = {"parent_pickle": 1.6, "run_queued": 2.0}
    far = made_up.pool({"run_cpu": 0.1, **moving}, messages=8, items=400_000)
    assert diagnose(made_up.run(far, other_cpus=1.0), [SlowerThanSerial]).verdict == (
        "slower-than-serial"
    )
    near = made_up.pool({"run_cpu": 0.6, **moving}, messages=8, items=400_000)
    diagnosis = diagnose(made_up.run(near, other_cpus=1.0), [SlowerThanSerial])
    assert diagnosis.verdict == "cannot-tell"
    assert "600 ms" in diagnosis.summary
    assert "2.10 s" in diagnosis.summary
