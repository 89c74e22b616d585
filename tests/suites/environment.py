"""An interpreter like this one in which every program runs under `poolwise.install()`, or none."""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]

INSTALL = (
    "import sys; any('from multiprocessing.' in word for word in sys.orig_argv)"
    " or __import__('poolwise').install()"
)
"""Run by each interpreter as it starts: `site` does so with lines of a .pth file that import.
But what multiprocessing starts must be reached by `install()` itself."""


@contextmanager
def interpreter(pools: str) -> Iterator[str]:
    """Its path, while it is there.

    :param pools: "ours" or "standard".
    """
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, symlinks=True)
        (site,) = Path(folder).glob("lib/python*/site-packages")
        lines = [str(ROOT / "src"), sysconfig.get_path("purelib")]
        lines += [INSTALL] * (pools == "ours")
        (site / "install.pth").write_text("\n".join(lines))
        yield f"{folder}/bin/python"


def run_apart(command: list[str], limit_s: float, told: Path, cwd: Path) -> str:
    """Run a program in a session of its own, which ends with it; return how it ended.

    :param told: what it writes on stdout and stderr goes to this file.
    """
    with told.open("w") as output:
        started = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return f"it ended with {started.wait(limit_s)}"
    except subprocess.TimeoutExpired:
        return f"it had not ended after {limit_s} s"
    finally:
        try:
            os.killpg(started.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        started.wait()
