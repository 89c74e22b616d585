"""`--compare`: the program as it is and under `poolwise run`, in turns, with what it writes."""

from __future__ import annotations

import json
import sys

import pytest

from poolwise.doctor.launch.compare import Comparison, Side, compare, compare_outputs, draw
from poolwise.report import text
from poolwise.report.blocks import Document
from tests.doors.programs import run_python, write

PROGRAM = """
    from multiprocessing import Pool

    def double(x):
        return 2 * x

    if __name__ == "__main__":
        with Pool(2) as pool:
            print(sum(pool.map(double, range(300), chunksize=1)))
    """


def test_the_program_runs_in_turns_with_itself_under_poolwise_run(tmp_path) -> None:
    script = write(tmp_path / "script.py", PROGRAM)
    record = tmp_path / "a.json"
    ended = run_python(
        "-m", "poolwise", "doctor", "--compare", "--compare-rounds", "1", "--json", record, script
    )
    assert (ended.code, ended.out) == (0, f"{sum(range(0, 600, 2))}\n")
    told = json.loads(record.read_text())["comparison"]
    assert told["is_same_output"]
    assert [len(told[side]["wall_s"]) for side in ("before", "after")] == [1, 1]
    assert told["before"]["status"] == told["after"]["status"] == 0
    assert "the same output" in ended.err


def test_both_sides_take_turns() -> None:
    log = "import sys; print('{}', file=open({!r}, 'a'))"
    name = "/dev/null"
    found = compare(
        [sys.executable, "-c", log.format("a", name)],
        [sys.executable, "-c", "raise SystemExit(3)"],
        rounds=2,
    )
    assert (found.before.status, found.after.status) == (0, 3)
    assert len(found.before.wall_s) == len(found.after.wall_s) == 2


@pytest.mark.parametrize(
    ("before", "after", "is_same", "said"),
    [
        (b"1\n2\n", b"1\n2\n", True, "the same output"),
        (b"", b"", True, "no output"),
        (b"1\n2\n", b"2\n1\n", False, "another order"),
        (b"1\n2\n", b"1\n3\n", False, "line 2"),
        (b"1\n", b"1\n2\n", False, "the end became '2'"),
        (b"\xff\0", b"\xfe\0", False, "line 1"),
    ],
)
def test_outputs_are_compared_in_words(before, after, is_same, said) -> None:
    found, words = compare_outputs(before, after)
    assert found is is_same
    assert said in words


def test_a_program_that_never_writes_the_same_is_not_blamed_on_us() -> None:
    assert "each time" in compare_outputs(b"12:01", b"12:02", is_steady=False)[1]


@pytest.mark.parametrize(
    ("after_s", "status", "said"),
    [(0.5, 0, "2 times as fast"), (2.0, 0, "2 times as slow"), (1.02, 0, "No difference"),
     (0.5, 1, "does not end as it did")],
)  # fmt: skip
def test_the_verdict_is_about_the_medians(after_s, status, said) -> None:
    before = Side("as it is", [9.0, 1.0, 1.0], [1.0] * 3, 0)
    after = Side("poolwise run", [after_s] * 3, [1.0] * 3, status)
    comparison = Comparison(before, after, is_same_output=True, output="the same output")
    shown = text.render(Document("x", [draw(comparison)], [], {}))
    assert said in shown
