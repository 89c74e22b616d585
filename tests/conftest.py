"""What every test is held to: nothing is left behind, and a hang shows the stacks of everybody."""

from __future__ import annotations

import faulthandler
import gc
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest

SHARED_MEMORY = Path("/dev/shm")
GRACE_S = 60.0
"""However it ended, nothing of it stays. A busy machine may take its time to clear away, and a leak
does not go at all: waiting long hides none, and costs nothing where there is none."""

HELPERS = (
    "multiprocessing.resource_tracker",
    "multiprocessing.forkserver",
    "loky.backend.resource_tracker",
)
"""Others start these once and keep them for as long as the program lives."""

# How fast a machine draws examples says nothing about the code.
hypothesis.settings.register_profile(
    "any speed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any speed")

# No test reads what an earlier one, or the user, has measured of this machine; and none keeps it.
os.environ["POOLWISE_CACHE"] = ""

_started_in = pytest.StashKey[dict[int, str]]()


# --- a hang -------------------------------------------------------------------------------------


def pytest_configure() -> None:
    """Let this process, and every child forked from it, answer SIGUSR1 with its stacks.

    A shell starts what it puts into the background with Ctrl-C ignored, and all children inherit
    that: the tests that press it would wait for ever.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item) -> Generator[None, object, object]:
    """When the time limit strikes, ask the children for their stacks before the test fails."""
    outcome = yield
    strike = signal.getsignal(signal.SIGALRM)
    if callable(strike):
        signal.signal(signal.SIGALRM, lambda *at: (print_stacks_of_children(item), strike(*at)))
    return outcome


def print_stacks_of_children(item: pytest.Item) -> None:
    """Write to stderr what each child is doing; those that cannot tell are only named."""
    for child in psutil.Process().children(recursive=True):
        os.write(2, f"\n{item.nodeid} hangs, child {describe(child)}:\n".encode())
        if catches(child.pid, signal.SIGUSR1):
            child.send_signal(signal.SIGUSR1)
            time.sleep(0.1)  # one after the other, so that the stacks do not interleave


def catches(pid: int, number: signal.Signals) -> bool:
    """Has this process a handler for the signal? Sent to one without, it would kill."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (number - 1) & 1)


# --- leftovers ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail if a module leaves a process, a thread or something in /dev/shm.

    Says which test began the process. Threads matter to the modules that follow: a pool that lives
    on in a reference cycle keeps its thread until the collector comes by.
    """
    started_in = request.node.stash.setdefault(_started_in, {})
    processes, segments, threads = children(), list_segments(), threads_of_ours()
    yield
    gc.collect()
    wait_until(lambda: threads_of_ours() <= threads)
    wait_until(lambda: not (children() - processes))
    processes = children() - processes
    wait_until(lambda: not find_leaked(segments))
    leaked = find_leaked(segments)
    left = [f"{describe(child)}, begun in {started_in.get(child.pid)}" for child in processes]
    left += [str(SHARED_MEMORY / name) for name in sorted(leaked)]
    left += [repr(thread) for thread in threads_of_ours() - threads]
    for child in processes:
        child.kill()
    assert not left, "left behind:\n" + "\n".join(left)


@pytest.fixture(autouse=True)
def remember_who_started_what(request: pytest.FixtureRequest) -> Iterator[None]:
    """Note which test started which child, for the message of `nothing_is_left_behind`."""
    yield
    module = request.node.getparent(pytest.Module)
    if module is not None:
        started_in = module.stash.setdefault(_started_in, {})
        for child in children():
            started_in.setdefault(child.pid, request.node.name)


def threads_of_ours() -> set[threading.Thread]:
    """The threads of this process that poolwise has started."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("poolwise")}


def children() -> set[psutil.Process]:
    """Every process below this one, dead ones that nobody waited for included."""
    found = set()
    for child in psutil.Process().children(recursive=True):
        try:
            is_helper = any(helper in " ".join(child.cmdline()) for helper in HELPERS)
        except psutil.NoSuchProcess:
            continue
        except psutil.ZombieProcess:
            is_helper = False
        if not is_helper:
            found.add(child)
    return found


def describe(process: psutil.Process) -> str:
    """The pid, the state and the command line, as far as they can be had."""
    try:
        return f"{process.pid} ({process.status()}) {' '.join(process.cmdline())}"
    except psutil.Error:
        return f"{process.pid} (gone or a zombie)"


def list_segments() -> set[str]:
    """The names in the shared memory folder, empty where there is none.

    Named semaphores are left out: poolwise makes none, and those of other programs, or of tests
    that run beside these, cannot be told from what standard pools in our tests just gave up.
    """
    try:
        names = {path.name for path in SHARED_MEMORY.iterdir()}
    except OSError:
        return set()
    return {name for name in names if not name.startswith("sem.")}


def find_leaked(before: set[str]) -> set[str]:
    """New names in shared memory that no process outside this test run holds open or mapped."""
    fresh = list_segments() - before
    return fresh and fresh - held_by_strangers(fresh)


def held_by_strangers(names: set[str]) -> set[str]:
    """Which of these segments belong to programs that run beside the tests.

    They hold them open or mapped; the folders of joblib and the locks of loky, which need not be,
    carry their maker's pid.
    """
    family = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    held: set[str] = set()
    for process in psutil.process_iter():
        if process.pid not in family:
            held |= {name for name in names if str(process.pid) in re.findall(r"\d+", name)}
            try:
                maps = Path(f"/proc/{process.pid}/maps").read_text()
                files = " ".join(file.path for file in process.open_files())
            except (OSError, psutil.Error):
                continue
            held |= {name for name in names if f"{SHARED_MEMORY}/{name}" in maps + files}
    return held


@contextmanager
def handler(act: Any, number: int = signal.SIGUSR2) -> Iterator[None]:
    """Have a signal handled by ``act`` for the time of a block."""
    before = signal.signal(number, act)
    try:
        yield
    finally:
        signal.signal(number, before)


def wait_until(is_true: Callable[[], bool]) -> None:
    """Return when the condition holds, or after the time of grace."""
    deadline = time.monotonic() + GRACE_S
    while not is_true() and time.monotonic() < deadline:
        time.sleep(0.01)
