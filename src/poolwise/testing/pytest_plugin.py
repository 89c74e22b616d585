"""Fixtures for pytest: a pool for tests, and a check that a test leaves nothing behind.

``pytest_plugins = ["poolwise.testing.pytest_plugin"]`` in a conftest.py, or ``pytest -p
poolwise.testing.pytest_plugin``, brings them. No entry point does so unasked.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from poolwise.pool import Pool

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, not written to
_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver", "loky.backend")


@pytest.fixture
def poolwise_pool(no_leaks: None) -> Iterator[Pool]:  # noqa: ARG001 - set up first, looks last
    """A pool of two workers, ended after the test."""
    with Pool(2) as pool:
        yield pool
        pool.close()
        pool.join()


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fail a test that leaves processes, threads or entries in /dev/shm.

    What ends within the time of grace is no leak: programs take a moment to clear away. Set
    ``POOLWISE_LEAK_GRACE_S`` for another one than 10 s.
    """
    looks: tuple[Callable[[], set[str]], ...] = (_processes, _threads, _segments)
    before = [look() for look in looks]
    yield
    until = time.monotonic() + float(os.environ.get("POOLWISE_LEAK_GRACE_S", "10"))
    left = _find_left(looks, before)
    while left and time.monotonic() < until:
        time.sleep(0.01)
        left = _find_left(looks, before)
    if left:
        pytest.fail("left behind: " + ", ".join(left), pytrace=False)


def _find_left(looks: tuple[Callable[[], set[str]], ...], before: list[set[str]]) -> list[str]:
    return [
        what for look, known in zip(looks, before, strict=True) for what in sorted(look() - known)
    ]


def _processes() -> set[str]:
    """Children of this process, those that nobody has waited for included."""
    found = set()
    for task in Path("/proc/self/task").glob("*"):
        try:
            pids = (task / "children").read_text().split()
        except OSError:  # a thread that has ended, or a system without them
            continue
        found |= {f"process {pid} ({name})" for pid in pids if (name := _name_of(pid)) is not None}
    return found


def _name_of(pid: str) -> str | None:
    """Command line of a process; None if it is one that others keep for as long as we live."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return "gone"
    return None if any(helper in words for helper in _HELPERS) else words[:60] or "zombie"


def _threads() -> set[str]:
    return {f"thread {thread.name} ({thread.ident})" for thread in threading.enumerate()}


def _segments() -> set[str]:
    """Names in shared memory, but for semaphores. Those of other programs cannot be told apart."""
    if not _SHARED_MEMORY.is_dir():
        return set()
    names = [path.name for path in _SHARED_MEMORY.iterdir()]
    return {f"{_SHARED_MEMORY}/{name}" for name in names if not name.startswith("sem.")}
