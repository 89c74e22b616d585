"""The interpreter's own tests of its pools pass with our doors in place of the standard ones."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {"pool": "test._test_multiprocessing", "executor": "test.test_concurrent_futures"}

LEFT_OUT = {
    # Ours goes on after a death, and tests/doors/test_executor.py holds it to that.
    "*.test_killed_child": "the standard executor is of no use after a worker's death",
    # Ours replaces workers with fork too, likewise.
    "ProcessPoolFork[!s]*.test_max_tasks_per_child": "the standard executor refuses it with fork",
    # This one changes what is in the standard executor.
    "*.test_python_finalization_error": "which of its threads is the second to start",
}
"""Tests that cannot hold for ours, with the reason."""

NOT_OURS = "WithThreads*"
"""The standard ThreadPool, which install() leaves alone; its test_terminate waits for five minutes
where a thread has begun to sleep before it is terminated."""

LIMIT_S = 240

FRESH = [(method, doors) for method in ("forkserver", "spawn") for doors in ("doors", "installed")]
WAYS = [
    ("fork", "doors"),
    ("fork", "installed"),
    *(pytest.param(*way, marks=pytest.mark.exhaustive) for way in FRESH),
]
"""Start method, and how our doors get into the place of the standard ones."""


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S + 30)
@pytest.mark.parametrize(("method", "doors"), WAYS)
@pytest.mark.parametrize("suite", ["pool", "executor"])
def test_interpreters_own_tests_pass(suite, method, doors):
    if find_spec("test") is None or find_spec(MODULES[suite]) is None:
        pytest.skip(f"this Python was installed without {MODULES[suite]}")
    ended = run_suite(suite, method, doors)
    assert ended.returncode == 0, ended.stderr[-4000:]
    summary = re.search(r"(\d+) run, (\d+) failed\s*$", ended.stdout)
    assert summary is not None, ended.stdout
    ran, failed = map(int, summary.groups())
    assert failed == 0, ended.stdout
    assert ran > 30


def run_suite(suite: str, method: str, doors: str) -> subprocess.CompletedProcess[str]:
    """Run a suite in a session of its own, which ends with it."""
    command = [sys.executable, "-m", "tests.doors.interpreters_suite"]
    started = subprocess.Popen(
        [*command, suite, method, doors, *LEFT_OUT, *([NOT_OURS] if doors == "installed" else [])],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = started.communicate(timeout=LIMIT_S)
    finally:
        try:
            os.killpg(started.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        started.wait()
    return subprocess.CompletedProcess(command, started.returncode, out, err)
