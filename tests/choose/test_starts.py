"""Workers that cannot start, in programs of their own."""

from __future__ import annotations

import subprocess
import sys

UNGUARDED = """
import multiprocessing, os
import poolwise

multiprocessing.set_start_method("spawn", force=True)

def compute(x):
    with open("calls", "a") as file:
        file.write(f"{x}\\n")
    total = 0
    for at in range(40_000):
        total += at
    return total

results = poolwise.map(compute, range(250), allow={"serial", "processes"})
print(len(results), results.plan)
"""


def test_a_main_module_without_a_guard_runs_its_items_once(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(UNGUARDED)
    run = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert run.stdout.startswith("250 serial: "), run.stderr
    assert (tmp_path / "calls").read_text().split() == [str(x) for x in range(250)]


UNENDED = """
import poolwise

def compute(x):
    return sum(range(20_000 + x))

if __name__ == "__main__":
    print(sum(poolwise.map(compute, range(50), kind="processes")) > 0)
"""


def test_workers_end_with_the_program_and_nobody_is_warned(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(UNENDED)
    command = [sys.executable, "-W", "error", script]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert (run.stdout, run.stderr) == ("True\n", "")
