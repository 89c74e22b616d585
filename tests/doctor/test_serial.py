"""Where the program's own thread spends the time outside its pools."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from poolwise.doctor.boot._poolwise_observer import serial
from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.evidence.features import HotLine, Profile
from poolwise.doctor.gather import hot
from poolwise.doctor.launch import asking
from tests.doctor import made_up
from tests.doctor.programs import observe_script, write_program

SCRIPT = """
    import json, time
    from multiprocessing import Pool

    def prepare(seconds):
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            json.dumps(list(range(3000)))

    def double(number):
        return 2 * number

    if __name__ == "__main__":
        prepare(1.5)
        with Pool(1) as pool:
            print(pool.map(double, [1, 2]))
"""

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="asked by what /proc tells")


@linux_only
def test_lines_of_the_serial_part_are_found(tmp_path) -> None:
    ended, seen = observe_script(tmp_path, str(write_program(tmp_path, SCRIPT)))
    assert ended.returncode == 0
    assert seen.serial is not None
    assert seen.serial.lines[0].function == "prepare"
    assert "dumps" in {line.through for line in seen.serial.lines}
    diagnosis = diagnose(seen)
    assert diagnosis.verdict == "serial-parent"
    where = diagnosis.findings[0].where
    assert where is not None
    assert where.function == "prepare"


@linux_only
def test_a_program_that_does_not_listen_is_not_asked(monkeypatch) -> None:
    """The signal would end it."""
    monkeypatch.setattr(asking, "LEAST_S", 0.0)
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        asker = asking.Asker(child.pid)
        for _ in range(5):
            asker.saw("R")
        assert asker.asked == 0
        assert child.stdin is not None
        child.stdin.write(b"\n")
    assert child.returncode == 0


@linux_only
def test_a_program_is_asked_only_where_its_first_thread_computes_for_much_of_the_time(
    monkeypatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(asking.os, "kill", lambda pid, _: asked.append(pid))
    monkeypatch.setattr(asking.Asker, "_listens", lambda _: True)
    now_s = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now_s[0])
    waiting, computing = asking.Asker(1), asking.Asker(2)
    for _ in range(100):
        now_s[0] += 0.02
        for asker, state in ((waiting, "S"), (computing, "R")):
            asker.saw(state)
    waiting.saw("R")
    assert set(asked) == {2}
    assert len(asked) > 50
    at_once = len(asked)
    for _ in range(1000):
        computing.saw("R")
    assert (len(asked) - at_once) * asking.COST_S < 2 * asking.BUDGET * 2.0


def test_both_sides_mean_the_same_signal() -> None:
    assert asking.OFFSET == serial.OFFSET
    if hasattr(signal, "SIGRTMIN"):
        assert signal.SIGRTMIN + serial.OFFSET < signal.SIGRTMAX


def test_the_latest_counts_are_shared_out_over_the_serial_time() -> None:
    early = {"t": 1, "lines": [("a.py", 3, "load", None, 1)]}
    late = {"t": 2, "lines": [("a.py", 3, "load", "loads", 3), ("a.py", 9, "store", None, 1)]}
    found = hot.from_serial([late, early], 2.0)
    assert found is not None
    assert [(line.line, line.share, line.through) for line in found.lines] == [
        (3, 0.75, "loads"), (9, 0.25, None),
    ]  # fmt: skip
    assert hot.from_serial([], 2.0) is None


def test_the_finding_names_lines_and_no_ceiling_of_its_own() -> None:
    lines = [HotLine("/srv/app/a.py", 3, "load", 0.8, "loads"),
             HotLine("/srv/app/a.py", 9, "store", 0.02, None)]  # fmt: skip
    pool = made_up.pool({"run_cpu": 0.4})
    told = Profile("signal", 2.0, lines)
    seen = made_up.run(pool, wall_s=2.4, serial_s=2.0, parallel_s=0.3, serial=told)
    first = diagnose(seen).findings[0]
    assert (first.code, str(first.where)) == ("PW020", "a.py:3")
    words = "; ".join(fact.words for fact in first.facts)
    assert "80 % of it at a.py:3 (load) in loads()" in words
    assert "a.py:9" not in words
    assert "times as fast" not in first.verdict
