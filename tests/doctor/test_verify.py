"""`--verify`: the program's own calls tried in other ways, and no trace of it in the account."""

from __future__ import annotations

import json
import math
import socket
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from itertools import pairwise
from multiprocessing.pool import ThreadPool

import pytest

from poolwise.account.plain import from_plain, to_plain
from poolwise.doctor.advice import confirm
from poolwise.doctor.boot._poolwise_observer.verify import calls as verify
from poolwise.doctor.boot._poolwise_observer.verify import live, runners
from poolwise.doctor.choose import choose
from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.evidence.features import (
    Evidence,
    Experiment,
    Place,
    Trial,
    Untried,
)
from poolwise.doctor.findings import Finding, Prediction, Remedy
from poolwise.doctor.gather import trials
from poolwise.doctor.records import pauses
from poolwise.doctor.records import run as run_records
from poolwise.doctor.render.present import make_document
from poolwise.report.text import render
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


# --- every kind of pool ---------------------------------------------------------------------------

HEAD = """
    import multiprocessing as mp
    import time
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
    from functools import partial
    from multiprocessing.pool import ThreadPool

    def work(x, more=0):
        time.sleep(0.004)
        return x + more

    def look_up(table, x):
        time.sleep(0.001)
        return table[x]

    def keep(names):
        globals().update(names)

    class Owner:
        def __init__(self):
            self.table = list(range(20000))

        def look_up(self, x):
            time.sleep(0.001)
            return self.table[x]

    def main():
"""

POOL = """
        with mp.Pool(2) as pool:
            print(sum(pool.imap_unordered(work, (x for x in range(30)))))
            print(sum([pool.apply(work, (x,)) for x in range(30)]))
            results = [pool.apply_async(work, (x,), {"more": 1}) for x in range(30)]
            print(sum(result.get() for result in results))
"""
EXECUTORS = """
        with ProcessPoolExecutor(2) as executor:
            print(sum(executor.map(work, range(30), (1 for _ in range(30)))))
        with ThreadPoolExecutor(2) as executor:
            made = [executor.submit(lambda: work(x)) for x in range(30)]
            print(len([future.result() for future in as_completed(made)]))
        left_open = ProcessPoolExecutor(2, mp.get_context("spawn"))
        print(sum(left_open.submit(work, x).result() for x in range(30)))
"""
STARTED = """
        with ThreadPool(2) as pool:
            print(sum(pool.starmap(work, [(x, 1) for x in range(30)])))
        pool = mp.get_context("spawn").Pool(2)
        print(sum(pool.imap(Owner().look_up, range(100))))
        pool.close()
        pool.join()
        with mp.get_context("forkserver").Pool(2) as pool:
            print(sum(pool.map(partial(look_up, list(range(20000))), range(100), chunksize=1)))
"""
JOBLIB = """
        import joblib, loky
        print(sum(joblib.Parallel(n_jobs=2)(joblib.delayed(work)(x, more=1) for x in range(30))))
        threads = joblib.Parallel(n_jobs=2, backend="threading", return_as="generator")
        print(sum(threads(joblib.delayed(work)(x) for x in range(30))))
        executor = loky.get_reusable_executor(2)
        print(sum(future.result() for future in [executor.submit(work, x) for x in range(30)]))
"""
OURS = """
        import poolwise
        with poolwise.Pool(2) as pool:
            print(sum(pool.map(work, range(30))))
            print(sum([pool.apply(work, (x,)) for x in range(30)]))
        with poolwise.ProcessPoolExecutor(2) as executor:
            print(sum(future.result() for future in [executor.submit(work, x) for x in range(30)]))
"""

TAIL = """
    if __name__ == "__main__":
        main()
"""

ALL = sum(range(30))

KINDS = {
    "pool": (POOL, ["imap_unordered", "apply", "apply_async"], [ALL, ALL, ALL + 30], 30),
    "executors": (EXECUTORS, ["map", "submit", "submit"], [ALL + 30, 30, ALL], 30),
    "started": (STARTED, ["starmap", "imap", "map"], [ALL + 30, 4950, 4950], None),
    "joblib": (JOBLIB, ["Parallel", "Parallel", "submit"], [ALL + 30, ALL, ALL], 30),
    "ours": (OURS, ["map", "apply", "submit"], [ALL, ALL, ALL], 30),
}
"""Name -> the program's lines, which functions of a pool they call, what they print, items."""


def doctor(folder, source: str, *options: str) -> tuple[str, str, Evidence]:
    """A program under the doctor: its output, the report, the evidence."""
    script, record = write(folder / "script.py", source), folder / "a.json"
    ended = run_python("-m", "poolwise", "doctor", *options, "--json", record, script)
    assert ended.code == 0, ended.err
    return ended.out, ended.err, from_plain(Evidence, json.loads(record.read_text())["evidence"])


@pytest.mark.parametrize("kind", KINDS)
def test_calls_of_every_kind_are_tried(tmp_path, kind) -> None:
    source, apis, printed, items = KINDS[kind]
    if kind == "joblib":
        pytest.importorskip("joblib")
        pytest.importorskip("loky")
    options = ["--verify", "--verify-seconds", "1.5"]  # the call as it was has always time
    output, report, seen = doctor(tmp_path, HEAD + source + TAIL, *options)
    assert output.split() == [str(each) for each in printed]
    assert sorted(trial.api for trial in seen.trials) == sorted(apis)
    for trial in seen.trials:
        if sys.version_info[:2] == (3, 12) and "interpreter shutdown" in (trial.failure or ""):
            continue
        assert trial.failure is None
        assert trial.experiments[0].kind == "as-is", trial.skipped
        assert trial.of_items == (items or trial.of_items)
        assert not [each for each in trial.skipped if "Error" in each]
    assert seen.untried == []
    assert seen.troubles == []
    assert "leaked" not in report
    assert seen.program.unseen_processes == 0


def test_our_own_pools_are_found_again_by_their_line(tmp_path) -> None:
    _, _, seen = doctor(tmp_path, HEAD + OURS + TAIL, "--verify", "--verify-seconds", "0.1")
    sites = [(site, pool) for pool in seen.pools for site in pool.sites]
    assert len({site.api for site, _ in sites}) > 1
    assert all(trials.find_trial(site, pool, seen) for site, pool in sites)
    assert all(pool.teardown_s >= 0 for pool in seen.pools)


def test_what_all_tasks_share_is_put_down_once_whatever_it_is(tmp_path) -> None:
    source = """
        for _ in range(2):
            with mp.Pool(2) as pool:
                print(sum(pool.map(partial(look_up, list(range(60000))), range(60), chunksize=1)))
    """
    _, _, seen = doctor(tmp_path, HEAD + source + TAIL, *AMPLE)
    (trial,) = seen.trials
    assert "share" in {each.kind for each in trial.experiments}, trial.skipped


APART = """
        import os, socket
        from multiprocessing import Process, Queue, SimpleQueue, Value

        def send(to, x):
            to.sendall(b".")
            time.sleep(0.004)

        ours, theirs = socket.socketpair()
        with ThreadPoolExecutor(2) as executor:
            list(executor.map(partial(send, ours), range(30)))
        ours.close()
        print(len(theirs.recv(1000)))

        queue = SimpleQueue()
        with mp.Pool(2, initializer=keep, initargs=({"queue": queue},)) as pool:
            pool.map(tell, range(30))
        print(len([queue.get() for _ in range(30)]), queue.empty())

        with ThreadPool(2) as pool:
            pool.map(abs, range(4))

        tasks, results = Queue(), Queue()
        process = Process(target=serve, args=(tasks, results))
        process.start()
        for x in range(30):
            tasks.put(x)
        print(sum(results.get() for _ in range(30)))
        tasks.put(None)
        process.join()
"""

SERVE = """
    def tell(x):
        time.sleep(0.004)
        queue.put(x)

    def serve(tasks, results):
        for x in iter(tasks.get, None):
            time.sleep(0.004)
            results.put(x)
"""


def test_what_cannot_be_tried_is_named_with_the_reason(tmp_path) -> None:
    output, report, seen = doctor(tmp_path, SERVE + HEAD + APART + TAIL, *AMPLE)
    assert output.split() == ["30", "30", "True", str(ALL)]
    short = [each.api for each in seen.untried if "less than 20 ms" in each.why]
    assert short + [trial.api for trial in seen.trials] == ["map"]  # a busy machine takes longer
    assert sorted(
        each.why.partition(",")[0] for each in seen.untried if "less than 20 ms" not in each.why
    ) == [
        "its tasks can reach a queue",
        "its tasks can reach a socket",
        "its workers run a loop of the program's own",
    ]
    assert "No experiments on" in report


def test_memory_that_experiments_wrote_to_is_put_back(tmp_path) -> None:
    pytest.importorskip("numpy")
    source = """
        import poolwise

        common = {"counter": mp.Value("i", 0), "cells": poolwise.zeros(3)}
        with mp.Pool(2, initializer=keep, initargs=(common,)) as pool:
            pool.map(count, range(30), chunksize=1)
        print(common["counter"].value, *common["cells"])
    """
    count = """
    def count(x):
        time.sleep(0.004)
        with counter.get_lock():
            counter.value += 1
            cells[1] += 1
    """
    output, _, seen = doctor(tmp_path, count + HEAD + source + TAIL, *AMPLE)
    (trial,) = seen.trials
    assert len(trial.experiments) > 1
    assert output == "30 0.0 30.0 0.0\n"


def test_a_worker_that_makes_a_pool_experiments_with_nothing(tmp_path) -> None:
    source = """
        with ProcessPoolExecutor(1) as executor:
            print(executor.submit(inner).result())
    """
    inner = """
    def inner():
        with ThreadPool(2) as pool:
            return sum(pool.map(work, range(30)))
    """
    output, report, seen = doctor(
        tmp_path, inner + HEAD + source + TAIL, "--verify", "--verify-seconds", "0.2"
    )
    assert output == f"{ALL}\n"
    assert [trial.api for trial in seen.trials] == ["submit"]
    assert [each.api for each in seen.untried] == ["map"]
    assert "another process" in report


# --- in the program's process ---------------------------------------------------------------------


def pool_of(workers: int) -> runners.Runner:
    owner = Future()  # anything that can be referred to weakly
    return runners.Runner(owner, "map", None, runners.run_in_pool, workers=workers)


class Callable:
    def __call__(self) -> None:
        pass


def test_functions_that_are_made_anew_for_each_task_are_one_function() -> None:
    made = [
        [lambda: None for _ in range(2)],
        [partial(divmod_of, number) for number in range(2)],
        [Callable() for _ in range(2)],
        [Future().done for _ in range(2)],
    ]
    for some in made:
        first, second = (verify._find_key(function)[0] for function in some)
        assert first == second


def call_of(*tasks) -> verify.Call:
    call = verify.Call((("a.py", 1, "f"), 0), "submit", 0, pool_of(2))
    for task in tasks:
        call.add(*task)
    return call


def test_of_many_tasks_an_evenly_spread_part_is_kept() -> None:
    call = call_of(*((abs, (x,), {}) for x in range(50_000)))
    kept = [args[0] for _, args, _ in call.tasks]
    assert verify.MOST_TASKS / 4 < len(kept) <= verify.MOST_TASKS
    steps = {after - before for before, after in pairwise(kept)}
    assert len(steps) == 1
    assert kept[-1] + max(steps) >= 50_000
    assert call.count == 50_000


def test_what_is_kept_is_bounded_in_bytes_and_what_is_common_counts_once(monkeypatch) -> None:
    monkeypatch.setattr(verify, "MOST_BYTES", 1_000_000)
    large = call_of(*((abs, (bytes(100_000 + x),), {}) for x in range(100)))
    assert 0 < len(large.tasks) <= 10
    common = bytes(900_000)
    assert len(call_of(*((abs, (common, x), {}) for x in range(100))).tasks) == 100
    assert call_of(*((abs, (bytes(2_000_000),), {}) for _ in range(3))).tasks == []


class Loaded:
    def __init__(self, number: int) -> None:
        self.rows = [bytes(100_000 + number)]


def test_what_an_object_holds_is_counted(monkeypatch) -> None:
    monkeypatch.setattr(verify, "MOST_BYTES", 1_000_000)
    assert 0 < len(call_of(*((abs, (Loaded(x),), {}) for x in range(100))).tasks) <= 10


class Once:
    """An input with a length that must not be read twice."""

    def __init__(self) -> None:
        self.reads = 0

    def __len__(self) -> int:
        return 5

    def __iter__(self):
        self.reads += 1
        return iter(range(5))


def test_an_input_is_read_no_more_often_than_without_us() -> None:
    call, given = call_of(), Once()
    watched = call.watch(abs, given)
    assert len(watched) == 5
    assert given.reads == 0
    assert list(watched) == list(range(5))
    assert given.reads == 1
    assert [args for _, args, _ in call.tasks] == [(x,) for x in range(5)]
    listed = [(1, 2), (3, 4)]
    assert call.watch(abs, listed, is_star=True) is listed
    assert call.tasks[-1][1] == (3, 4)


def test_the_call_as_it_was_has_the_chunks_of_its_kind() -> None:
    tasks = [(abs, (x,), {}) for x in range(100)]
    with ThreadPoolExecutor(2) as executor:
        assert runners.of_executor(executor, "map", None).chunk_of(tasks) == 1
    with ThreadPool(2) as pool:
        assert runners.of_pool(pool, "map", None).chunk_of(tasks) == 13
        assert runners.of_pool(pool, "imap", None).chunk_of(tasks) == 1
        assert runners.of_pool(pool, "map", 7).chunk_of(tasks) == 7


def test_tasks_are_handed_out_one_by_one_unless_they_are_to_be_together() -> None:
    apis: list[str] = []
    owner = Future()
    runner = runners.Runner(
        owner, "apply", lambda *_: nullcontext(), lambda _, api, *__: apis.append(api)
    )
    tasks = [(abs, (x,), {}) for x in range(10)]
    runner.time(tasks, [])
    runner.time(tasks, [], chunk=4)
    runner.time(tasks, [], is_together=True)
    assert apis[1::2] == ["apply", "map", "map"]  # between: what makes the workers ready


def test_a_stream_that_ends_with_a_failure_is_not_taken_for_a_fast_one() -> None:
    tasks = [(math.sqrt, (x,), {}) for x in range(9, -11, -1)]
    errors: list[BaseException] = []
    with ThreadPool(2) as pool:
        runners.run_in_pool(pool, "imap", tasks, 1, errors)
        assert len(errors) == 10
        with pytest.raises(ValueError, match=r"domain|nonnegative"):
            runners.run_in_pool(pool, "imap", tasks, 4, errors)


def test_submissions_that_wait_for_each_other_are_told_from_those_that_do_not() -> None:
    alone, together = call_of(), call_of()
    futures = []
    for number in range(10):
        alone.submit(abs, (number,), {})
        future = Future()
        alone.follow(future)
        future.set_result(None)
        together.submit(abs, (number,), {})
        futures.append(Future())
        together.follow(futures[-1])
    assert alone.is_one_by_one
    assert not together.is_one_by_one


def test_only_what_differs_between_tasks_is_sent_when_the_rest_is_put_down() -> None:
    table = [1, 2, 3]
    tasks = [(partial(divmod_of, table, base=10), (x,), {}) for x in range(3)]
    light, (begin, initargs) = runners.put_down(tasks, runners.NO_BEGIN)
    assert [args for _, args, _ in light] == [(0,), (1,), (2,)]
    begin(*initargs)
    assert [runners.call(task) for task in light] == [runners.call(task) for task in tasks]
    owner = [3, 1, 2]
    methods = [(owner.__contains__, (x,), {}) for x in range(3)]
    with pytest.raises(ValueError, match="same object"):  # a method of C code has no function
        runners.put_down([(abs, (x + 0.5,), {}) for x in range(3)], runners.NO_BEGIN)
    with pytest.raises(ValueError, match="alike"):
        runners.put_down(methods, runners.NO_BEGIN)


def divmod_of(table, x, base):
    return divmod(table[x], base)


def test_what_a_task_reaches_is_seen_through_methods_closures_and_globals() -> None:
    ours, theirs = socket.socketpair()
    holder = {"deep": [ours]}
    reaching = [
        (abs, (ours,), {}),
        (partial(abs, holder), (), {}),
        (lambda: holder, (), {}),
        (abs, (), {"x": holder}),
    ]
    try:
        for task in reaching:
            assert "a socket" in live.Reach(call_of(task)).why_not()
        assert live.Reach(call_of((print, (sys.__stdout__,), {}))).why_not() is None
    finally:
        ours.close()
        theirs.close()
    assert live.Reach(call_of(*reaching)).why_not() is None


# --- pure -----------------------------------------------------------------------------------------


AS_IS = Experiment("as-is", None, 0.1, 1.0, 2)


def trial_of(pool, *experiments: Experiment, items: int = 5000, of_items: int = 10_000) -> Trial:
    place = pool.sites[0].place
    return Trial(place, pool.id, "map", items, of_items, 1.0, [AS_IS, *experiments], [])


def small_tasks():
    return made_up.pool({"run_cpu": 0.02, "parent_decide": 0.98}, messages=10_000)


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


def confirmed(trial: Trial, pool, *remedies: Remedy) -> Finding:
    found = Finding("PW001", "", "slow", made_up.CALL, pool.id, 1, "", [], list(remedies), "", 99)
    (told,) = confirm.confirm([found], made_up.run(pool, trials=[trial]))
    return told


def test_remedies_stand_in_the_order_of_what_was_measured_and_losers_are_withdrawn() -> None:
    pool = small_tasks()
    trial = trial_of(
        pool,
        Experiment("serial", None, 0.01, 0.1, 2),
        Experiment("chunksize", 100, 0.05, 0.5, 2),
        Experiment("workers", 4, 0.11, 1.1, 2),
    )
    told = confirmed(
        trial, pool, Remedy("code", "unpriced"), Remedy("workers", "", value=4),
        Remedy("chunksize", "", value=100), Remedy("serial", ""),
    )  # fmt: skip
    assert [each.kind for each in told.remedies] == ["serial", "chunksize", "code"]


def test_a_way_that_was_tried_for_another_reason_and_gains_is_added_with_its_edit() -> None:
    pool = small_tasks()
    trial = trial_of(
        pool, Experiment("threads", 4, 0.02, 0.2, 2), Experiment("poolwise", None, 0.2, 2.0, 2)
    )
    told = confirmed(trial, pool, Remedy("code", "unpriced"))
    assert [each.kind for each in told.remedies] == ["threads", "code"]


def test_a_chunk_that_was_measured_stands_in_for_one_that_could_not_be() -> None:
    pool = small_tasks()
    trial = trial_of(
        pool,
        Experiment("chunksize", 2000, 0.08, 0.8, 2),
        Experiment("chunksize", 256, 0.03, 0.3, 2),
        Experiment("chunksize", 64, 0.05, 0.5, 2),
    )
    found = Finding("PW001", "tasks-too-small", "slow", made_up.CALL, pool.id, 1, "", [],
                    [Remedy("chunksize", "", value=2000)], "", 99)  # fmt: skip
    (told,) = confirm.confirm([found], made_up.run(pool, trials=[trial]))
    assert [(each.value, bool(each.doubt)) for each in told.remedies] == [
        (256, False),
        (2000, True),
    ]


@pytest.mark.parametrize(
    ("items", "seconds", "chunk", "why"),
    [
        (5000, 0.004, 100, "too short to tell"),
        (5000, 0.1, 1000, "too few messages to tell"),
        (10_000, 0.004, 1000, ""),
        (5000, 0.1, 100, ""),
    ],
)
def test_a_measurement_that_is_too_short_tells_nothing_and_says_so(
    items, seconds, chunk, why
) -> None:
    """What took 4 ms, or was five messages, does not refute what was predicted of 10,000."""
    pool = small_tasks()
    as_is = Experiment("as-is", None, seconds, 1.0, 2)
    slow = Experiment("chunksize", chunk, 1.2 * seconds, 1.2, 2)
    trial = Trial(pool.sites[0].place, pool.id, "map", items, 10_000, 1.0, [as_is, slow], [])
    told = confirmed(trial, pool, Remedy("chunksize", "", value=chunk))
    if why:
        assert why in told.remedies[0].doubt
        assert told.remedies[0].measured_s is None
        assert told.confidence == "high"
    else:
        assert told.remedies == []
        assert told.confidence == "low"


def test_what_was_tried_stands_on_the_first_screen() -> None:
    pool = small_tasks()
    trial = trial_of(pool, Experiment("serial", None, 0.01, 0.1, 2),
                     Experiment("workers", 4, 0.11, 1.1, 2))  # fmt: skip
    seen = made_up.run(pool, trials=[trial])
    text = " ".join(render(make_document(seen, diagnose(seen))).split())
    assert "Tried, on 5,000 of 10,000 items: a plain loop 50.0 ms; as it was 500 ms" in text
    assert "4 workers 550 ms (no gain)" in text


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


def test_threads_are_tried_early_where_what_travels_is_heavy() -> None:
    """Whether a function lets go of the GIL shows nowhere else, so no remedy promises it."""
    account = {"run_cpu": 0.1, "parent_pickle": 0.2, "parent_send": 0.4, "receive": 0.3}
    call = {"bytes_out": 240e6, "leaves": [made_up.leaf("arg", 4e6, 12, type="ndarray")]}
    seen = made_up.run(made_up.pool(account, messages=60, call=call))
    diagnosis = diagnose(seen)
    assert diagnosis.verdict == "payload-args"
    ways = choose(seen, diagnosis, (made_up.CALL.file, made_up.CALL.line), 60)
    promised = {each.kind for each in diagnosis.findings[0].remedies}
    first_other = next(way for way in ways if way[0] not in {*promised, "serial"})
    assert first_other == ("threads", 2)


def test_trials_travel_through_json() -> None:
    pool = small_tasks()
    seen = made_up.run(pool, trials=[trial_of(pool, Experiment("workers", 4, 0.1, 0.5, 1))])
    assert from_plain(Evidence, json.loads(json.dumps(to_plain(seen)))) == seen


def run_of(*tried: dict, **more) -> run_records.Run:
    launch = {"began_ns": 0, "ended_ns": 1000, "cpu_s": 5.0, "busy_s": 9.0, "steal_s": 2.0,
              "processes": {"7": {}, "8": {}}}  # fmt: skip
    return run_records.Run(launch, {"verify": list(tried)}, **more)


def pause(began: int, ended: int) -> dict:
    return {"ev": "verify", "t": ended, "began": began, "ended": ended, "cpu_s": 2.0, "pids": [8]}


def test_the_time_of_experiments_is_cut_out() -> None:
    call = run_records.Call(1, 1, 0, 1, 50, 90, 1, 1, 1, -1)
    stacks = ['process 7:"python";work (/srv/a.py:1) 5', 'process 8:"python";work (/srv/a.py:1) 5']
    later = call._replace(began=450, ended=700)
    run = pauses.cut_out(
        run_of(pause(100, 400), pause(500, 600), calls={1: [call, later]}, stacks=stacks)
    )
    assert run.launch["ended_ns"] == 600
    assert run.launch["cpu_s"] == 1.0
    assert run.launch["busy_s"] == pytest.approx(1.0 + 0.6 * 4.0)  # others were busy all the time
    assert run.launch["steal_s"] == pytest.approx(0.6 * 2.0)
    assert list(run.launch["processes"]) == ["7"]
    assert run.stacks == stacks[:1]
    assert run.calls[1] == [call, later._replace(began=150, ended=300)]


def test_a_run_without_experiments_is_as_it_is() -> None:
    run = run_records.Run({"began_ns": 0}, {})
    assert pauses.cut_out(run) is run


def test_what_a_ledger_says_of_its_end_is_moved_with_the_rest() -> None:
    ledger = {"ev": "ledger", "t": 460, "began": 10, "ready": 20, "ending": 80, "ended": 450}
    run = pauses.cut_out(run_records.Run({}, {"verify": [pause(100, 400)], "ledger": [ledger]}))
    (moved,) = run.of("ledger")
    assert (moved["ready"], moved["ending"], moved["ended"]) == (20, 80, 150)


def test_threads_that_were_only_seen_in_experiments_are_not_of_the_program() -> None:
    seen = [made_up_sample(at) for at in (150, 350)]
    run = pauses.cut_out(run_of(pause(100, 400), samples={7: {7: seen[:1], 9: seen}}))
    assert run.samples == {7: {}}


def made_up_sample(at: int):
    return run_records.Sample(at, *[0] * (len(run_records.Sample._fields) - 1))


def test_a_line_is_the_same_by_the_name_of_its_file() -> None:
    whole, name = Place("/srv/a.py", 3, "f"), Place("a.py", 3)
    assert whole.is_line_of(name)
    assert name.is_line_of(whole)
    assert not whole.is_line_of(Place("/srv/a.py", 4))
    assert not whole.is_line_of(Place("/other/a.py", 3))
    assert not name.is_line_of(Place("/srv/aa.py", 3))
    assert not name.is_line_of(None)


def test_calls_without_experiments_share_a_sentence_where_they_share_a_reason() -> None:
    pool = small_tasks()
    untried = [Untried(Place("a.py", line), pool.id, "map", "it was short") for line in range(5)]
    (told,) = trials.say_trials(made_up.run(pool, untried=untried))
    assert (
        told
        == "No experiments on map at a.py:0, map at a.py:1, map at a.py:2 and 2 more: it was short."
    )


def test_a_share_that_was_measured_on_arguments_says_nothing_of_results() -> None:
    pool = small_tasks()
    seen = made_up.run(pool, trials=[trial_of(pool, Experiment("share", None, 0.1, 0.2, 2))])
    for name, is_measured in (("repeated-payload", True), ("payload-results", False)):
        remedy = Remedy("share", "")
        found = Finding("PW", name, "slow", made_up.CALL, pool.id, 1, "", [], [remedy], "", 99)
        (told,) = confirm.confirm([found], seen)
        assert (told.remedies[0].measured_s is not None) is is_measured
