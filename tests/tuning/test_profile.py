"""Saved profiles: read and refused, and what a pool and a map make of them."""

from __future__ import annotations

import functools
import json
import os
import runpy
from pathlib import Path

import pytest

import poolwise
from poolwise.choose import pools
from poolwise.choose.model import Measured
from poolwise.choose.stretch import Stretch
from poolwise.doors import profile
from poolwise.doors.profile import Profile, read_profile
from tests.tuning import functions as work

COSTS = {"wall_s": 0.01, "cpu_s": 0.01, "process_cpu_s": 0.01, "send_s": 1e-5, "gil": 1.0}


def made(function=work.double, **changes):
    given = {
        "function": profile.name_of(function), "code": profile.digest_code(function),
        "kind": "processes", "workers": 2, "chunksize": 5, "costs": dict(COSTS), "items": 1000,
        "gain": [1.9, 1.8, 2.0], "machine": profile.describe_machine(),
    }  # fmt: skip
    return Profile(**{**given, **changes})


@pytest.fixture(autouse=True, scope="module")
def _end_workers():
    yield
    pools.end_all()


@pytest.fixture
def saved(tmp_path):
    def save(name="saved.json", function=work.double, **changes):
        path = tmp_path / name
        made(function, **changes).save(path)
        return path

    return save


# -- the file


def test_what_is_saved_is_read(saved):
    path = saved()
    read = read_profile(path)
    assert read == made(path=str(path))
    assert json.loads(path.read_text())["format"] == "poolwise profile 1"


def test_a_changed_file_is_read_again(saved):
    assert read_profile(saved(workers=2)).workers == 2
    path = saved(workers=12)
    os.utime(path, ns=(1, 1))
    assert read_profile(path).workers == 12


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": "other"}, "format"),
        ({"kind": "gpu"}, "kind"),
        ({"workers": 0}, "workers"),
        ({"workers": True}, "workers"),
        ({"workers": "two"}, "workers"),
        ({"chunksize": 0}, "chunksize"),
        ({"chunksize": 1.5}, "chunksize"),
        ({"costs": {}}, "wall_s"),
        ({"costs": {**COSTS, "wall_s": -1}}, "wall_s"),
        ({"costs": {**COSTS, "cpu_s": None}}, "cpu_s"),
        ({"machine": None}, "machine"),
    ],
)
def test_a_broken_profile_is_refused_in_a_sentence(saved, changes, says):
    path = saved()
    plain = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(plain))
    with pytest.raises(ValueError, match=says) as raised:
        read_profile(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "[1]", "kind = 1", "{"])
def test_a_file_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="holds no profile"):
        read_profile(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ValueError, match="cannot be read"):
            read_profile(path)


def test_a_missing_field_is_named(saved):
    path = saved()
    plain = json.loads(path.read_text())
    del plain["workers"]
    path.write_text(json.dumps(plain))
    with pytest.raises(ValueError, match="no 'workers'"):
        read_profile(path)


# -- for whom it is


def test_functions_are_known_by_name_through_partials_and_methods():
    assert profile.name_of(functools.partial(work.add, 1)) == "tests.tuning.functions:add"
    assert profile.name_of(made().is_about) == "poolwise.doors.profile:Profile.is_about"
    assert made().why_not_for(work.double) is None


def test_a_function_has_the_same_name_where_its_module_is_the_program(tmp_path):
    script = tmp_path / "program.py"
    script.write_text("def work(x):\n    return x\n")
    function = runpy.run_path(str(script), run_name="program")["work"]
    assert profile.name_of(function) == "program:work"
    import __main__

    main_file = getattr(__main__, "__file__", None)
    spec = getattr(__main__, "__spec__", None)
    function.__module__ = "__main__"
    expected = spec.name if spec else Path(main_file).stem
    assert profile.name_of(function) == f"{expected}:work"


def test_another_function_and_a_changed_one_are_told_apart():
    assert "not for tests.tuning.functions:halve" in made().why_not_for(work.halve)
    assert "earlier version" in made(code="0" * 16).why_not_for(work.double)
    other = {**profile.describe_machine(), "python": "3.1"}
    assert made(code="0" * 16, machine=other).why_not_for(work.double) is None


@pytest.mark.parametrize("fact", ["cpus", "system", "free_threaded"])
def test_another_machine_is_said(fact):
    other = {**profile.describe_machine(), fact: "other"}
    assert "another machine" in made(machine=other).why_not_here()
    assert made().why_not_here() is None


# -- a pool


def test_a_pool_is_made_as_it_says(saved):
    with poolwise.Pool.from_profile(saved(kind="threads", workers=3)) as pool:
        assert pool.statistics()["workers"] == 3
        assert pool.backend.name == "threads"
        assert pool.map(work.double, range(20)) == [2 * x for x in range(20)]


def test_calls_of_its_function_have_its_chunks(saved, monkeypatch):
    units = []
    make = poolwise.Pool._make_job

    def watched(self, *args, unit, **options):
        units.append(unit)
        return make(self, *args, unit=unit, **options)

    with poolwise.Pool.from_profile(saved(kind="threads")) as pool:
        monkeypatch.setattr(poolwise.Pool, "_make_job", watched)
        pool.map(work.double, range(20))
        list(pool.imap(work.double, range(20)))
        pool.map(work.halve, range(20))
        pool.map(work.double, range(20), 3)
    assert units == [5, 5, None, 3]


def test_options_win_over_the_profile(saved):
    with poolwise.Pool.from_profile(saved(), processes=1, backend="serial") as pool:
        assert pool.backend.name == "serial"


def test_a_pool_of_a_serial_profile_is_serial(saved):
    with poolwise.Pool.from_profile(saved(kind="serial", workers=1)) as pool:
        assert pool.map(os.getpid.__class__, []) == []
        assert pool.apply(os.getpid) == os.getpid()


def test_coroutines_have_no_pool(saved):
    with pytest.raises(ValueError, match=r"poolwise\.map"):
        poolwise.Pool.from_profile(saved(kind="asyncio"))


def test_a_profile_of_another_machine_is_warned_of(saved):
    machine = {**profile.describe_machine(), "cpus": 640}
    path = saved(kind="threads", workers=640, machine=machine)
    with pytest.warns(RuntimeWarning, match="another machine"):
        pool = poolwise.Pool.from_profile(path)
    with pool:
        assert pool.statistics()["workers"] == poolwise.cpu_count()


def test_the_environment_names_a_pools_profile(saved, monkeypatch):
    monkeypatch.setenv("POOLWISE_PROFILE", str(saved(kind="threads", workers=3)))
    with poolwise.Pool.from_profile() as pool:
        assert pool.statistics()["workers"] == 3
    monkeypatch.delenv("POOLWISE_PROFILE")
    with pytest.raises(ValueError, match="POOLWISE_PROFILE"):
        poolwise.Pool.from_profile()


# -- a map


def test_a_map_begins_as_it_says(saved):
    path = saved(kind="threads", workers=3)
    cheap = {**COSTS, "wall_s": 1.0, "cpu_s": 0.0, "process_cpu_s": 0.0}
    path = saved(kind="threads", workers=3, costs=cheap)
    values = poolwise.map(work.double, range(50), profile=path)
    assert values == [2 * x for x in range(50)]
    assert values.plan.changes[0].after == "threads"
    assert values.plan.changes[0].item == 0
    assert any(str(path) in note for note in values.plan.notes)
    assert values.plan.runs == 50


def test_a_map_starts_workers_for_it(saved):
    path = saved(costs={**COSTS, "wall_s": 9.0, "cpu_s": 9.0, "process_cpu_s": 9.0})
    with poolwise.workers(2):
        values = poolwise.map(work.double, range(50), profile=path)
    assert values == [2 * x for x in range(50)]
    assert values.plan.runs == 50


def test_it_is_a_prior_few_items_are_not_worth_what_it_says(saved):
    path = saved(costs={**COSTS, "wall_s": 1e-7, "cpu_s": 1e-7, "process_cpu_s": 1e-7})
    plan = poolwise.map(work.double, range(5), profile=path).plan
    assert (plan.choice, plan.changes) == ("serial", [])


def test_a_serial_profile_goes_on_measuring(saved):
    plan = poolwise.map(work.double, range(500), profile=saved(kind="serial", workers=1)).plan
    assert plan.measured is not None


def test_a_profile_of_coroutines_says_how_many_at_once(saved):
    path = saved(kind="asyncio", workers=3, function=work.fetch)
    values = poolwise.map(work.fetch, range(3), profile=path)
    assert values == [0, 2, 4]
    assert values.plan.choice == "asyncio"
    assert values.plan.changes[0].after == "asyncio"


def test_what_the_caller_says_wins(saved):
    plan = poolwise.map(work.double, range(5), profile=saved(), kind="serial").plan
    assert plan.choice == "serial"


def test_a_kind_that_is_not_allowed_is_not_begun(saved):
    path = saved(costs={**COSTS, "wall_s": 9.0, "cpu_s": 9.0, "process_cpu_s": 9.0})
    plan = poolwise.map(work.double, range(50), profile=path, allow={"serial"}).plan
    assert plan.choice == "serial"


def test_a_profile_of_another_function_is_refused_before_anything_runs(saved):
    work.SEEN.clear()
    with pytest.raises(ValueError, match=r"is for tests\.tuning\.functions:double"):
        poolwise.map(work.keep, range(5), profile=saved())
    assert work.SEEN == []


def test_one_of_another_machine_or_version_is_left_and_noted(saved):
    machine = {**profile.describe_machine(), "cpus": 640}
    for changes, words in (({"machine": machine}, "machine"), ({"code": "0"}, "earlier version")):
        plan = poolwise.map(work.double, range(5), profile=saved(**changes)).plan
        assert plan.choice == "serial"
        assert any(words in note for note in plan.notes)


def test_the_environment_names_profiles_of_some_functions(saved, monkeypatch):
    waits = {**COSTS, "wall_s": 1.0, "cpu_s": 0.0, "process_cpu_s": 0.0}
    paths = [
        saved("a.json", work.halve, kind="threads", costs=waits),
        saved("b.json", kind="threads", costs=waits),
    ]
    monkeypatch.setenv("POOLWISE_PROFILE", os.pathsep.join(map(str, paths)))
    plan = poolwise.map(work.double, range(50)).plan
    assert any("b.json" in note for note in plan.notes)
    assert poolwise.map(abs, range(50)).plan.notes == []


def test_a_broken_profile_of_the_environment_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("POOLWISE_PROFILE", str(tmp_path / "nowhere.json"))
    with pytest.raises(ValueError, match="POOLWISE_PROFILE"):
        poolwise.map(work.double, range(5))


@pytest.mark.exhaustive  # the map is right to stay where threads get no CPU beside other load
def test_a_wrong_prior_is_left(saved, monkeypatch):
    """It says that items wait; reviews see that they compute, and are tiny."""
    waits = {**COSTS, "wall_s": 1.0, "cpu_s": 0.0, "process_cpu_s": 0.0}
    path = saved(kind="threads", workers=2, costs=waits)
    seen = Measured(100, 1e-7, 1e-7, 1e-7, send_s=1e-5, gil=1.0)
    monkeypatch.setattr(Stretch, "review", lambda _: seen)
    values = poolwise.map(work.double, range(200_000), profile=path)
    assert values == [2 * x for x in range(200_000)]
    assert [change.after for change in values.plan.changes][:2] == ["threads", "serial"]
    assert values.plan.runs == 200_000
