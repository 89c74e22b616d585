"""`--verify`: the program's own calls tried in other ways, and no trace of it in the account."""

from __future__ import annotations

import json

import pytest

from poolwise.doctor import confirm, pauses, store
from poolwise.doctor.choose import choose
from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.features import Evidence, Experiment, Trial, from_plain, to_plain
from poolwise.doctor.findings import Finding, Prediction, Remedy
from tests.doctor import made_up
from tests.doors.programs import run_python, write

PROGRAM = """
    import os, sys
    from multiprocessing import get_context

    COUNTER = sys.argv[1]

    def tiny(x):
        with open(COUNTER, "a") as file:
            file.write(".")
        return x

    if __name__ == "__main__":
        with get_context("fork").Pool(2) as pool:
            print(sum(pool.map(tiny, range(1200), chunksize=1)))
    """

SLEEPING = """
    import time
    from concurrent.futures import ProcessPoolExecutor

    def fetch(x, seconds=0.0):
        time.sleep(seconds)
        print("never twice")
        return x

    if __name__ == "__main__":
        with ProcessPoolExecutor(2) as executor:
            futures = [executor.submit(fetch, x, seconds=0.01) for x in range(40)]
            total = sum(future.result() for future in futures)
    """


# More than all ways take on the slowest machine, so that none is skipped. Rounds and items are few,
# and so the experiments end when they are done, not when this has run out.
AMPLE = ["--verify", "--verify-seconds", "60"]


@pytest.fixture(scope="module")
def tried(tmp_path_factory) -> tuple[str, str, dict]:
    """A program of small tasks under `--verify`: its output, the report, the record."""
    folder = tmp_path_factory.mktemp("verify")
    script = write(folder / "script.py", PROGRAM)
    record = folder / "a.json"
    options = [*AMPLE, "--json", record]
    ended = run_python("-m", "poolwise", "doctor", *options, script, folder / "counter")
    assert ended.code == 0, ended.err
    return ended.out, ended.err, json.loads(record.read_text())


def test_the_program_and_its_account_are_those_of_one_run(tried) -> None:
    output, _, record = tried
    assert output == f"{sum(range(1200))}\n"
    seen = from_plain(Evidence, record["evidence"])
    (pool,) = seen.pools
    assert (pool.items, len(pool.workers)) == (1200, 2)
    assert pool.identity == pytest.approx(1.0, abs=0.005)
    assert seen.troubles == []
    assert seen.program.unseen_processes == 0
    assert pool.created_s + pool.region_s < seen.program.wall_s


def test_what_was_tried_stands_beside_what_was_predicted(tried) -> None:
    _, report, record = tried
    (trial,) = from_plain(Evidence, record["evidence"]).trials
    kinds = {each.kind for each in trial.experiments}
    assert {"as-is", "chunksize", "serial"} <= kinds
    assert all(each.seconds > 0 for each in trial.experiments)
    assert trial.failure is None
    measured = [
        remedy
        for finding in record["findings"]
        for remedy in finding["remedies"]
        if remedy["measured_s"] is not None
    ]
    assert measured
    assert "measured" in report
    assert "ran again" in report


def test_submissions_are_tried_when_their_pool_ends(tmp_path) -> None:
    script = write(tmp_path / "script.py", SLEEPING)
    record = tmp_path / "a.json"
    options = [*AMPLE, "--json", record]
    ended = run_python("-m", "poolwise", "doctor", *options, script)
    assert ended.out.count("never twice") == 40  # the snapshot prints nothing
    (trial,) = from_plain(Evidence, json.loads(record.read_text())["evidence"]).trials
    threads = [each for each in trial.experiments if each.kind == "threads"]
    assert threads, trial.skipped
    assert min(each.ratio for each in threads) < 0.7


# --- pure -----------------------------------------------------------------------------------------


def trial_of(pool, *experiments: Experiment) -> Trial:
    place = pool.sites[0].place
    return Trial(place, pool.id, "map", 50, 100, 1.0, list(experiments), [])


def small_tasks():
    return made_up.pool({"run_cpu": 0.02, "dispatch": 0.98}, messages=10_000)


def test_a_remedy_that_was_tried_is_told_in_seconds_of_the_call() -> None:
    pool = small_tasks()
    trial = trial_of(pool, Experiment("chunksize", 110, 0.01, 0.1, 2))
    seen = made_up.run(pool, trials=[trial])
    prediction = Prediction("call", 0.5, 0.02, 0.01, 0.03)
    remedy = Remedy("chunksize", "", prediction, 100)
    found = Finding("PW001", "", "slow", made_up.CALL, pool.id, 1, "", [], [remedy], "", 99, "low")
    (told,) = confirm.confirm([found], seen)
    assert told.remedies[0].measured_s == pytest.approx(0.05)
    assert told.confidence == "high"


def test_a_finding_whose_remedies_do_not_help_is_not_to_be_trusted() -> None:
    pool = small_tasks()
    seen = made_up.run(pool, trials=[trial_of(pool, Experiment("serial", None, 0.1, 1.1, 2))])
    remedy = Remedy("serial", "")
    found = Finding("PW001", "", "slow", made_up.CALL, pool.id, 1, "", [], [remedy], "", 99)
    assert confirm.confirm([found], seen)[0].confidence == "low"


def test_what_the_finding_promises_is_tried_first() -> None:
    pool = small_tasks()
    seen = made_up.run(pool)
    diagnosis = diagnose(seen)
    place = made_up.CALL.file, made_up.CALL.line
    ways = choose(seen, diagnosis, place, 1000)
    promised = [(each.kind, each.value) for each in diagnosis.findings[0].remedies]
    assert list(ways[: len(promised)]) == promised
    assert ("chunksize", 1) not in ways
    assert len(set(ways)) == len(ways)
    assert choose(seen, diagnosis, ("elsewhere.py", 1), 1000)


def test_trials_travel_through_json() -> None:
    pool = small_tasks()
    seen = made_up.run(pool, trials=[trial_of(pool, Experiment("workers", 4, 0.1, 0.5, 1))])
    assert from_plain(Evidence, json.loads(json.dumps(to_plain(seen)))) == seen


def run_of(*tried: dict, **more) -> store.Run:
    launch = {"began_ns": 0, "ended_ns": 1000, "cpu_s": 5.0, "busy_s": 9.0,
              "processes": {"7": {}, "8": {}}}  # fmt: skip
    return store.Run(launch, {"verify": list(tried)}, **more)


def pause(began: int, ended: int) -> dict:
    return {"ev": "verify", "t": ended, "began": began, "ended": ended, "cpu_s": 2.0, "pids": [8]}


def test_the_time_of_experiments_is_cut_out() -> None:
    call = store.Call(1, 1, 0, 1, 50, 90, 1, 1, 1, -1)
    stacks = ['process 7:"python";work (/srv/a.py:1) 5', 'process 8:"python";work (/srv/a.py:1) 5']
    later = call._replace(began=450, ended=700)
    run = pauses.cut_out(
        run_of(pause(100, 400), pause(500, 600), calls={1: [call, later]}, stacks=stacks)
    )
    assert run.launch["ended_ns"] == 600
    assert run.launch["cpu_s"] == 1.0
    assert list(run.launch["processes"]) == ["7"]
    assert run.stacks == stacks[:1]
    assert run.calls[1] == [call, later._replace(began=150, ended=300)]


def test_a_run_without_experiments_is_as_it_is() -> None:
    run = store.Run({"began_ns": 0}, {})
    assert pauses.cut_out(run) is run
