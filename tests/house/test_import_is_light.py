"""A worker pays for every module it loads, so the front door loads none that it does not need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import list_sources, name_of, part_of

HEAVY = {
    "asyncio", "cloudpickle", "concurrent.futures.process", "ctypes", "logging",
    "multiprocessing.managers", "multiprocessing.pool", "numpy", "pandas", "rich", "ssl",
}  # fmt: skip
ASKED_FOR = {"poolwise.worker.output"}
"""Loaded by workers whose user wants what they log: the logging module is then no burden."""

WORKER_MODULES = [
    name
    for name in map(name_of, list_sources())
    if part_of(name) == "worker" and name not in ASKED_FOR
]

MODULES_WE_MAY_ADD = 25
"""Above what a worker spawned by multiprocessing.Pool loads, on the same interpreter."""

COUNT_IN_SPAWNED_WORKER = """
import multiprocessing, sys
from {module} import Pool

def count_loaded(_):
    return len(sys.modules)

if __name__ == "__main__":
    with Pool(1, context=multiprocessing.get_context("spawn")) as pool:
        print(pool.map(count_loaded, [0])[0])
"""


def list_modules(statement: str) -> set[str]:
    """What a fresh interpreter has loaded after the statement."""
    program = f"{statement}; import sys, json; print(json.dumps(list(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    return set(json.loads(run.stdout))


def test_front_door_loads_nothing_else():
    loaded = list_modules("import poolwise")
    assert not loaded & HEAVY
    assert [name for name in loaded if name.startswith(("poolwise.", "multiprocessing"))] == []


def test_the_pool_does_without_what_is_slow_to_import():
    loaded = list_modules("from poolwise import Pool")
    assert not loaded & {"dataclasses", "inspect", "logging", "ctypes", "numpy", "rich"}


def test_what_nobody_has_asked_for_of_the_standard_pools_is_not_loaded():
    loaded = list_modules("from poolwise import Pool, ProcessPoolExecutor")
    assert not {name for name in loaded if name.startswith("poolwise.standard.")}
    assert not loaded & {"multiprocessing.pool", "concurrent.futures.process"}


@pytest.mark.parametrize("module", WORKER_MODULES)
def test_worker_is_light(module):
    loaded = list_modules(f"import {module}")
    assert not loaded & HEAVY
    ours = {part_of(name) for name in loaded if name.startswith("poolwise.")}
    assert ours <= {
        "core", "errors", "memory", "options", "payloads", "record", "shared", "system", "wire",
        "worker",
    }  # fmt: skip


def test_spawned_worker_loads_little(tmp_path):
    standard = count_in_spawned_worker("multiprocessing.pool", tmp_path)
    ours = count_in_spawned_worker("poolwise", tmp_path)
    assert ours <= standard + MODULES_WE_MAY_ADD


def count_in_spawned_worker(module: str, folder: Path) -> int:
    script = folder / "count.py"
    script.write_text(COUNT_IN_SPAWNED_WORKER.format(module=module))
    run = subprocess.run([sys.executable, script], check=True, capture_output=True)
    return int(run.stdout)
