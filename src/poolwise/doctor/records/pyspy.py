"""py-spy beside the program: it reads stacks from outside, without the program's doing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

RATE = 200
"""Stacks a second: a line that takes a hundredth of a second of work is seen twice."""

_GRACE_S = 10.0


def find() -> str | None:
    """Path of py-spy, if it is installed and may look into other processes; else None."""
    beside = os.path.join(os.path.dirname(sys.executable), "py-spy")
    found = beside if os.access(beside, os.X_OK) else shutil.which("py-spy")
    return found if found and _may_trace() else None


def _may_trace() -> bool:
    """Linux lets only root look, or everybody at their own where `ptrace_scope` is 0."""
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        return True
    try:
        with open("/proc/sys/kernel/yama/ptrace_scope", encoding="ascii") as file:
            return file.read().strip() == "0"
    except OSError:
        return sys.platform == "linux"


class Watcher:
    """py-spy on one program and all that it starts. `stop` waits for what it writes."""

    def __init__(self, tool: str, pid: int, path: str) -> None:
        options = ["--subprocesses", "--nonblocking", "--full-filenames", "--format", "raw"]
        command = [tool, "record", "--pid", str(pid), "--rate", str(RATE), "--output", path]
        self._process = subprocess.Popen(  # noqa: S603 - found by `find`
            [*command, *options, "--duration", "unlimited"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the program's
        )

    def stop(self) -> None:
        """The program has ended: py-spy sees that, and writes."""
        try:
            self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
