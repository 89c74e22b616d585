"""The fixtures for pytest: a good test passes, and one that leaves something is told what."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

GOOD = """
def test_pool(poolwise_pool):
    assert poolwise_pool.map(abs, range(-9, 0)) == list(range(9, 0, -1))

def test_nothing(no_leaks):
    import subprocess, threading
    subprocess.run(["true"], check=True)
    thread = threading.Thread(target=print)
    thread.start()
    thread.join()
"""

LEAKS = {
    "process": "import subprocess; keep.append(subprocess.Popen(['sleep', '20']))",
    "thread": "import threading; threading.Thread(target=END.wait, args=(20,)).start()",
    "/dev/shm/": "import tempfile; keep.append(tempfile.NamedTemporaryFile(dir='/dev/shm'))",
}

BAD = """
import threading
import pytest

END = threading.Event()
keep = []

@pytest.fixture(autouse=True, scope="module")
def tidy():
    yield
    END.set()
    for each in keep:
        getattr(each, "kill", each.close if hasattr(each, "close") else None)()
        getattr(each, "wait", int)()

def test_leak(no_leaks):
    {leak}
"""


def run(folder, text):
    (folder / "conftest.py").write_text('pytest_plugins = ["poolwise.testing.pytest_plugin"]')
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    env = {**os.environ, "POOLWISE_LEAK_GRACE_S": "0.2"}
    return subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False
    )


def test_good_tests_pass(tmp_path):
    done = run(tmp_path, GOOD)
    assert "2 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("what", LEAKS)
def test_a_leak_is_named(tmp_path, what):
    done = run(tmp_path, BAD.format(leak=LEAKS[what]))
    assert "1 passed, 1 error" in done.stdout, done.stdout
    assert f"left behind: {what}" in done.stdout
