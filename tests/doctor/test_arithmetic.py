"""PW028 reads the function: which loops an array library could do in one go."""

from __future__ import annotations

import textwrap

import pytest

from poolwise.doctor.advice.arithmetic import find_loop
from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.evidence.features import Place
from tests.doctor.made_up import pool, run

INDEPENDENT = {
    "a sum": """
        def work(x):
            s = 0
            for i in range(50_000):
                s += (x + i) % 13
            return s
        """,
    "a sum by way of a name": """
        def work(start):
            total = 0.0
            for step in range(60_000):
                x = start + step * 1e-5
                total += (3.0 * x * x - 2.0 * x + 1.0) * 1e-5
            return total
        """,
    "loops in a loop": """
        def work(n):
            s = 0.0
            for i in range(n):
                for j in range(n):
                    s += math.sqrt(i * j)
            return s
        """,
    "a generator": """
        def work(n):
            return sum(i * i % 7 for i in range(n))
        """,
    "in the function it calls": """
        def area(n):
            s = 0
            for i in range(n):
                s += i * i
            return s

        def work(n):
            return n, area(n)
        """,
}

OTHER = {
    "each round needs the one before": """
        def work(n):
            x = 1
            for i in range(n):
                x = (x * 48271 + i) % 2147483647
            return x
        """,
    "a running sum is used inside": """
        def work(n):
            s, most = 0, 0
            for i in range(n):
                s += i % 7
                most = max(most, s)
            return most
        """,
    "branches": """
        def work(n):
            s = 0
            for i in range(n):
                if i % 3:
                    s += i
            return s
        """,
    "calls something else": """
        def work(n):
            s = 0
            for i in range(n):
                s += lookup(i)
            return s
        """,
    "looks things up": """
        def work(words):
            s = 0
            for i in range(len(words)):
                s += table[words[i]]
            return s
        """,
    "until a condition": """
        def work(n):
            s = 0
            while n != 1:
                n = 3 * n + 1 if n % 2 else n // 2
                s += 1
            return s
        """,
    "a loop of another kind around it": """
        def work(x):
            s = 0
            end = time.thread_time() + 0.004
            while time.thread_time() < end:
                for i in range(200):
                    s += i * i % 7
            return s
        """,
    "other things beside the loop": """
        def work(path):
            s = 0
            text = open(path).read()
            for i in range(10):
                s += i * i
            return len(text) + s
        """,
    "no loop": """
        def work(n):
            return n * n
        """,
}


def write(tmp_path, source: str) -> Place:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(source).lstrip())
    lines = path.read_text().splitlines()
    at = next(number for number, line in enumerate(lines, 1) if line.startswith("def work"))
    return Place(str(path), at, "work")


@pytest.mark.parametrize("name", INDEPENDENT)
def test_array_could_do_it(name, tmp_path):
    assert find_loop(write(tmp_path, INDEPENDENT[name]))


@pytest.mark.parametrize("name", OTHER)
def test_array_could_not(name, tmp_path):
    assert find_loop(write(tmp_path, OTHER[name])) is None


def test_a_file_that_is_gone_says_nothing():
    assert find_loop(Place("/nowhere/script.py", 1)) is None


def test_a_file_that_is_no_python_says_nothing(tmp_path):
    (tmp_path / "script.py").write_text("def work(:\n")
    assert find_loop(Place(str(tmp_path / "script.py"), 1)) is None


def test_vectorise_instead_is_the_headline_of_a_well_run_loop(tmp_path):
    place = write(tmp_path, INDEPENDENT["a sum"])
    seen = run(pool({"run_cpu": 1.6}, call={"function_place": place}))
    diagnosis = diagnose(seen)
    assert diagnosis.verdict == "vectorise-instead"
    assert str(diagnosis.findings[0].where) == "script.py:3"


def test_what_the_pool_loses_comes_first(tmp_path):
    place = write(tmp_path, INDEPENDENT["a sum"])
    seen = run(
        pool({"run_cpu": 0.9, "parent_send": 0.6}, messages=4000, call={"function_place": place})
    )
    names = [finding.name for finding in diagnose(seen).findings]
    assert names == ["tasks-too-small", "vectorise-instead"]
