"""The programs of docs/neighbours.md run as they stand."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.house.tree import ROOT

TEXT = (ROOT / "docs" / "neighbours.md").read_text()


def programs():
    for title, part in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE):
        for number, program in enumerate(re.findall(r"```python\n(.*?)```", part, re.DOTALL)):
            yield pytest.param(program, id=f"{title}-{number}")


def test_each_part_has_a_program():
    assert len(list(programs())) > len(re.findall(r"^## ", TEXT, re.MULTILINE))


def libraries(program):
    """Names of the packages that it imports."""
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.partition(".")[0]


@pytest.mark.slow
@pytest.mark.parametrize("program", list(programs()))
def test_it_runs(program, tmp_path):
    missing = [name for name in libraries(program) if find_spec(name) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr
