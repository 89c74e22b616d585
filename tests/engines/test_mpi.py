"""The recipe of docs/backends.md for MPI, and the exam, on three real processes of MPI."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mpi4py")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

RECIPE = """
import os
import poolwise
from mpi4py.futures import MPIPoolExecutor

def double(number):
    return 2 * number

def pid_of(_):
    return os.getpid()

if __name__ == "__main__":
    with MPIPoolExecutor() as executor, poolwise.Pool(backend=executor) as pool:
        assert pool.map(double, range(1000)) == [2 * n for n in range(1000)]
        assert os.getpid() not in pool.map(pid_of, range(100))
        print(pool.backend.name, pool._processes)
"""


def run_by_mpi(*words):
    """Run Python on three processes, of which one is the program's and two are workers."""
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        pytest.skip("there is no mpiexec")
    options = ["-n", "3"]
    said = subprocess.run([mpiexec, "--version"], capture_output=True, text=True, check=False)
    if "Open MPI" in said.stdout or "OpenRTE" in said.stdout:
        options += ["--allow-run-as-root", "--oversubscribe"]
    command = [mpiexec, *options, sys.executable, "-m", "mpi4py.futures", *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=200, check=False, cwd=ROOT
    )


def test_the_recipe(tmp_path):
    script = tmp_path / "recipe.py"
    script.write_text(RECIPE)
    done = run_by_mpi(str(script))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["MPIPoolExecutor", "2"]


def test_the_exam():
    options = ["-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
    done = run_by_mpi("-m", "pytest", *options, "tests/engines/mpi_exam.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
