"""The programs of docs/asyncio.md and docs/pipelines.md that stand whole run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.house.tree import ROOT


def programs():
    for name in ("asyncio", "pipelines"):
        text = (ROOT / "docs" / f"{name}.md").read_text()
        for number, program in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL)):
            if "import poolwise" in program and "def " in program:
                yield pytest.param(program, id=f"{name}-{number}")


def test_each_page_has_one():
    assert len(list(programs())) == 2


@pytest.mark.parametrize("program", list(programs()))
def test_it_runs(program, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) >= 3
