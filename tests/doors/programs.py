"""Programs for the tests of `install()` and `poolwise run`: written to files, run, told apart."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

WITH_US = ("-m", "poolwise", "run")


@dataclass(frozen=True)
class Ended:
    """What is seen of a program from outside."""

    code: int
    out: str
    err: str


def write(path: Path, source: str) -> Path:
    """Write a program, indented as it stands in a test."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(source))
    return path


def run_python(
    *words: str | Path, stdin: str = "", cwd: Path | None = None, **environment: str
) -> Ended:
    """Run an interpreter like this one to its end; an empty value unsets a variable."""
    variables = {k: v for k, v in {**os.environ, **environment}.items() if v}
    command = [sys.executable, *map(str, words)]
    ended = subprocess.run(
        command, input=stdin, cwd=cwd, env=variables, capture_output=True, text=True, check=False
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)
