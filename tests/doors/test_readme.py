"""The README's programs run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.house.tree import ROOT

PROGRAMS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("program", PROGRAMS, ids=["pool", "executor", "shared"])
def test_program_of_the_readme_runs(program, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(program)
    run = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True)
    assert len(run.stdout.splitlines()) >= 2
    assert run.stderr == ""
