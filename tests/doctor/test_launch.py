"""Bad input: what the program did passes through, and what was not seen is said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from poolwise.doctor import observe, replay
from poolwise.doctor.launch import launcher as launch
from tests.doctor.programs import LAUNCH, observe_script, write_program


def test_a_script_that_does_not_exist(tmp_path):
    run, evidence = observe_script(tmp_path, "nowhere.py")
    assert run.returncode == 2
    assert b"nowhere.py" in run.stderr
    assert evidence.is_attached  # the interpreter was there, for a moment
    assert evidence.pools == []


def test_an_interpreter_that_does_not_exist(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        observe(["/nowhere/python", "script.py"], str(tmp_path))


@pytest.mark.parametrize(
    ("source", "code"),
    [("def (", 1), ("1 / 0", 1), ("import sys; sys.exit(3)", 3), ("raise SystemExit('no')", 1)],
)
def test_exit_codes(source, code, tmp_path):
    run, evidence = observe_script(tmp_path, str(write_program(tmp_path, source)))
    assert (run.returncode, evidence.program.exit_status) == (code, code)


def test_a_program_that_is_killed(tmp_path):
    source = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    _, evidence = observe_script(tmp_path, str(write_program(tmp_path, source)))
    assert evidence.program.exit_status == -signal.SIGKILL


def test_input_and_output_are_the_programs(tmp_path):
    source = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1] + b'\\xff\\x00')"
    script = str(write_program(tmp_path, source))
    records = tmp_path / "records"
    records.mkdir()
    code = LAUNCH.format([sys.executable, script], str(records))
    run = subprocess.run(
        [sys.executable, "-c", code], input=b"\x00abc", capture_output=True, check=True
    )
    assert run.stdout == b"cba\x00\xff\x00"


@pytest.mark.parametrize("option", ["-I", "-E", "-S"])
def test_an_interpreter_that_cannot_be_reached(option, tmp_path):
    run, evidence = observe_script(tmp_path, option, str(write_program(tmp_path, "print('ran')")))
    assert run.stdout == b"ran\n"
    assert not evidence.is_attached
    assert evidence.program.wall_s > 0


def test_the_program_changes_directory_and_removes_the_path(tmp_path):
    source = """
        import multiprocessing, os

        def work(number):
            return number

        if __name__ == "__main__":
            os.chdir("/")
            os.environ.pop("PYTHONPATH")
            os.environ.pop("POOLWISE_DOCTOR")
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(work, range(4)))
    """
    run, evidence = observe_script(tmp_path, str(write_program(tmp_path, source)))
    assert run.stdout == b"[0, 1, 2, 3]\n"
    assert evidence.pools[0].messages == 4
    assert evidence.pools[0].recorded == 4  # a stowaway in the child's preparation attached us


def test_a_daemon_that_outlives_the_program(tmp_path):
    source = """
        import os, sys, time
        if os.fork() == 0:
            os.setsid()
            time.sleep(0.5)
            os._exit(0)
        print("parent is done")
    """
    began = time.monotonic()
    script = str(write_program(tmp_path, source))
    records = tmp_path / "records"
    records.mkdir()
    launch.launch([sys.executable, script], str(records))
    assert time.monotonic() - began < 40
    assert replay(str(records)).program.exit_status == 0
    time.sleep(0.6)


def test_signals_reach_the_program(tmp_path):
    source = """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        print("ready", flush=True)
        time.sleep(30)
    """
    script, records = write_program(tmp_path, source), tmp_path / "records"
    records.mkdir()
    code = LAUNCH.format([sys.executable, str(script)], str(records))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(100) == 7
    process.stdout.close()
    assert replay(str(records)).program.exit_status == 7


def test_ctrl_c_ends_the_program_and_leaves_what_was_seen(tmp_path):
    source = """
        import time
        from multiprocessing import Pool

        def work(number):
            time.sleep(0.01)
            return number

        if __name__ == "__main__":
            with Pool(2) as pool:
                pool.map(work, range(10))
                print("ready", flush=True)
                time.sleep(30)
    """
    script, records = write_program(tmp_path, source), tmp_path / "records"
    records.mkdir()
    code = LAUNCH.format([sys.executable, str(script)], str(records))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout.readline() == b"ready\n"
    os.kill(process.pid, signal.SIGINT)  # without a terminal, nobody else gets it
    process.wait(100)
    process.stdout.close()
    evidence = replay(str(records))
    assert evidence.program.is_interrupted
    assert evidence.pools[0].items == 10


def test_records_in_a_temporary_folder_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    evidence = observe([sys.executable, "-c", "pass"])
    assert evidence.program.exit_status == 0
    assert list(tmp_path.iterdir()) == []
