"""Short programs for the doctor to observe, and a way to run them so."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from poolwise.doctor import replay
from poolwise.doctor.evidence.features import Evidence

LAUNCH = (
    "import sys; from poolwise.doctor.launch.launcher import launch;"
    "sys.exit(launch({0!r}, {1!r}) & 255)"
)


def write_program(folder: Path, source: str) -> Path:
    """The source, which may be indented, as a script."""
    script = folder / "program.py"
    script.write_text(textwrap.dedent(source))
    return script


def observe_script(
    folder: Path, *words: str, **options
) -> tuple[subprocess.CompletedProcess[bytes], Evidence]:
    """Run `python WORDS...` under the launcher, in a process of its own, and read what it saw."""
    records = folder / "records"
    records.mkdir()
    code = LAUNCH.format([sys.executable, *words], str(records))
    options.setdefault("cwd", folder)
    options.setdefault("stdin", subprocess.DEVNULL)
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=200, check=False, **options
    )
    return run, replay(str(records))


def observe_source(folder: Path, source: str, **options) -> Evidence:
    """Run a program that has to succeed, and return what was seen of it."""
    run, evidence = observe_script(folder, str(write_program(folder, source)), **options)
    assert run.returncode == 0, run.stderr.decode()
    return evidence
