"""Numbers of the house that may fall and not rise: the way of one item, constants, lines.

Whoever makes one smaller lowers its limit in the same commit.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

from tests.house.tree import ROOT, list_sources, parse

MOST = {"map": {"functions": 185, "files": 29}, "apply": {"functions": 142, "files": 24}}
"""Functions and files of the parent that one item passes (multiprocessing.Pool: 69 in 9); some ten
functions more or less by which thread happens to drive."""

MOST_CONSTANTS = 484
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
    print(json.dumps({what: journey.count_what(run, what)[0] for what in ("functions", "files")}))
"""


@pytest.mark.parametrize("way", MOST)
def test_the_way_of_one_item_grows_no_longer(way):
    command = [sys.executable, "-c", COUNT, way]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=True, timeout=120
    )
    found = json.loads(done.stdout)
    assert {what: found[what] for what in found if found[what] > MOST[way][what]} == {}


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
