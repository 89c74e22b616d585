"""A list between two pools: found by the program's text and by the times of its calls."""

from __future__ import annotations

import dataclasses

import pytest

from poolwise.doctor.advice.stages import feeds, pipe_of
from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.evidence.features import Place
from poolwise.doctor.rules.pw033_stages_run_in_turn import StagesRunInTurn
from tests.doctor.made_up import pool, run

IN_TURN = {
    "a list": """
pages = list(threads.map(fetch, urls))
rows = list(processes.map(parse, pages))
""",
    "one inside the other": """
rows = processes.map(parse, list(threads.map(fetch, urls)))
""".replace("list(", "list(\n"),
    "futures": """
waiting = [threads.submit(fetch, url) for url in urls]
pages = [each.result() for each in waiting]
rows = processes.map(parse, pages)
""",
    "a list that is filled": """
pages = []
for page in threads.map(fetch, urls): pages.append(page)
rows = processes.map(parse, sorted(pages))
""",
    "functions": """
def get(urls):
    return list(threads.map(fetch, urls))
def work(pages):
    return processes.map(parse, pages)
rows = work(get(urls))
""",
}
APART = {
    "other data": """
pages = list(threads.map(fetch, urls))
rows = list(processes.map(parse, urls))
""",
    "another function's variable": """
def get(urls):
    pages = list(threads.map(fetch, urls))
def work(pages):
    return processes.map(parse, pages)
get(urls); work([1])
""",
}


def stages(tmp_path, text, *, first_s=2.0, second_s=2.0, gap_s=0.0, cpu_s=2.0):
    """A run of such a program: threads that wait, then processes that compute."""
    script = tmp_path / "script.py"
    script.write_text(text)
    lines = text.split("\n")
    at = [next(n for n, line in enumerate(lines, 1) if word in line) for word in CALLED]
    api = "submit" if "threads.submit" in text else "map"
    threads = pool(
        {"run_cpu": 0.02, "run_blocked": 8.0}, slots=4, kind="ThreadPoolExecutor", samples=90,
        blocked_by={"network": 8.0}, id=1,
        call={
            "place": Place(str(script), at[0]), "api": api, "function": "__main__.fetch",
            "first_s": 0.1, "last_s": 0.1 + first_s,
        },
    )  # fmt: skip
    processes = pool(
        {"run_cpu": cpu_s}, id=2,
        call={
            "place": Place(str(script), at[1]), "function": "__main__.parse",
            "first_s": 0.1 + first_s + gap_s, "last_s": 0.1 + first_s + gap_s + second_s,
        },
    )  # fmt: skip
    return run(threads, processes, wall_s=5.0)


CALLED = ("threads.", "processes.")


def judge(seen):
    return list(StagesRunInTurn().examine(seen))


@pytest.mark.parametrize("form", IN_TURN)
def test_results_that_wait_for_all_others_are_found(tmp_path, form):
    seen = stages(tmp_path, IN_TURN[form])
    [found] = judge(seen)
    # Side by side: the longer one, and an item of each to fill and to drain.
    assert found.seconds == pytest.approx(4.0 - 2.0 - 0.08 - 0.02, abs=0.01)
    [remedy] = found.remedies
    assert remedy.words == "poolwise.pipe(urls).map(fetch).map(parse)"
    assert remedy.prediction.now_s - remedy.prediction.then_s == pytest.approx(found.seconds)
    assert found.where.line == seen.pools[1].sites[0].place.line


@pytest.mark.parametrize("form", APART)
def test_calls_that_have_nothing_to_do_with_each_other(tmp_path, form):
    assert judge(stages(tmp_path, APART[form])) == []


def test_calls_that_overlap_are_well(tmp_path):
    assert judge(stages(tmp_path, IN_TURN["a list"], gap_s=-1.0)) == []


def test_where_all_cpus_are_needed_side_by_side_is_no_faster(tmp_path):
    seen = stages(tmp_path, IN_TURN["a list"], first_s=0.05, cpu_s=4.0)
    assert judge(seen) == []


def test_a_program_that_cannot_be_read(tmp_path):
    seen = stages(tmp_path, IN_TURN["a list"])
    first, second = (each.sites[0] for each in seen.pools)
    gone = Place(str(tmp_path / "gone.py"), 1)
    first, second = (dataclasses.replace(each, place=gone) for each in (first, second))
    assert not feeds(first, second)
    assert pipe_of(first, second) == "poolwise.pipe(items).map(fetch).map(parse)"


def test_it_is_the_verdict_of_such_a_program(tmp_path):
    diagnosis = diagnose(stages(tmp_path, IN_TURN["a list"]))
    found = next(each for each in diagnosis.findings if each.name == "stages-run-in-turn")
    assert "poolwise.pipe(urls).map(fetch).map(parse)" in found.remedies[0].words
