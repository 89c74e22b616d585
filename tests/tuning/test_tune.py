"""`poolwise.tune` and the command: real functions on real pools, but trials of made-up length."""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

import poolwise
from poolwise import cli
from poolwise.choose import pools
from poolwise.choose.call import Call
from poolwise.choose.model import Measured
from poolwise.doors.profile import read_profile
from poolwise.errors import SampleFailed
from poolwise.report import extras
from poolwise.tuning import door, runner, sample
from poolwise.tuning.race import Setting
from poolwise.tuning.search import OURS, STANDARD, Found
from tests.tuning import functions as work
from tests.tuning.test_profile import made

KEEP, NUMBERS = "tests.tuning.functions:keep", "tests.tuning.functions:NUMBERS"

AMPLE_S = 1e6
"""So that no trial depends on speed."""

needs_plotly = pytest.mark.skipif(not extras.has_plotly(), reason="no plotly")


@pytest.fixture(autouse=True)
def _clean():
    work.SEEN.clear()
    work.TOTAL = 0
    yield
    pools.end_all()


@pytest.fixture
def costs(monkeypatch):
    """Seconds by kind of setting; trials are not run."""
    seconds = {"serial": 4.0, "threads": 5.0, "processes": 2.0, OURS: 2.2, STANDARD: 3.0}
    tried = []

    class Fake(runner.Runner):
        def time(self, setting):
            tried.append(setting)
            self.runs += len(self._sample)
            cost = seconds.get(setting.kind, 1.0)
            if isinstance(cost, Exception):
                raise cost
            return cost * (1.5 if setting.chunksize == 5 else 1.0)

    monkeypatch.setattr(door, "Runner", Fake)
    monkeypatch.setattr(door, "cpu_count", lambda: 2)
    seconds["tried"] = tried
    return seconds


with_costs = pytest.mark.usefixtures("costs")


def tune(function=work.double, items=work.NUMBERS, **options):
    return poolwise.tune(function, items, **{"budget": AMPLE_S, "say": lambda _: None, **options})


# -- the outcome


@with_costs
def test_it_says_the_setting_the_gain_and_where_ours_stands():
    tuned = tune()
    assert (tuned.kind, tuned.workers, tuned.chunksize) == ("processes", 1, None)
    assert tuned.gain.value == pytest.approx(2.0)
    assert tuned.gain.low < 2.0 < tuned.gain.high
    assert tuned.gain_over_map.value == pytest.approx(1.1)
    text = str(tuned)
    for words in ("1 process:", "2.00x (", "1.10x (", "poolwise.map", "Chunk sizes", "self-sized"):
        assert words in text, words


def test_a_gain_that_noise_may_explain_is_doubted(costs, monkeypatch):
    assert "not certain" not in str(tune())
    factors = itertools.cycle([1.0, 0.3, 4.0, 1.0, 2.5])
    time = door.Runner.time
    monkeypatch.setattr(door.Runner, "time", lambda *given: time(*given) * next(factors))
    costs["processes"] = 3.9
    tuned = tune(allow={"processes"})
    doubted = replace(tuned)
    doubted.found = Found(Setting("processes", 2))
    assert doubted.gain.low < 1 < doubted.gain.high
    assert "not certain" in str(doubted)


def test_a_loop_may_be_best(costs):
    costs["serial"] = 1.0
    tuned = tune()
    assert tuned.kind == "serial"
    assert "runs best in a plain loop" in str(tuned)


def test_the_length_of_the_call_counts_starts(costs, monkeypatch):
    costs["serial"] = 2.1
    monkeypatch.setattr(
        runner.Runner, "start_s", lambda _, setting: 0.5 if setting.kind == "processes" else 0.0
    )
    assert tune().kind == "serial"
    assert tune(length=40_000).kind == "processes"


@with_costs
def test_it_is_all_there_as_data():
    plain = json.loads(json.dumps(tune().as_dict()))
    assert plain["sample"] == plain["length"] == 40
    assert plain["profile"]["kind"] == "processes"
    kinds = {trial["kind"] for trial in plain["trials"]}
    assert kinds == {"serial", "threads", "processes", OURS, STANDARD}
    assert all(trial["whole_s"] for trial in plain["trials"])


@needs_plotly
@with_costs
def test_the_page_has_the_curve():
    page = tune().to_html()
    assert "poolwise.Pool, processes" in page
    assert "multiprocessing.Pool" in page


@with_costs
def test_it_is_saved_and_read_again(tmp_path):
    path = tmp_path / "double.json"
    tune().save(path)
    profile = read_profile(path)
    assert (profile.kind, profile.workers, profile.items) == ("processes", 1, 40)
    assert profile.gain[0] == pytest.approx(2.0)
    with poolwise.Pool.from_profile(path) as pool:
        assert pool.map(work.double, range(5)) == [0, 2, 4, 6, 8]
    assert poolwise.map(work.double, range(5), profile=path) == [0, 2, 4, 6, 8]


def test_kinds_may_be_forbidden(costs):
    assert tune(allow={"threads"}).kind == "serial"
    assert {each.kind for each in costs["tried"]} == {"serial", "threads", OURS}


@with_costs
def test_a_saved_setting_that_no_longer_holds_is_said():
    prior = made(work.double, kind="threads", workers=2, chunksize=None)
    said = " ".join(str(tune(prior=prior)).split())
    assert "The saved setting, threads (2), takes 2.50x (" in said
    held = made(work.double, kind="processes", workers=1, chunksize=None)
    assert "still holds" in str(tune(prior=held))


@with_costs
def test_a_saved_setting_may_be_given_by_its_file_and_of_an_earlier_version(tmp_path):
    path = tmp_path / "old.json"
    made(work.double, workers=1, chunksize=None, code="0" * 16).save(path)
    assert "still holds" in str(tune(prior=path))


def test_a_kind_that_fails_is_left_out_and_said(costs):
    costs["processes"] = OSError(12, "no memory")
    tuned = tune()
    assert tuned.kind == "serial"
    assert "no memory" in str(tuned)


@with_costs
def test_no_time_for_anything_is_said(monkeypatch):
    ticks = iter(range(10_000))
    clock = SimpleNamespace(perf_counter=lambda: float(next(ticks)))
    monkeypatch.setattr(door, "time", clock)
    tuned = tune(budget=0.5)
    assert tuned.is_undecided
    said = " ".join(str(tuned).split())
    assert "left no time" in said
    assert "Nothing is known of double" in said


@with_costs
def test_nothing_is_saved_of_no_comparison(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(door.Tuned, "is_undecided", True)
    path = tmp_path / "x.json"
    words = ["tests.tuning.functions:double", "--items-from", NUMBERS, "--budget", "1e6"]
    assert command(*words, "--save", str(path)) == 2
    assert "nothing to save" in capsys.readouterr().err
    assert not path.exists()


# -- real trials


@pytest.mark.parametrize("items", [range(30), list(range(30)), iter(range(30)), [1], {3: 4}])
def test_it_runs_on_real_pools(items):
    tuned = tune(items=items, budget=2.0)
    assert tuned.race.times[Setting("serial")]
    assert tuned.kind in {"serial", "threads", "processes"}
    assert tuned.runs >= 1


def test_items_may_be_tuples_of_arguments():
    tuned = tune(work.add, [(x, 1) for x in range(30)], star=True, budget=2.0)
    assert not any("failed" in why for why in tuned.race.stopped.values())


def test_coroutines_are_tried_in_numbers():
    tuned = tune(work.fetch, range(30), budget=2.0)
    assert {each.kind for each in tuned.race.times} == {"serial", "asyncio", OURS}
    assert not any("failed" in why for why in tuned.race.stopped.values())


def test_each_kind_really_runs_the_sample():
    call = Call(work.double, has_many=False, seed=None)
    kinds = [("serial", 1), ("threads", 2), ("processes", 2), (OURS, 1), (STANDARD, 2)]
    with runner.Runner(call, list(range(30)), 2) as there:
        for kind, workers in kinds:
            assert there.time(Setting(kind, workers)) > 0
            assert there.time(Setting(kind, workers, 5)) > 0
        assert there.start_s(Setting("processes", 2)) > 0
        assert there.start_s(Setting("serial")) == 0
        # five kinds twice, and what has warmed four pools
        assert there.runs >= 2 * 5 * 30


def test_a_generator_without_end_is_cut():
    tuned = tune(work.double, work.endless(), budget=AMPLE_S, allow={"serial"})
    assert tuned.length == 20_000
    tuned = tune(work.double, dict.fromkeys(range(20_001)), budget=AMPLE_S, allow={"serial"})
    assert tuned.length == 20_001


# -- what cannot be


@pytest.mark.parametrize("budget", [0, -1, float("inf"), float("nan")])
def test_the_budget_is_a_positive_number(budget):
    with pytest.raises(ValueError, match="budget"):
        poolwise.tune(work.keep, [1], budget=budget)
    assert work.SEEN == []


def test_other_wrong_words():
    with pytest.raises(ValueError, match="length"):
        poolwise.tune(work.keep, [1], length=0)
    with pytest.raises(ValueError, match="no kind 'gpu'"):
        poolwise.tune(work.keep, [1], allow={"gpu"})
    with pytest.raises(ValueError, match="no items"):
        poolwise.tune(work.keep, [])
    with pytest.raises(TypeError, match="callable"):
        poolwise.tune(3, [1])
    with pytest.raises(TypeError, match="iterable"):
        poolwise.tune(work.keep, 3)
    assert work.SEEN == []


def test_a_function_that_fails_is_said_with_the_item():
    with pytest.raises(SampleFailed, match=r"fail_on_seven\(7\) raised RuntimeError: not this"):
        tune(work.fail_on_seven, range(20))


def test_one_that_fails_later_is_found_where_a_loop_ran_few(monkeypatch):
    """Of items that wait a loop runs few; all trials of the whole sample fail then."""
    slow = Measured(16, 1.0, 0.0, 0.0)
    measure = sample.measure
    looks = []

    def look(call, items, most_s):
        looks.append(len(items))
        if len(looks) == 1:
            return slow, 1.0, len(items)
        return measure(call, items, most_s)

    monkeypatch.setattr(sample, "measure", look)
    with pytest.raises(SampleFailed, match=r"fail_on_all\(0\)"):
        tune(work.fail_on_all, range(100), budget=5.0)
    assert looks == [16, 8]


def test_a_loop_over_items_that_wait_runs_some_and_is_scaled():
    call = Call(work.keep, has_many=False, seed=None)
    with runner.Runner(call, list(range(100)), 2, at_once=10) as there:
        there.time(Setting("serial"))
        assert list(range(0, 100, 10)) == work.SEEN
        there.time(Setting("threads", 2))
        assert len(work.SEEN) >= 10 + 100


def test_a_long_item_is_cut_short_in_the_message():
    with pytest.raises(SampleFailed, match=r"\.\.\.\) raised TypeError") as raised:
        tune(work.halve, ["x" * 1000])
    assert len(str(raised.value)) < 300


@with_costs
def test_what_cannot_be_sent_is_tried_without_processes():
    for function, items in [(id, [threading.Lock()]), (Locked().add, [1])]:
        tuned = tune(function, items * 5)
        assert "no trial with processes" in " ".join(str(tuned).split())
        assert "processes" not in {each.kind for each in tuned.race.times}


def test_results_that_cannot_be_sent_leave_processes_out_and_nothing_else():
    tuned = tune(work.make_function, range(30), budget=3.0, allow={"processes"})
    assert tuned.kind == "serial"
    failed = {each.kind for each, why in tuned.race.stopped.items() if "failed" in why}
    assert failed == {"processes"}


class Locked:
    def __init__(self):
        self._lock = threading.Lock()

    def add(self, x):
        with self._lock:
            return x + 1


# -- side effects


def test_what_assigns_outside_is_said_before_it_runs_and_run_once(costs):
    said = []
    tuned = tune(work.count, range(5), say=lambda words: said.append((words, work.TOTAL)))
    assert [total for _, total in said] == [0, 0]
    assert "assigns to TOTAL" in said[1][0]
    assert sum(range(5)) == work.TOTAL
    assert (tuned.kind, tuned.runs, costs["tried"]) == ("serial", 5, [])
    with pytest.warns(RuntimeWarning, match="assigns to TOTAL"):
        poolwise.tune(work.count, range(5), budget=AMPLE_S)


@with_costs
def test_what_seems_to_change_something_is_said_before_it_runs():
    said = []
    tuned = tune(work.keep, range(5), say=lambda words: said.append((words, len(work.SEEN))))
    assert "seems to change SEEN" in said[1][0]
    assert said[1][1] == 0
    assert tuned.kind == "serial"
    assert any("changes SEEN" in note for note in tuned.notes)


def test_functions_of_modules_are_no_side_effects():
    said = []
    tune(work.shuffled, range(5), say=said.append, budget=0.5)
    assert len(said) == 1


# -- the command


def command(*words):
    return cli.main(["tune", *words])


@with_costs
def test_the_command_prints_and_saves(tmp_path, capsys):
    path = tmp_path / "double.json"
    given = ["tests.tuning.functions:double", "--items-from", NUMBERS]
    assert command(*given, "--budget", "1e6", "--save", str(path)) == 0
    out, err = capsys.readouterr()
    assert "runs best with 1 process:" in out
    assert f"poolwise.map(double, items, profile='{path}')" in out
    assert "runs again and again" in err
    assert read_profile(path).kind == "processes"
    assert command(*given, "--budget", "1e6", "--check", str(path)) == 0
    assert "still holds" in capsys.readouterr().out


@with_costs
def test_the_command_takes_lines_and_files(tmp_path, capsys):
    (tmp_path / "pairs").write_text("[1, 2]\n[3, 4]\n")
    words = ["tests.tuning.functions:add", "--items", str(tmp_path / "pairs"), "--star"]
    assert command(*words, "--budget", "1e6", "--json", "-") == 0
    assert json.loads(capsys.readouterr().out)["sample"] == 2
    assert command("builtins:len", "--files", str(tmp_path / "*"), "--budget", "1e6") == 0
    assert "len runs best" in capsys.readouterr().out


@needs_plotly
@with_costs
def test_the_command_writes_a_page(tmp_path):
    path = tmp_path / "page.html"
    words = ["tests.tuning.functions:double", "--items-from", NUMBERS]
    assert command(*words, "--budget", "1e6", "--html", str(path)) == 0
    assert "Chunk sizes" in path.read_text()


@pytest.mark.parametrize(
    "words",
    [
        ["no_such_module:f", "--items-from", NUMBERS],
        [NUMBERS, "--items-from", NUMBERS],
        [KEEP, "--items", "no_such_file"],
        [KEEP, "--files", "no_such_file*"],
        [KEEP, "--items-from", "tests.tuning.functions:TOTAL"],
        [KEEP, "--items-from", "tests.tuning.functions:SEEN"],
        [
            KEEP,
            "--items-from",
            NUMBERS,
            "--allow",
            "gpu",
        ],
        [
            KEEP,
            "--items-from",
            NUMBERS,
            "--save",
            "/no/x",
        ],
        [
            KEEP,
            "--items-from",
            NUMBERS,
            "--check",
            "/no/x",
        ],
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(words, capsys):
    assert command(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("poolwise tune: ")
    assert work.SEEN == []


@pytest.mark.parametrize(
    "words",
    [["--budget", "0"], ["--budget", "x"], ["--length", "0"], ["--wrong"], ["--items", "x"]],
)
def test_wrong_options_are_refused_by_name(words, capsys):
    given = [KEEP, "--items-from", NUMBERS, *words]
    with pytest.raises(SystemExit) as raised:
        command(*given)
    assert raised.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_a_profile_of_another_function_or_machine_is_refused(tmp_path, capsys):
    path = tmp_path / "other.json"
    given = [KEEP, "--items-from", NUMBERS]
    for profile, says in (
        (made(work.double), "not for tests.tuning.functions:keep"),
        (made(work.keep, machine={**made().machine, "cpus": 640}), "another machine"),
    ):
        profile.save(path)
        assert command(*given, "--check", str(path)) == 2
        assert says in capsys.readouterr().err
    assert work.SEEN == []


def test_a_failing_item_is_exit_code_1(capsys):
    words = ["tests.tuning.functions:fail_on_seven", "--items-from", NUMBERS]
    assert command(*words) == 1
    assert "fail_on_seven(7) raised RuntimeError" in capsys.readouterr().err


def test_ctrl_c_is_said(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(door, "tune", interrupted)
    words = ["tests.tuning.functions:double", "--items-from", NUMBERS]
    assert command(*words) == 130
    assert "interrupted" in capsys.readouterr().err
