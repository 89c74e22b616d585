"""The scripts in examples/ know nothing of poolwise, and print the same on our pools."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.house.tree import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FEW = "40"
"""Files to measure: enough for a table, and quick."""


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True)


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.name)
def test_example_knows_nothing_of_poolwise(script):
    assert "poolwise" not in script.read_text()


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.name)
def test_example_prints_the_same_under_poolwise(script):
    plain, ours = run(script, FEW), run("-m", "poolwise", "run", script, FEW)
    assert "whole library" in plain.stdout
    assert (ours.stdout, ours.stderr) == (plain.stdout, plain.stderr)
