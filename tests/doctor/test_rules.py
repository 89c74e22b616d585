"""Each finding: a run that has it, one that nearly has it, one that does not tell."""

from __future__ import annotations

import dataclasses
import signal
from typing import Any

import pytest

from poolwise.doctor.diagnose import answers_by_rule, diagnose
from poolwise.doctor.evidence.features import (
    Channel,
    Death,
    Evidence,
    ParentTimeline,
    Place,
    Pool,
    Proxy,
    RandomStream,
    Standstill,
    Startup,
)
from poolwise.doctor.rules import RULES, find_rule
from tests.doctor.made_up import CALL, leaf, pool, run, step_costs, times, worker

BUSY_INPUT = ParentTimeline(0.0, 0.9, 0.01, 0.01, 0.8, 0.0, 0.0, 0.01, 0.9)
BUSY_CALLBACKS = ParentTimeline(0.8, 0.0, 0.01, 0.01, 0.0, 0.0, 0.01, 0.9, 0.9)
BUSY_READING = ParentTimeline(0.0, 0.0, 0.01, 0.01, 0.1, 0.4, 0.3, 0.01, 0.9)
SPAWNED = Startup(4, 0.01, 0.05, 0.4, 0.0, 0.5)
INSIDE = Place("/srv/app/script.py", 5, "task")
GROWING = [i / 4000 for i in range(100)]


def nested(outer: int, inner: int, cause: str = "run_cpu") -> Evidence:
    """A pool each of whose workers makes two pools, one after the other."""
    inside = [
        pool({cause: 1.0, "start": 0.2}, slots=inner, id=2 + number, pid=101 + number % outer,
             place=INSIDE, created_s=0.1 + number // outer, creation_s=0.05, teardown_s=0.05,
             blocked_by={} if cause == "run_cpu" else {"network": 1.0}, samples=90)
        for number in range(2 * outer)
    ]  # fmt: skip
    own = pool({"run_cpu": 0.1, "run_blocked": 1.4}, slots=outer, messages=10 * outer,
               blocked_by={"child": 1.4}, samples=90)  # fmt: skip
    return run(own, *inside, wall_s=1.5)


def few_items(slots: int, items: int = 3, **more: Any) -> Pool:
    """A pool that takes a third of its time to start."""
    states = {"start": slots * 0.1, "run_cpu": items * 0.2, "no_job": (slots - items) * 0.2}
    return pool(states, slots=slots, messages=items, **more)


def importing(imports_s: float, method: str = "spawn", size_bytes: float | None = 50e6) -> Pool:
    """A pool of two workers, each of which takes so long for imports."""
    startup = Startup(2, 0.005, 0.02, imports_s, 0.0, imports_s + 0.03, size_bytes)
    states = {"start": 0.06, "import": 2 * imports_s, "run_cpu": 1.4}
    return pool(states, method=method, startup=startup)


SICK: dict[str, Evidence] = {
    "tasks-too-small": run(
        pool(
            {"run_cpu": 0.02, "parent_send": 1.2, "hand_over": 0.4, "receive": 0.2, "loop": 0.3},
            messages=40_000,
        )
    ),
    "slower-than-serial": run(
        pool(
            {"run_cpu": 0.06, "parent_pickle": 0.6, "receive": 0.1, "unpickle": 0.4},
            messages=8,
            items=400_000,
            call={"bytes_out": 24e6},
        )
    ),
    "not-worth-a-pool": run(
        pool(
            {"run_cpu": 0.0002, "start": 0.03, "hand_over": 0.001}, slots=4, messages=15, items=60
        ),
        wall_s=0.06,
    ),
    "payload-args": run(
        pool(
            {"run_cpu": 0.1, "parent_pickle": 0.2, "parent_send": 0.4, "receive": 0.3},
            messages=60,
            call={"bytes_out": 240e6, "leaves": [leaf("arg", 4e6, 12, type="numpy.ndarray")]},
        )
    ),
    "payload-results": run(
        pool(
            {"run_cpu": 0.1, "pickle": 0.2, "lock": 0.3, "send": 0.3},
            messages=80,
            call={"bytes_in": 320e6},
            bytes_in=320e6,
            parent=BUSY_READING,
        )
    ),
    "repeated-payload": run(
        pool(
            {"run_cpu": 0.1, "parent_pickle": 0.5, "parent_send": 0.2, "unpickle": 0.5},
            messages=120,
            call={"bytes_out": 72e6, "leaves": [leaf("partial.args[0]", 6e5)]},
        )
    ),
    "io-bound": run(
        pool({"run_cpu": 0.02, "run_blocked": 2.0}, blocked_by={"network": 2.0}, samples=90),
        cpu_s=0.1,
    ),
    "mixed-cpu-io": run(
        pool({"run_cpu": 1.0, "run_blocked": 1.0}, blocked_by={"sleep": 1.0}, samples=90)
    ),
    "lock-serialised": run(
        pool(
            {"run_cpu": 0.9, "run_blocked": 2.7, "tail": 0.01},
            slots=4,
            blocked_by={"lock": 2.6, "sleep": 0.1},
            samples=90,
        )
    ),
    "imbalance-item": run(
        pool(
            {"run_cpu": 1.7, "tail": 0.9},
            messages=40,
            items=200,
            call={
                "chunksize": 5,
                "series_s": [0.004] * 199 + [0.9],
                "item_times": times(0.004, 200, 0.9, at=199),
            },
        )
    ),
    "imbalance-chunks": run(
        pool(
            {"run_cpu": 1.24, "tail": 0.32},
            messages=4,
            items=100,
            call={
                "chunksize": 25,
                "series_s": GROWING,
                "item_times": times(0.0125, 100, GROWING[-1], at=99),
            },
        )
    ),
    "startup": run(
        pool({"start": 2.0, "run_cpu": 1.2}, slots=4, method="spawn", startup=SPAWNED)
    ),
    "worker-churn": run(
        pool(
            {"respawn": 1.0, "start": 0.4, "run_cpu": 0.1},
            messages=80,
            max_tasks_per_child=1,
            startup=Startup(80, 0.002, 0.0, 0.0, 0.0, 0.01),
        )
    ),
    "oversubscribed-threads": run(
        pool(
            {"run_cpu": 1.0, "run_queued": 0.8},
            helper_cpu_s=0.9,
            workers=[worker(101, threads=2), worker(102, threads=2)],
        )
    ),
    "oversubscribed-processes": run(pool({"run_cpu": 2.0, "run_queued": 8.0}, slots=12)),
    "gil-bound-threads": run(
        pool(
            {"run_cpu": 1.0, "run_blocked": 3.0},
            slots=4,
            kind="ThreadPoolExecutor",
            blocked_by={"lock": 3.0},
            samples=60,
        )
    ),
    "slow-producer": run(
        pool({"run_cpu": 0.3, "input_slow": 1.5}, messages=150, parent=BUSY_INPUT), wall_s=1.0
    ),
    "slow-callbacks": run(
        pool({"run_cpu": 0.6, "drain": 1.2}, messages=150, parent=BUSY_CALLBACKS)
    ),
    "serial-submission": run(
        pool(
            {"run_cpu": 0.7, "no_job": 0.75},
            messages=120,
            max_outstanding=1,
            mean_outstanding=1.0,
            call={"api": "apply"},
        )
    ),
    "serial-parent": run(
        pool({"run_cpu": 0.5}), wall_s=2.0, serial_s=1.7, parallel_s=0.25
    ),
    "eager-input": run(
        pool(
            {"run_cpu": 0.4, "input_slow": 0.3},
            messages=8,
            items=300_000,
            call={"input_has_length": False, "input_type": "generator", "listing_s": 0.15},
        )
    ),
    "manager-proxy": run(
        pool({"run_cpu": 0.4, "run_blocked": 1.5}, blocked_by={"network": 1.5}, samples=90),
        proxies=[Proxy("DictProxy", "get", 9600, 2, CALL, 1.5)],
    ),
    "hand-made-pool": run(
        pool({"run_cpu": 1.2, "hand_over": 0.05}, kind="hand-made", messages=300),
        channels=[Channel(100, "Queue", "put", 300, 3000, None)],
    ),
    "cpu-throttled": run(
        pool({"run_cpu": 0.8, "run_queued": 2.4}), throttled_s=1.1, throttled_periods=14,
        quota_cpus=0.5, cpus=0.5,
    ),
    "duplicated-random-streams": run(
        pool({"run_cpu": 1.2}, random_streams=[RandomStream("numpy.random", 2, 1, used=True)])
    ),
    "worker-died": run(
        pool({"run_cpu": 0.5, "no_job": 1.5}, deaths=[Death(101, -9, 0.2, 0.01)])
    ),
    "unbalanced-start-method": run(pool({"run_cpu": 1.2}, parent_threads=8)),
    "call-never-ended": run(
        pool({"run_cpu": 0.5, "no_job": 1.5}), wall_s=9.0, is_interrupted=True, stopped_s=8.9,
        standstill=Standstill("lock", CALL, "map", 1, 1.5, 7.4, 20, 12, "SIGINT",
                              ["2 workers wait for a lock in work (a.py:3)"]),
    ),
    "nested-pools": nested(2, 4),
    "more-workers-than-tasks": run(few_items(16)),
    "imports-repeated": run(importing(0.15)),
}  # fmt: skip

HEALTHY: dict[str, Evidence] = {
    "all workers compute": run(pool({"run_cpu": 1.6, "parent_send": 0.01, "tail": 0.01})),
    "heavy arguments, and heavy work for them": run(
        pool({"run_cpu": 1.5, "parent_pickle": 0.02, "unpickle": 0.03}, messages=24,
             call={"bytes_out": 24e6})
    ),
    "the same item again and again": run(
        pool({"run_cpu": 1.5, "unpickle": 0.05}, call={"leaves": [leaf("arg", 2e5)]})
    ),
    "threads that wait": run(
        pool({"run_cpu": 0.02, "run_blocked": 9.0}, slots=20, messages=300,
             kind="ThreadPoolExecutor", blocked_by={"sleep": 9.0}, samples=90)
    ),
    "threads in compiled code": run(
        pool({"run_cpu": 1.6, "run_blocked": 0.1}, kind="ThreadPoolExecutor",
             blocked_by={"lock": 0.1}, samples=60)
    ),
    "no CPU free because of other programs": run(
        pool({"run_cpu": 1.0, "run_queued": 0.9}), other_cpus=1.0
    ),
    "tasks wait for child programs that use the CPUs": run(
        pool({"run_cpu": 0.02, "run_blocked": 2.0}, blocked_by={"child": 2.0}, samples=90),
        cpu_s=2.0,
    ),
    "enough workers for what waits": run(
        pool({"run_cpu": 2.0, "run_blocked": 2.0}, slots=4, blocked_by={"disk": 2.0}, samples=90)
    ),
    "a lock that is seldom contended": run(
        pool({"run_cpu": 1.5, "run_blocked": 0.1}, blocked_by={"lock": 0.1}, samples=90)
    ),
    "long items first": run(
        pool({"run_cpu": 1.8, "tail": 0.02}, items=96,
             call={"series_s": [0.1] * 10 + [0.01] * 86, "chunksize": 1})
    ),
    "workers replaced now and then": run(
        pool({"run_cpu": 1.5, "respawn": 0.03, "start": 0.02}, messages=300,
             max_tasks_per_child=60, startup=Startup(6, 0.002, 0.0, 0.0, 0.0, 0.01))
    ),
    "slow input, slower work": run(
        pool({"run_cpu": 1.44, "input_slow": 0.05}, messages=120,
             parent=ParentTimeline(0.6, 0.12, 0.0, 0.0, 0.6, 0.0, 0.0, 0.0, 0.7))
    ),
    "each task seeds its own generator": run(
        pool({"run_cpu": 1.5}, random_streams=[RandomStream("numpy.random", 2, 1, used=False)])
    ),
    "forked beside the threads of another pool": run(
        pool({"run_cpu": 0.1, "run_blocked": 6.0}, id=1, slots=16, kind="ThreadPoolExecutor",
             created_s=0.0, blocked_by={"network": 6.0}, samples=50),
        pool({"run_cpu": 1.0}, id=2, created_s=0.1, parent_threads=20),
        wall_s=0.8,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SICK)
def test_headline(name):
    diagnosis = diagnose(SICK[name])
    assert diagnosis.verdict == name, [(f.name, f.seconds) for f in diagnosis.findings]
    first = diagnosis.findings[0]
    assert first.verdict
    assert first.facts
    assert first.remedies
    assert first.falsified_by
    assert first.seconds <= SICK[name].program.wall_s


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy(name):
    diagnosis = diagnose(HEALTHY[name])
    assert diagnosis.verdict == "healthy", [(f.name, f.seconds) for f in diagnosis.findings]
    assert "yes" not in answers_by_rule(diagnosis).values()


def test_every_rule_has_a_run_that_has_it():
    needs_a_file = {"vectorise-instead", "stages-run-in-turn"}  # test_arithmetic, test_stages
    assert {rule.name for rule in RULES} == {*SICK, *needs_a_file}


def test_lock_or_io_cannot_be_told_without_a_view_of_the_kernel():
    seen = run(pool({"run_cpu": 0.9, "run_blocked": 2.7}, slots=4), can_see_causes=False)
    diagnosis = diagnose(seen)
    assert answers_by_rule(diagnosis)["PW009"] == "cannot tell"


def test_threads_beside_a_busy_machine_cannot_be_told():
    threads = pool(
        {"run_cpu": 1.0, "run_queued": 0.3, "run_blocked": 0.2}, kind="ThreadPoolExecutor",
        queue_wait=times(0.5, 100), cores_used=0.5, demand_cpus=1.2,
    )  # fmt: skip
    diagnosis = diagnose(run(threads, other_cpus=1.4))
    assert diagnosis.verdict == "cannot-tell"
    assert "other programs" in diagnosis.summary


def test_waiters_of_a_lock_that_have_no_cpu_do_not_get_on():
    states = {"run_cpu": 0.78, "run_blocked": 1.69, "run_queued": 0.81, "start": 0.06}
    turns = pool(states, slots=4, messages=125, blocked_by={"lock": 1.69}, samples=80)
    assert diagnose(run(turns, other_cpus=0.6)).verdict == "lock-serialised"


def test_threads_at_the_interpreters_lock_with_a_short_queue():
    states = {"run_cpu": 1.2, "run_blocked": 0.23, "hand_over": 1.4, "loop": 2.0, "no_job": 0.4}
    threads = pool(states, slots=4, messages=300, kind="ThreadPool", mean_running=1.2,
                   mean_outstanding=7.0, queue_wait=times(0.008, 300), cores_used=0.93,
                   blocked_by={"lock": 0.23}, samples=46)  # fmt: skip
    assert diagnose(run(threads)).verdict == "gil-bound-threads"


def test_a_pool_that_is_all_start_is_not_worth_it_wherever_its_moment_went():
    states = {"run_cpu": 0.0006, "start": 0.007, "no_job": 0.003, "parent_decide": 0.005}
    few = pool(states, messages=12, creation_s=0.003, teardown_s=0.002)
    assert diagnose(run(few, wall_s=0.075)).verdict == "not-worth-a-pool"


@pytest.mark.parametrize(
    ("parent", "verdict"), [(BUSY_CALLBACKS, "slow-callbacks"), (BUSY_INPUT, "slow-producer")]
)
def test_larger_chunks_do_not_hasten_the_programs_own_thread(parent, verdict):
    states = {"run_cpu": 0.2, "input_slow": 0.7, "parent_send": 0.6, "send": 0.5}
    behind = pool(states, messages=300, parent=parent)
    first = diagnose(run(behind)).findings[0]
    assert (first.name, "tasks-too-small" in first.consequences) == (verdict, True)


def test_start_up_does_not_hide_an_imbalance():
    states = {"start": 1.2, "run_cpu": 1.7, "tail": 0.9}
    last = {"series_s": [0.008] * 99 + [0.9], "item_times": times(0.008, 100, 0.9, 99)}
    both = pool(states, call={**last, "chunksize": 1})
    names = [finding.name for finding in diagnose(run(both)).findings]
    assert set(names) == {"imbalance-item", "startup"}


def test_time_that_the_host_took_is_not_waiting():
    """The kernel did not count it, and in 80 looks at tasks none was asleep."""
    account = {"run_cpu": 1.0, "run_blocked": 1.0}
    verdicts = [
        diagnose(run(pool(account, samples=80, blocked_by=causes))).verdict
        for causes in ({}, {"sleep": 1.0})
    ]
    assert verdicts == ["healthy", "mixed-cpu-io"]


def test_results_are_not_heavy_where_sending_them_waited_for_a_cpu():
    states = {"run_cpu": 3.0, "run_queued": 5.8, "pickle": 0.1, "send": 0.31}
    call = {"bytes_in": 38e6}
    queued = pool(states, messages=12, call=call, bytes_in=38e6, costs=step_costs(reply=0.008))
    assert diagnose(run(queued, other_cpus=1.3)).verdict == "healthy"
    heavy = pool(states, messages=12, call=call, bytes_in=38e6, costs=step_costs(reply=0.034))
    assert diagnose(run(heavy, wall_s=4.0, other_cpus=1.3)).verdict == "payload-results"


def test_a_few_calls_to_a_manager_beside_other_programs_waited_for_a_cpu():
    append = Proxy("list", "append", 40, 2, CALL, 0.24)
    states = {"run_cpu": 0.74, "run_blocked": 0.13, "run_queued": 0.73}
    tasks = pool(states, messages=40, blocked_by={"network": 0.13}, samples=34)
    assert diagnose(run(tasks, proxies=[append], other_cpus=1.0)).verdict == "healthy"


def test_the_pool_of_a_library_is_not_made_by_hand():
    states = {"run_cpu": 1.0, "no_job": 0.6}
    channels = [Channel(101, "Queue", "get", 100, 1000.0, CALL)]
    by = {"__main__.serve": "hand-made-pool", "mpire.worker.ForkWorker": "healthy"}
    for function, verdict in by.items():
        workers = pool(states, kind="hand-made", call={"function": function}, parent_threads=1)
        assert diagnose(run(workers, channels=channels)).verdict == verdict


def test_waiting_for_a_pool_inside_the_task_is_no_io():
    outer = pool({"run_blocked": 2.0}, id=1, blocked_by={"lock": 2.0}, samples=90)
    inner = pool({"run_cpu": 1.8}, id=2, pid=outer.workers[0].pid)
    assert diagnose(run(outer, inner, wall_s=1.3)).verdict == "healthy"


def test_pools_made_again_and_again_are_one_finding():
    each = [
        pool({"start": 0.04, "run_cpu": 0.008}, slots=4, messages=8, id=number,
             creation_s=0.012, teardown_s=0.01)
        for number in range(25)
    ]  # fmt: skip
    diagnosis = diagnose(run(*each, wall_s=1.2))
    assert diagnosis.verdict == "startup"
    assert "25 times" in diagnosis.summary
    assert len(diagnosis.findings) == 1


def test_loop_of_calls_on_one_place_counts_the_pools():
    sick = [
        pool({"run_cpu": 0.002, "parent_send": 0.5}, id=number, messages=4000)
        for number in range(3)
    ]
    first = diagnose(run(*sick)).findings[0]
    assert (first.name, first.pools) == ("tasks-too-small", 3)
    assert first.seconds == pytest.approx(3 * 0.25, rel=0.2)


def test_consequences_stand_under_their_cause():
    first = diagnose(SICK["repeated-payload"]).findings[0]
    assert "payload-args" in first.consequences


def test_wrong_results_come_before_lost_time():
    slow = {"run_cpu": 0.1, "parent_pickle": 0.2, "parent_send": 2.4, "receive": 0.3}
    stream = RandomStream("numpy.random", 2, 1, used=True)
    heavy = pool(slow, messages=60, call={"bytes_out": 240e6}, random_streams=[stream])
    names = [finding.name for finding in diagnose(run(heavy)).findings]
    assert names[:2] == ["duplicated-random-streams", "payload-args"]


def test_findings_are_ordered_by_seconds():
    light = pool({"start": 0.2, "run_cpu": 0.4}, id=1, place=Place("/srv/a.py", 1))
    heavy = pool({"run_cpu": 1.0, "run_blocked": 1.0}, id=2, blocked_by={"disk": 1.0}, samples=50)
    names = [finding.name for finding in diagnose(run(light, heavy)).findings]
    assert names == ["mixed-cpu-io", "startup"]


def test_what_costs_next_to_nothing_is_left_out():
    assert diagnose(
        run(pool({"run_cpu": 0.02, "parent_send": 0.2, "hand_over": 0.1}, messages=4000),
            wall_s=60.0, parallel_s=59.0, serial_s=1.0)
    ).findings == []  # fmt: skip


def test_nothing_attached_is_no_verdict():
    diagnosis = diagnose(run(is_attached=False, wall_s=1.0))
    assert (diagnosis.verdict, diagnosis.outcome) == ("cannot-tell", "cannot-tell")


def test_no_pool_is_no_verdict():
    assert diagnose(run(wall_s=1.0)).verdict == "cannot-tell"


def test_a_program_that_failed_is_not_called_healthy():
    assert diagnose(run(pool({"run_cpu": 1.0}), exit_status=1)).verdict == "cannot-tell"


def test_a_death_is_told_by_its_signal():
    finding = diagnose(SICK["worker-died"]).findings[0]
    assert signal.Signals.SIGKILL.name in finding.verdict


def test_workers_that_died_before_they_had_a_task_did_not_die_in_one():
    deaths = [Death(101, 1, 0.2, None)] * 3
    finding = diagnose(run(pool({"spawn": 1.5}, deaths=deaths))).findings[0]
    assert "3 workers died (exit code 1)" in finding.verdict
    assert "__main__" in finding.remedies[0].words


def test_a_program_that_a_signal_ended_is_told_by_its_name():
    assert "SIGSEGV" in diagnose(run(pool({"run_cpu": 1.0}), exit_status=-11)).summary


def test_a_program_that_fails_before_its_pool_is_told_so():
    assert "exit code 1, before any pool" in diagnose(run(wall_s=1.0, exit_status=1)).summary


def test_a_pool_of_ours_that_was_killed_is_not_said_to_have_had_no_work():
    diagnosis = diagnose(run(wall_s=1.0, exit_status=-15, lost_pools=1))
    assert "SIGTERM before its pools were" in diagnosis.summary
    assert [note.name for note in diagnosis.notes] == ["lost-pools"]


def test_a_finding_of_a_program_that_was_killed_says_so():
    killed = dataclasses.replace(
        SICK["serial-parent"],
        program=dataclasses.replace(SICK["serial-parent"].program, exit_status=-9),
    )
    assert [note.name for note in diagnose(killed).notes] == ["ended-badly"]
    assert "SIGKILL" in diagnose(killed).notes[0].words


def test_what_could_not_be_looked_into_is_no_serial_time():
    sick = SICK["serial-parent"]
    program = dataclasses.replace(sick.program, unseen_processes=3, unseen_s=1.5)
    diagnosis = diagnose(dataclasses.replace(sick, program=program))
    assert diagnosis.verdict == "cannot-tell"
    assert "serial-parent" in {each.name for each in diagnosis.unknown}
    assert "3 Python processes" in diagnosis.notes[0].words


def test_without_a_pool_nothing_is_said_of_what_tasks_waited_for():
    assert diagnose(run(wall_s=1.0, can_see_causes=False)).notes == []


def test_busy_machine_lowers_confidence_and_is_noted():
    seen = run(pool({"run_cpu": 0.02, "run_blocked": 2.0}, blocked_by={"disk": 2.0}, samples=90),
               cpu_s=0.1, other_cpus=1.0)  # fmt: skip
    diagnosis = diagnose(seen)
    assert diagnosis.confidence == "medium"
    assert [note.name for note in diagnosis.notes] == ["busy-machine"]


def test_threads_that_keep_tasks_waiting_get_a_note():
    threads = pool(
        {"run_cpu": 0.02, "run_blocked": 2.0}, slots=12, messages=200, kind="ThreadPoolExecutor",
        queue_wait=times(0.5, 200), blocked_by={"sleep": 2.0}, samples=90,
    )  # fmt: skip
    diagnosis = diagnose(run(threads))
    assert diagnosis.verdict == "healthy"
    assert [note.name for note in diagnosis.notes] == ["more-threads"]


@pytest.mark.parametrize("word", ["PW006", "pw006", "repeated-payload", "REPEATED_PAYLOAD"])
def test_rules_are_found_by_code_and_name(word):
    rule = find_rule(word)
    assert rule is not None
    assert rule.code == "PW006"


def test_codes_are_in_order_and_names_unique():
    assert [rule.code for rule in RULES] == [f"PW{number:03}" for number in range(1, 34)]
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_consequences_are_names_of_rules():
    names = {rule.name for rule in RULES}
    assert {name for rule in RULES for name in rule.explains} <= names


EAGER = {"input_has_length": False, "input_type": "generator", "listing_s": 0.3}


def test_reading_while_workers_work_gains_what_the_shorter_of_both_takes():
    quiet = pool({"run_cpu": 0.2, "input_slow": 0.6}, messages=8, items=300, call=EAGER)
    found = next(each for each in diagnose(run(quiet)).findings if each.name == "eager-input")
    prediction = found.remedies[0].prediction
    assert (prediction.now_s, prediction.then_s) == pytest.approx((0.4, 0.3))
    assert found.seconds == pytest.approx(0.1)


def test_reading_while_workers_work_gains_nothing_on_the_one_cpu_that_others_leave():
    states = {"run_cpu": 0.2, "run_queued": 0.2, "input_slow": 0.6}
    busy = pool(states, messages=8, items=300, call=EAGER)
    found = diagnose(run(busy, other_cpus=1.0)).findings
    assert "eager-input" not in {each.name for each in found}


def test_tasks_that_wait_leave_cpus_idle_whatever_other_programs_do_with_them():
    states = {"run_cpu": 1.0, "run_blocked": 1.0}
    for queued_s, others in ((0.0, 0.0), (4.0, 1.7)):
        waiting = pool({**states, "run_queued": queued_s}, blocked_by={"sleep": 1.0}, samples=90)
        seen = run(waiting, other_cpus=others, cpu_s=1.0)
        assert "mixed-cpu-io" in {each.name for each in diagnose(seen).findings}


def test_tasks_of_a_pool_by_hand_need_a_pool_with_chunks_not_a_chunk_size():
    states = {"run_cpu": 0.1, "pickle": 0.1}
    by_hand = pool(states, messages=400, kind="hand-made", call={"api": "Process"})
    found = diagnose(run(by_hand)).findings
    assert found[0].name == "hand-made-pool"
    assert "tasks-too-small" in found[0].consequences


def test_one_task_at_a_time_waits_for_its_cpu_in_our_pool_as_well():
    """Tasks of 3 ms that got a third of a CPU beside other programs: no pool makes that shorter."""
    states = {"run_cpu": 0.3, "run_queued": 0.6, "no_job": 0.9}
    alone = {"max_outstanding": 1, "mean_outstanding": 1.0, "call": {"api": "apply"}}
    found = diagnose(run(pool(states, **alone), other_cpus=1.7)).findings[0]
    assert found.name == "serial-submission"
    ours = [each for each in found.remedies if each.kind == "poolwise"]
    assert ours == []
    assert found.remedies[0].kind == "together"


# -- pools inside of tasks, and workers without tasks


def found(seen: Evidence, name: str):
    return [each for each in diagnose(seen).findings if each.name == name]


def test_the_product_of_both_levels_is_told():
    (each,) = found(nested(2, 4), "nested-pools")
    facts = {fact.name: fact.value for fact in each.facts}
    assert (facts["outer"], facts["inner"], facts["workers"], facts["pools"]) == (2, 4, 8, 4)
    assert "2 workers x 4 are 8 processes on 2 CPUs" in each.verdict
    assert each.where == INSIDE


def test_what_making_inner_pools_takes_is_at_stake():
    (each,) = found(nested(2, 4), "nested-pools")
    inner_s = (0.05 + 0.05) * 2  # made and ended twice, one after the other in each worker
    assert inner_s <= each.seconds <= inner_s + 0.03 * 1.0


def test_too_many_processes_are_its_consequence():
    seen = nested(2, 4)
    pools = [dataclasses.replace(each, account={"run_cpu": 1.0, "run_queued": 3.0})
             if each.place == INSIDE else each for each in seen.pools]  # fmt: skip
    names = [each.name for each in diagnose(dataclasses.replace(seen, pools=pools)).findings]
    assert "nested-pools" in names
    assert "oversubscribed-processes" not in names


@pytest.mark.parametrize(
    "seen",
    [nested(2, 1), nested(2, 4, "run_blocked"), run(pool({"run_cpu": 1.0}, slots=8))],
    ids=["as many as CPUs", "they wait", "one level"],
)
def test_these_are_no_nested_pools(seen):
    assert found(seen, "nested-pools") == []


def test_workers_without_a_task_cost_their_start():
    (each,) = found(run(few_items(16)), "more-workers-than-tasks")
    assert each.seconds == pytest.approx(13 / 16 * (0.1 + 0.005))
    assert "13 of them never had one" in each.verdict
    assert [remedy.value for remedy in each.remedies if remedy.kind == "workers"] == [2]


@pytest.mark.parametrize(
    "seen",
    [
        run(few_items(3)),
        run(few_items(16, startup=Startup(3, 0.001, 0.0, 0.0, 0.0, 0.1))),
        run(few_items(16, kind="ThreadPool")),
        run(few_items(16, items=3, deaths=[Death(101, -9, 0.2, 0.01)])),
    ],
    ids=["one each", "started when needed", "threads", "replaced"],
)
def test_these_have_no_workers_without_a_task(seen):
    assert found(seen, "more-workers-than-tasks") == []


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_repeated_imports_are_told_in_seconds_and_bytes(method):
    (each,) = found(run(importing(0.15, method)), "imports-repeated")
    assert "Each of 2 workers imports the main module again: 150 ms and 50.0 MB" in each.verdict
    assert {fact.name: fact.value for fact in each.facts}["imports_bytes"] == 50e6
    assert each.seconds == pytest.approx(0.15)
    assert any("set_forkserver_preload" in remedy.words for remedy in each.remedies)


def test_imports_whose_memory_was_not_seen_are_told_by_their_time():
    (each,) = found(run(importing(0.15, size_bytes=None)), "imports-repeated")
    assert "again: 150 ms before its first task" in each.verdict


@pytest.mark.parametrize(
    "seen",
    [run(importing(0.15, "fork")), run(importing(0.05)), run(importing(0.15), other_cpus=2.0)],
    ids=["forked", "light", "beside other programs"],
)
def test_these_imports_are_not_worth_a_word(seen):
    assert found(seen, "imports-repeated") == []
