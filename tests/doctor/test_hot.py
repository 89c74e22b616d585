"""`--profile`: the hot lines inside tasks, from stacks or from counts, and from a real run."""

from __future__ import annotations

import json

import pytest

from poolwise.doctor.gather import hot
from tests.doors.programs import run_python, write

PROGRAM = """
    from multiprocessing import Pool

    def burn(x):
        total = 0
        for number in range(40_000):
            total += number * number % 7
        return total

    def work(x):
        return burn(x) + 1

    if __name__ == "__main__":
        with Pool(2) as pool:
            print(sum(pool.map(work, range(120), chunksize=3)) > 0)
    """

HOME = "/usr/lib/python3.11/multiprocessing/pool.py"
POOL = f"worker ({HOME}:125);mapstar ({HOME}:48)"


def test_a_real_run_names_the_function_that_burns(tmp_path) -> None:
    script = write(tmp_path / "script.py", PROGRAM)
    record = tmp_path / "a.json"
    options = ["--profile", "--json", record]
    ended = run_python("-m", "poolwise", "doctor", *options, script, POOLWISE_PROFILER="cProfile")
    assert (ended.code, ended.out) == (0, "True\n")
    profile = json.loads(record.read_text())["evidence"]["profile"]
    assert profile["tool"] == "cProfile"
    hottest = profile["lines"][0]
    assert hottest["function"] == "burn"
    assert hottest["file"].endswith("script.py")
    assert hottest["share"] > 0.5
    assert "burn" in ended.err


def test_stacks_count_for_the_deepest_line_of_the_program() -> None:
    stacks = [
        f"process 1;{POOL};work (/srv/a.py:9);burn (/srv/a.py:4) 30",
        f"process 1;{POOL};work (/srv/a.py:9);dumps (/usr/lib/python3.11/json/__init__.py:231) 10",
        "process 1;<module> (/srv/a.py:20);map (/usr/lib/python3.11/multiprocessing/pool.py:1) 99",
        "cut off",
    ]
    profile = hot.from_stacks(stacks, rate=100)
    assert profile is not None
    assert profile.seconds == pytest.approx(0.4)
    first, second = profile.lines
    assert (first.function, first.line, first.share) == ("burn", 4, pytest.approx(0.75))
    assert (second.function, second.line, second.through) == ("work", 9, "dumps")


def test_counts_of_workers_add_up_and_the_last_of_each_counts() -> None:
    entries = [
        ("/srv/a.py", 1, "burn", 3.0),
        ("/usr/lib/python3.11/multiprocessing/pool.py", 1, "w", 9.0),
    ]
    events = [
        {"pid": 1, "entries": [("/srv/a.py", 1, "burn", 1.0)]},
        {"pid": 1, "entries": entries},
        {"pid": 2, "entries": [("/srv/a.py", 7, "work", 1.0)]},
    ]
    profile = hot.from_counts(events)
    assert profile is not None
    assert [(line.function, line.share) for line in profile.lines] == [
        ("burn", 0.75),
        ("work", 0.25),
    ]


def test_nothing_seen_is_no_profile() -> None:
    assert hot.from_stacks([], 100) is None
    assert hot.from_counts([]) is None
