"""Where our own processes cannot be made, pools work all the same: on the standard executor."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

MASK = """
import os, select, sys

for name in ("fcntl", "resource", "termios", "grp", "pwd", "_posixshmem", "_posixsubprocess"):
    if name in HIDDEN:
        sys.modules[name] = None
for home, names in (
    (select, ("poll", "epoll")),
    (os, ("memfd_create", "pidfd_open", "fork", "forkpty", "register_at_fork",
          "sched_yield", "sysconf", "getuid")),
):
    for name in names:
        if hasattr(home, name):
            delattr(home, name)
"""

PROGRAM = """
import poolwise

def double(number):
    return 2 * number

def fail(number):
    raise LookupError(number)

def bad():
    raise OSError("no licence")

def end(number):
    os._exit(3)

def main():
    with poolwise.Pool(2) as pool:
        assert "backend=executor" in repr(pool), repr(pool)
        assert pool.map(double, range(100)) == [2 * n for n in range(100)]
        assert list(pool.imap(double, iter(range(30)))) == [2 * n for n in range(30)]
        assert sorted(pool.imap_unordered(double, range(30))) == [2 * n for n in range(30)]
        assert pool.apply_async(double, (4,)).get() == 8
        try:
            pool.map(fail, [1])
        except LookupError as error:
            print("raised", error)
        try:
            pool.map(end, [1])
        except poolwise.WorkerDied as error:
            print(error)
        assert pool.apply(double, (5,)) == 10
        assert pool.report().backend == "executor"
    with poolwise.ProcessPoolExecutor(2) as executor:
        assert "backend=executor" in repr(executor)
        assert list(executor.map(double, range(5))) == [0, 2, 4, 6, 8]
        assert executor.submit(double, 3).result() == 6
    with poolwise.Pool(1, initializer=bad) as pool:
        try:
            pool.map(double, [1])
        except poolwise.InitializerFailed as error:
            print(error)

if __name__ == "__main__":
    main()
"""

HIDDEN = ("fcntl", "resource", "termios", "grp", "pwd", "_posixshmem")


def run(folder, program):
    script = folder / "program.py"
    script.write_text(program)
    return subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def masked():
    """Hide what other systems do not have: in the program, and in all its workers.

    The standard library itself starts processes with some of that here, so it has it by then.
    """
    return (
        "import multiprocessing.popen_spawn_posix, multiprocessing.resource_tracker, subprocess\n"
        "import concurrent.futures.process\n"
        f"HIDDEN = {HIDDEN!r}\n" + MASK
    )


def test_a_program_runs_without_what_other_systems_lack(tmp_path, masked):
    done = run(tmp_path, masked + PROGRAM)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    raised, died, initializer = done.stdout.splitlines()
    assert raised == "raised 1"
    assert "exited with code 3 while it ran item 0 of end" in died
    assert initializer == "the initializer raised OSError('no licence'), so no worker could start"


def test_the_front_door_opens_without_them(tmp_path, masked):
    program = textwrap.dedent("""
        import poolwise
        assert poolwise.Pool and poolwise.ProcessPoolExecutor and poolwise.cpu_count()
        for name in poolwise.__all__:
            getattr(poolwise, name)
    """)
    # That of this system looks for what others lack, and theirs does not.
    done = run(tmp_path, "import asyncio\n" + masked + program)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def test_info_says_what_pools_run_on(tmp_path, masked):
    done = run(tmp_path, masked + "from poolwise.cli import main\nmain(['info'])")
    assert done.returncode == 0, done.stderr
    assert "back end     executor" in done.stdout
    assert "lacks" in done.stdout
