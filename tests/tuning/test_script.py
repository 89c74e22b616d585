"""`poolwise tune SCRIPT`: the heaviest call of a program, by the doctor's experiments."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from poolwise import cli
from poolwise.doctor.evidence.features import Experiment, Place, Trial
from poolwise.report import text
from poolwise.tuning import script

PROGRAM = """
import sys
from multiprocessing import Pool

def work(x):
    return sum(range(x))

if __name__ == "__main__":
    with Pool(2) as pool:
        print(len(pool.map(work, range(400), chunksize=1)), sys.argv[1:])
"""


def tried(*experiments, skipped=()):
    ways = [Experiment(kind, value, ratio, ratio, 3) for kind, value, ratio in experiments]
    trial = Trial(Place("own.py", 9), 1, "map", 40, 400, 1.0, ways, list(skipped))
    site = SimpleNamespace(function="work", first_s=0.0, last_s=2.0, work_s=1.0)
    return script.Tried(site, SimpleNamespace(), trial)


def say(one):
    return " ".join(text.render(script.make_document(one)).split())


def test_the_fastest_way_is_said_with_the_curve():
    ways = [("as-is", None, 1.0), ("chunksize", 20, 0.5), ("chunksize", 4, 0.8)]
    ways += [("poolwise", None, 0.55), ("pickle", None, 0.01)]
    said = say(tried(*ways, skipped=["workers 4"]))
    for words in (
        "runs best as chunksize=20: 2.00x as fast", "own.py:9 map(work)", "40 of 400 items",
        "took 1.10x the best time", "not tried: workers 4",
    ):  # fmt: skip
        assert words in said
    curve = said.partition("Chunk sizes")[2]
    order = [curve.index(f"{name} t") for name in ("4", "20", "poolwise.Pool", "as it was")]
    assert order == sorted(order)


def test_a_call_that_nothing_beats_clearly_stays_as_it_is():
    said = say(tried(("as-is", None, 1.0), ("chunksize", 20, 0.99)))
    assert "best as it is" in said


def test_packing_alone_is_no_way_to_run_a_call():
    one = tried(("as-is", None, 1.0), ("pickle", None, 0.01))
    assert one.chosen.kind == "as-is"
    assert "Chunk sizes" not in say(one)


@pytest.mark.slow
def test_a_program_is_run_and_its_call_tried(tmp_path, capfd):
    path, data = tmp_path / "own.py", tmp_path / "data.json"
    path.write_text(PROGRAM)
    words = ["tune", "--budget", "1", "--json", str(data), str(path), "--save", "x"]
    assert cli.main(words) == 0
    out, err = capfd.readouterr()
    assert out == "400 ['--save', 'x']\n"
    assert "own.py:10" in err
    plain = json.loads(data.read_text())
    assert plain["length"] == 400
    assert plain["experiments"]


@pytest.mark.slow
def test_a_program_without_a_pool_is_exit_code_1(tmp_path, capfd):
    path = tmp_path / "own.py"
    path.write_text("print(1)")
    assert cli.main(["tune", "--budget", "1", str(path)]) == 1
    assert "no work to any pool" in capfd.readouterr().err


def test_what_makes_no_sense_for_a_script_is_refused(tmp_path, capsys):
    path = tmp_path / "own.py"
    path.write_text("print(1)")
    assert cli.main(["tune", "--save", "x.json", str(path)]) == 2
    assert "a profile is for a function" in capsys.readouterr().err
    assert cli.main(["tune", str(tmp_path / "nowhere.py")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_items_are_asked_for(capsys):
    assert cli.main(["tune", "tests.tuning.functions:keep"]) == 2
    assert "--items-from" in capsys.readouterr().err
