"""Calls that hang are named, with what holds them up: live, after Ctrl-C, after a time limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from poolwise.doctor import replay
from poolwise.doctor.boot._poolwise_observer import recorder, stacks
from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.gather.standstill import CAUSES
from poolwise.doctor.launch import launcher as launch
from poolwise.doctor.launch.watch import Progress, can_ask
from poolwise.doctor.records import dumps
from poolwise.doctor.render import alarm
from tests.conftest import wait_until
from tests.doctor.programs import LAUNCH, observe_script, write_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells of a standstill")

PREAMBLE = """
import os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Lock, Process, Queue, get_context
make_pool = get_context("fork").Pool
"""

HANGING = {
    "worker-died": """
def work(number):
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
if __name__ == "__main__":
    with make_pool(2) as pool:
        pool.map(work, range(20), chunksize=1)
""",
    "results-thread": """
def work(number):
    return number
def note(value):
    raise ValueError(value)
if __name__ == "__main__":
    with make_pool(2) as pool:
        pool.apply_async(work, (1,), callback=note).get()
""",
    "unreadable-result": """
class Odd(Exception):
    def __init__(self, one, other):
        super().__init__(one)
def work(number):
    raise Odd(1, 2)
if __name__ == "__main__":
    with make_pool(2) as pool:
        pool.map(work, range(4), chunksize=1)
""",
    "initializer": """
def begin():
    raise RuntimeError("no database")
def work(number):
    return number
if __name__ == "__main__":
    with make_pool(2, begin) as pool:
        pool.map(work, range(4))
""",
    "lock": """
def begin(one):
    global lock
    lock = one
def work(number):
    lock.acquire()
    return number
if __name__ == "__main__":
    with make_pool(2, begin, (Lock(),)) as pool:
        pool.map(work, range(8), chunksize=1)
""",
    "own-pool": """
pool = ThreadPoolExecutor(2)
def inner(number):
    return number
def work(number):
    return pool.submit(inner, number).result()
if __name__ == "__main__":
    list(pool.map(work, range(8)))
""",
    "queue": """
def work(queue):
    for _ in range(10):
        queue.put(b"x" * 100_000)
if __name__ == "__main__":
    queue = Queue()
    process = Process(target=work, args=(queue,))
    process.start()
    process.join()
""",
    "computing": """
def work(number):
    while number == 7:
        pass
if __name__ == "__main__":
    with make_pool(2) as pool:
        pool.map(work, range(20), chunksize=1)
""",
    "exit": """
def work(queue):
    while queue.get() is not None:
        pass
if __name__ == "__main__":
    queue = Queue()
    process = Process(target=work, args=(queue,))
    process.start()
    queue.put(1)
""",
}


def run_until_still(folder: Path, source: str, number: int) -> Path:
    """Run a program under the launcher; end it by a signal once its stacks were asked for."""
    script, records = write_program(folder, PREAMBLE + source), folder / "records"
    records.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH.format([sys.executable, str(script)], str(records))],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        if "while number" in source:  # nor is this, and it has few processes
            wait_until(lambda: len(list(records.glob("*.rec"))) == 3)
            time.sleep(2.5)
        elif "RuntimeError" in source:  # this one is never idle
            wait_until(lambda: len(list(records.iterdir())) > 60)
            time.sleep(2.5)
        elif "Odd" in source:  # the thread that died is recorded, stacks tell no more
            wait_until(lambda: len(list(records.glob("*.rec"))) == 3)
            time.sleep(4.0)
        else:
            dumped = records / stacks.NAME
            wait_until(lambda: dumped.exists() and dumped.stat().st_size > 0)
            time.sleep(0.5)
        end(process, number)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(60)
    return records


def end(process: subprocess.Popen[bytes], number: int) -> None:
    """As people do it: Ctrl-C first; some pools then wait again, for their own threads."""
    for each in (number, signal.SIGTERM):
        os.killpg(process.pid, each)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            continue
        return


@pytest.mark.slow
@pytest.mark.parametrize("cause", HANGING)
def test_a_call_that_hangs_is_named(cause, tmp_path, monkeypatch):
    monkeypatch.setattr("poolwise.doctor.gather.standstill.LONG_S", 1.0)
    monkeypatch.setattr("poolwise.doctor.gather.standstill.SLOWEST", 0)
    number = signal.SIGTERM if cause == "lock" else signal.SIGINT
    seen = replay(str(run_until_still(tmp_path, HANGING[cause], number)))
    assert seen.standstill is not None
    assert seen.standstill.cause in {cause, "queue" if cause == "exit" else cause}
    assert seen.standstill.place is not None
    diagnosis = diagnose(seen)
    first = diagnosis.findings[0]
    assert "call-never-ended" in {first.name, *first.consequences}
    names = {finding.name for finding in diagnosis.findings}
    assert not names & {"serial-parent", "slower-than-serial"}


def test_a_time_limit_of_the_program_s_own(tmp_path, monkeypatch):
    monkeypatch.setattr("poolwise.doctor.gather.standstill.SLOWEST", 0)  # a task may wait for a CPU
    source = PREAMBLE + HANGING["results-thread"].replace(".get()", ".get(2.5)")
    _, seen = observe_script(tmp_path, str(write_program(tmp_path, source)))
    assert seen.standstill.cause == "results-thread"
    assert seen.standstill.stopped_by is None
    assert "ValueError" in diagnose(seen).summary


def test_a_program_that_ends_well_does_not_hang(tmp_path):
    source = PREAMBLE + HANGING["worker-died"].replace("number == 7", "number > 99")
    _, seen = observe_script(tmp_path, str(write_program(tmp_path, source)))
    assert seen.standstill is None


def test_a_pool_that_is_given_up_early_does_not_hang(tmp_path):
    source = f"""{PREAMBLE}
def work(number):
    time.sleep(0.01)
    return number
if __name__ == "__main__":
    with make_pool(2) as pool:
        print(next(pool.imap_unordered(work, range(500))))
    time.sleep(3)
"""
    _, seen = observe_script(tmp_path, str(write_program(tmp_path, source)))
    assert seen.standstill is None


@pytest.mark.slow
def test_the_terminal_says_so_while_it_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr("poolwise.doctor.launch.watch.LONG_S", 3.0)
    said = []

    def say(directory, known):
        said.append(alarm.make_line(directory, known))
        os.kill(os.getpid(), signal.SIGTERM)  # which the launcher passes on

    script = write_program(tmp_path, PREAMBLE + HANGING["worker-died"])
    (tmp_path / "records").mkdir()
    launch.launch([sys.executable, str(script)], str(tmp_path / "records"), say=say)
    [line] = said
    assert "was killed by SIGKILL" in line
    assert "map at program.py" in line
    assert line.endswith("press Ctrl-C for the report")


def test_progress_is_what_ends(tmp_path):
    recorder_was = recorder._directory
    recorder.use(str(tmp_path))
    try:
        progress = Progress(str(tmp_path))
        assert not progress.has_moved()
        where = recorder.reserve(recorder.BEAT)
        assert not progress.has_moved()  # it began, and has done nothing
        recorder.pack_1(where[0], where[1] + 8, 5)
        assert progress.has_moved()
        assert not progress.has_moved()
        recorder.reserve(recorder.RESULT, 1)
        assert progress.has_moved()
    finally:
        recorder.forget_parent()
        recorder.use(recorder_was)


def test_who_does_not_catch_the_signal_is_not_asked(tmp_path):
    (tmp_path / stacks.NAME).touch()
    assert not can_ask(os.getpid(), str(tmp_path / stacks.NAME))


DUMP = """\
Thread 0x00007fc528ad16c0 [feeder] (most recent call first):
  File "/usr/lib/python3.13/threading.py", line 359 in wait
  File "/usr/lib/python3.13/threading.py", line 1012 in _bootstrap

Current thread 0x00007fc52aa95b80 (most recent call first):
  File "/usr/lib/python3.11/multiprocessing/synchronize.py", line 95 in __enter__
  File "/srv/x.py", line 12 in work
  File "/usr/lib/python3.11/multiprocessing/pool.py", line 125 in worker
  File "/usr/lib/python3.11/multiprocessing/process.py", line 314 in _bootstrap
  File "/srv/x.py", line 30 in <module>
"""


def test_stacks_are_read():
    feeder, main = dumps.parse(DUMP)
    assert feeder.program is None
    assert main.program == ("/srv/x.py", 12, "work")
    assert main.below_program(dumps.LOCKS)
    assert main.is_task
    assert "<module>" not in {frame.function for frame in main.frames}


def test_causes_have_advice():
    from poolwise.doctor.rules.pw029_call_never_ended import _ADVICE

    assert set(_ADVICE) == set(CAUSES)
