"""Numbers of the house that may fall and not rise: the way of one item, constants, lines.

Whoever makes one smaller lowers its limit in the same commit.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.test_journey_is_true import list_rows
from tests.house.tree import PACKAGE, ROOT, list_sources, parse

MOST = {"map": {"functions": 176, "files": 27}, "apply": {"functions": 136, "files": 21}}
"""Functions and files of the parent that one item passes (multiprocessing.Pool: 69 in 9)."""

MOST_CONSTANTS = 362
"""Numbers that modules name, most of them thresholds."""

COUNT = """
import json, sys
from benchmarks import journey, peers
from benchmarks.tasks import same

RUNS = {
    "map": lambda pool: lambda items: pool.map(same, items),
    "apply": lambda pool: lambda items: [pool.apply(same, (item,)) for item in items],
}
with journey.followed(peers.poolwise_pool) as pool:
    run = RUNS[sys.argv[1]](pool)
    # The least of a few: on a busy machine another thread may come to lead in between.
    least = lambda what: min(journey.count_what(run, what)[0] for _ in range(5))
    counts = {what: least(what) for what in ("functions", "files")}
    steps = journey.follow(run)
    often = {code.co_filename for code, count in steps.items() if count >= journey.ITEMS / 2}
    print(json.dumps({"counts": counts, "files": sorted(often)}))
"""


@pytest.fixture(scope="module", params=MOST)
def traced(request):
    command = [sys.executable, "-c", COUNT, request.param]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=True, timeout=120
    )
    return request.param, json.loads(done.stdout)


def test_the_way_of_one_item_grows_no_longer(traced):
    way, found = traced
    counts = found["counts"]
    assert {what: counts[what] for what in counts if counts[what] > MOST[way][what]} == {}


def test_each_file_on_the_way_is_named_in_the_journey(traced):
    _, found = traced
    here = {Path(file) for file in found["files"] if Path(file).is_relative_to(PACKAGE)}
    named = {file for files, _ in list_rows() for file in files}
    assert {file.relative_to(PACKAGE).as_posix() for file in here} - named == set()


def test_there_are_no_more_constants():
    assert sum(map(count_constants, list_sources())) <= MOST_CONSTANTS


def count_constants(path):
    """Names in capitals that a module gives to numbers."""
    return sum(
        is_constant(node) and is_number(node.value)
        for node in parse(path).body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
    )


def is_constant(node):
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return any(name.strip("_").isupper() for name in names)


def is_number(node):
    if isinstance(node, ast.UnaryOp):
        return is_number(node.operand)
    if isinstance(node, ast.BinOp):
        return is_number(node.left) and is_number(node.right)
    return isinstance(node, ast.Constant) and type(node.value) in {int, float}
