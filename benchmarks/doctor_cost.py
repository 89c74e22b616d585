"""What being observed costs a program: `python -m benchmarks.doctor_cost [ROUNDS]`.

Each program runs plain and under the doctor in turns. Printed are the medians of the CPU seconds
of the whole tree of processes (the launcher not included) and of wall time, and what the doctor
takes beside the program. CPU is the figure to trust on a machine that others use too.

Claims: tasks of milliseconds cost under 1 % more CPU; 50,000 empty tasks under 5 %.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_POOL = """
from multiprocessing import Pool
{function}
if __name__ == "__main__":
    with Pool(2) as pool:
        {call}
"""

_EXECUTOR = """
from concurrent.futures import ProcessPoolExecutor
{function}
if __name__ == "__main__":
    with ProcessPoolExecutor(2) as executor:
        {call}
"""

_IDENTITY = "def work(x): return x"

_BURN = """
import time
def work(x):
    end = time.thread_time() + 0.004
    while time.thread_time() < end: pass
"""

PROGRAMS = {
    "400 tasks of 4 ms": _POOL.format(function=_BURN, call="pool.map(work, range(400))"),
    "the same, chunksize=1": _POOL.format(
        function=_BURN, call="pool.map(work, range(400), chunksize=1)"
    ),
    "50,000 empty, chunksize=1": _POOL.format(
        function=_IDENTITY, call="pool.map(work, range(50_000), chunksize=1)"
    ),
    "30,000 empty, imap": _POOL.format(
        function=_IDENTITY, call="list(pool.imap(work, range(30_000)))"
    ),
    "6,000 empty, submit": _EXECUTOR.format(
        function=_IDENTITY,
        call="[f.result() for f in [executor.submit(work, x) for x in range(6_000)]]",
    ),
    "a million, chunks of 10,000": _POOL.format(
        function=_IDENTITY, call="pool.map(work, range(1_000_000), chunksize=10_000)"
    ),
    "120 apply": _POOL.format(
        function=_IDENTITY, call="[pool.apply(work, (x,)) for x in range(120)]"
    ),
    "nothing": "pass",
}


def run_plain(script: str) -> tuple[float, float, float]:
    """CPU seconds of the program, wall seconds, CPU seconds beside it."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, script])
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - began, 0.0


def run_observed(script: str) -> tuple[float, float, float]:
    """The same under the doctor."""
    from poolwise.doctor.launch import launcher as launch
    from poolwise.doctor.records import store

    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        launch.launch([sys.executable, script], directory)
        wall_s = time.perf_counter() - began
        facts = store.read(directory).launch
    return facts["cpu_s"], wall_s, facts["beside_s"]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    print(f"{'medians of ' + str(rounds) + ' rounds':<28}  CPU s   more    wall s   more   beside")
    for name, program in PROGRAMS.items():
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder) / "program.py"
            script.write_text(program)
            plain, observed = [], []
            for _ in range(rounds):
                plain.append(run_plain(str(script)))
                observed.append(run_observed(str(script)))
        before = [statistics.median(column) for column in zip(*plain, strict=True)]
        after = [statistics.median(column) for column in zip(*observed, strict=True)]
        cpu, wall = (
            100 * (now / then - 1) for now, then in zip(after[:2], before[:2], strict=True)
        )
        print(
            f"{name:<28} {before[0]:6.3f} {cpu:+6.1f} %  {before[1]:6.3f} {wall:+6.1f} %"
            f"  {after[2]:6.3f}"
        )


if __name__ == "__main__":
    main()
