"""Ctrl-C, signals, parents that vanish: programs in a group of their own, as a terminal does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.doors.programs import run_python, write
from tests.faults.strikes import members

LIMIT_S = 100
ROOT = Path(__file__).parents[2]

PROGRAM = """
import os, signal, sys, threading, time
import poolwise
from tests.faults import breakers

def say(word):
    print(word, flush=True)

def busy(_):
    time.sleep(60)

def busy_in_c(_):
    return sum(range(10**11))

def much(_):
    return [str(at) for at in range(200_000)]

if __name__ == "__main__":
    METHOD = sys.argv[1]
"""

WAITING = {
    "map": """with poolwise.Pool(2, context=METHOD) as p:
        p.map(abs, [1])
        say('go')
        p.map(busy, range(8))""",
    "get": """p = poolwise.Pool(2, context=METHOD)
    r = p.apply_async(busy, (1,))
    say('go')
    r.get()""",
    "imap": """p = poolwise.Pool(2, context=METHOD)
    say('go')
    list(p.imap(busy, iter(range(8))))""",
    "result": """with poolwise.ProcessPoolExecutor(2, METHOD) as e:
        f = e.submit(busy, 1)
        say('go')
        f.result()""",
    "with": """with poolwise.ProcessPoolExecutor(2, METHOD) as e:
        e.submit(busy, 1)
        say('go')""",
    "in C": """p = poolwise.Pool(2, context=METHOD)
    say('go')
    p.map(busy_in_c, range(2))""",
    "results": """p = poolwise.Pool(2, context=METHOD)
    say('go')
    while True:
        p.map(much, range(4))""",
    "sleep": """p = poolwise.Pool(2, context=METHOD)
    p.map_async(busy, range(8))
    say('go')
    time.sleep(60)""",
    "start": """say('go')
    while True:
        with poolwise.Pool(2, context=METHOD) as p:
            p.map(abs, range(9))""",
}


@contextmanager
def running(folder, lines, method="fork"):
    """A program in a group of its own that has said `go`."""
    script = write(folder / "program.py", PROGRAM + "    " + lines + "\n")
    started = subprocess.Popen(
        [sys.executable, script, method],
        env={**os.environ, "PYTHONPATH": f"{ROOT}/src:{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert started.stdout.readline() == "go\n"
        yield started
    finally:
        for process in members(started.pid):
            process.kill()
        started.communicate()


def wait_until_alone(session, but=()):
    """Wait until no process of the session lives, but those whose command line says so."""
    until = time.monotonic() + LIMIT_S
    while left := [process for process in members(session) if not is_any(process, but)]:
        assert time.monotonic() < until, f"still there: {left}"
        time.sleep(0.01)


def is_any(process, words):
    try:
        return any(word in " ".join(process.cmdline()) for word in words)
    except psutil.Error:
        return True


# --- Ctrl-C -------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", WAITING)
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_ctrl_c_ends_all_with_one_traceback(tmp_path, what, method):
    with running(tmp_path, WAITING[what], method) as program:
        time.sleep(0.3)  # somewhere in the middle of it: anywhere will do
        os.killpg(program.pid, signal.SIGINT)
        _, err = program.communicate(timeout=LIMIT_S)
        wait_until_alone(program.pid)
    assert program.returncode in {-signal.SIGINT, 130}, err
    assert err.count("Traceback (most recent call last)") == 1, err
    assert err.endswith("KeyboardInterrupt\n"), err


@pytest.mark.parametrize("pause_s", [0, 0.01, 0.1])
def test_ctrl_c_twice(tmp_path, pause_s):
    with running(tmp_path, WAITING["map"]) as program:
        time.sleep(0.2)
        os.killpg(program.pid, signal.SIGINT)
        time.sleep(pause_s)
        try:
            os.killpg(program.pid, signal.SIGINT)
        except ProcessLookupError:
            pass
        _, err = program.communicate(timeout=LIMIT_S)
        wait_until_alone(program.pid)
    assert program.returncode != 0
    assert "Process ForkPoolWorker" not in err


def test_ctrl_c_while_the_interpreter_ends_workers(tmp_path):
    lines = """p = poolwise.Pool(2, context=METHOD)
    p.map_async(busy, range(8))
    helper = p._engine._background
    stop = helper.stop
    helper.stop = lambda *limit: (signal.raise_signal(signal.SIGINT), stop(*limit))
    say('go')"""
    with running(tmp_path, lines) as program:
        _, err = program.communicate(timeout=LIMIT_S)
        wait_until_alone(program.pid)
    assert err == ""


def test_program_goes_on_after_ctrl_c(tmp_path):
    lines = """p = poolwise.Pool(2, context=METHOD)
    say('go')
    try:
        p.map(busy, range(2))
    except KeyboardInterrupt:
        say('caught')
    p.terminate()
    print(poolwise.Pool(2, context=METHOD).map(abs, [-1]), flush=True)
    os._exit(0)"""
    with running(tmp_path, lines) as program:
        time.sleep(0.2)
        os.killpg(program.pid, signal.SIGINT)
        out, _ = program.communicate(timeout=LIMIT_S)
    assert out == "caught\n[1]\n"


# --- the parent goes ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("what", ["map", "in C", "results", "sleep", "with"])
def test_workers_end_with_their_parent(tmp_path, what, number):
    with running(tmp_path, WAITING[what]) as program:
        time.sleep(0.2)
        program.send_signal(number)
        program.wait(LIMIT_S)
        wait_until_alone(program.pid)
        _, err = program.communicate()
    assert program.returncode == -number
    assert err == ""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_started_afresh_end_with_their_parent(tmp_path, method):
    with running(tmp_path, WAITING["in C"], method) as program:
        time.sleep(0.5)
        program.kill()
        program.wait(LIMIT_S)
        wait_until_alone(program.pid)


@pytest.mark.parametrize(
    "lines",
    [
        "p = poolwise.Pool(2, context=METHOD); p.map_async(busy, [1]); say('go')",
        "p = poolwise.Pool(2, context=METHOD); p.map_async(busy, [1]); say('go'); sys.exit(0)",
        "p = poolwise.Pool(2, context=METHOD); i = p.imap(abs, iter(int, 1)); next(i); say('go')",
        "e = poolwise.ProcessPoolExecutor(2, METHOD); f = e.submit(much, 1); say('go')",
        "e = poolwise.ProcessPoolExecutor(2, METHOD); say('go'); e.map(abs, range(10**4))",
    ],
)
def test_interpreter_ends_without_close(tmp_path, lines):
    with running(tmp_path, lines) as program:
        _, err = program.communicate(timeout=LIMIT_S)
        wait_until_alone(program.pid)
    assert program.returncode == 0, err
    assert not re.search("Traceback|Error", err), err


@pytest.mark.parametrize("end", ["pool.terminate()", "os.kill(pool.apply(os.getpid), 15)"])
def test_a_workers_signals_are_not_announced_to_the_parents_event_loop(tmp_path, end):
    """asyncio hears of signals by a socket, and a forked child has the same socket."""
    source = f"""
    import os, signal, socket
    import poolwise

    if __name__ == "__main__":
        heard, announced = socket.socketpair()
        for end in (heard, announced):
            end.setblocking(False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.set_wakeup_fd(announced.fileno())
        with poolwise.Pool(1, context="fork") as pool:
            pool.apply(abs, (1,))
            {end}
            if pool.statistics()["workers"]:
                assert pool.apply(abs, (-1,)) == 1
        signal.set_wakeup_fd(-1)
        announced.close()
        print(bytes(number for number in heard.recv(100) if number == signal.SIGTERM))
    """
    ended = run_python(write(tmp_path / "program.py", source))
    assert (ended.out, ended.err) == ("b''\n", "")
