"""CPUs, threads and memory of worker processes: nice, affinity, max_memory and the others."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import poolwise
from poolwise.core.contract import Promises

METHODS = ("fork", "spawn", "forkserver")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
MIB = 1 << 20
SRC = str(Path(poolwise.__file__).resolve().parents[1])
CPUS = sorted(os.sched_getaffinity(0))
kept = []


def see(_=None):
    """Of this worker: niceness, CPUs and threads; comes back late, so that others get items."""
    time.sleep(0.02)
    return os.nice(0), frozenset(os.sched_getaffinity(0)), os.environ.get(THREADS[0])


def keep(_):
    """Never gives memory back."""
    kept.append(bytearray(b"x") * (20 * MIB))
    return os.getpid()


def take(_):
    """Needs memory for a while."""
    size = len(bytearray(b"x") * (60 * MIB))
    time.sleep(0.02)
    return os.getpid(), size


def environment(_=None):
    return {name: os.environ.get(name) for name in THREADS}


def see_in_pool(workers):
    with poolwise.ProcessPoolExecutor(workers) as pool:
        return pool.submit(environment).result()


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in (*THREADS, "POOLWISE_CPU_SHARE", "POOLWISE_WORKERS"):
        monkeypatch.delenv(name, raising=False)


def set_cpus(monkeypatch, count):
    monkeypatch.setenv("POOLWISE_WORKERS", str(count))


# -- priority and CPUs


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("make", [poolwise.Pool, poolwise.ProcessPoolExecutor])
def test_workers_are_nicer_than_their_parent(make, method):
    if make is poolwise.Pool:
        with make(1, context=method, nice=3) as pool:
            found = pool.apply(see)[0]
    else:
        import multiprocessing

        with make(1, mp_context=multiprocessing.get_context(method), nice=3) as pool:
            found = pool.submit(see).result()[0]
    assert found == min(19, os.nice(0) + 3)
    assert os.nice(0) < 19


@pytest.mark.parametrize("method", METHODS)
def test_workers_run_on_the_cpus_that_are_named(method):
    cpu = max(os.sched_getaffinity(0))
    with poolwise.Pool(2, context=method, affinity={cpu}) as pool:
        assert {cpus for _, cpus, _ in pool.map(see, range(6), 1)} == {frozenset({cpu})}
    assert sorted(os.sched_getaffinity(0)) == CPUS


def affinity_of(process):
    return os.sched_getaffinity(process.pid)


@pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs")
def test_spread_pins_each_worker_to_a_cpu_of_its_own():
    with poolwise.Pool(len(CPUS), affinity="spread") as pool:
        pool.map(see, range(4 * len(CPUS)), 1)
        assert sorted(map(affinity_of, pool._pool), key=min) == [{cpu} for cpu in CPUS]


@pytest.mark.skipif(len(CPUS) < 2, reason="needs two CPUs")
def test_the_cpu_of_a_worker_that_was_replaced_is_used_again():
    with poolwise.Pool(2, affinity="spread") as pool:
        pool.map(see, range(4), 1)
        first, second = pool._pool
        cpus = affinity_of(first)
        first.kill()
        first.join()
        pool.map(see, range(8), 1)
        (new,) = [each for each in pool._pool if each.pid not in {first.pid, second.pid}]
        assert affinity_of(new) == cpus


def test_more_workers_than_cpus_share_them_evenly():
    with poolwise.Pool(2 * len(CPUS), affinity="spread") as pool:
        pool.map(see, range(20), 1)
        found = sorted(min(affinity_of(process)) for process in pool._pool)
        assert found == sorted(2 * CPUS)


def test_threads_that_importing_the_program_has_started_are_pinned_as_well(tmp_path):
    """OpenBLAS starts its own while it is loaded, which under spawn is before a worker begins."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import os, threading, poolwise
        threading.Thread(target=threading.Event().wait, daemon=True).start()

        def see(_):
            threads = map(int, os.listdir("/proc/self/task"))
            return [[sorted(os.sched_getaffinity(each)), os.getpriority(os.PRIO_PROCESS, each)]
                    for each in threads]

        if __name__ == "__main__":
            cpu = max(os.sched_getaffinity(0))
            nice = min(19, os.nice(0) + 2)
            with poolwise.Pool(1, context="spawn", affinity={cpu}, nice=2) as pool:
                found = pool.apply(see, (0,))
            assert len(found) >= 2 and all(each == [[cpu], nice] for each in found), found
        """)
    )
    run(program)


def run(program, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, str(program), *arguments], capture_output=True, text=True, timeout=120,
        check=False, env={**os.environ, "PYTHONPATH": SRC, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_as_many_workers_as_cpus_are_named(monkeypatch):
    set_cpus(monkeypatch, 3)
    with poolwise.Pool(affinity={CPUS[0]}) as pool:
        assert pool.statistics()["workers"] == 1


# -- memory


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_whose_memory_grew_is_replaced_and_nothing_is_lost(method):
    with poolwise.Pool(1, context=method, recycle_above=50 * MIB) as pool:
        pids = pool.map(keep, range(8), 1)
        counts = pool.statistics()
        notes = pool.report().notes
    assert len(pids) == 8
    assert len(set(pids)) > 1
    assert counts["recycled"] >= len(set(pids)) - 1
    assert counts["deaths"] == 0
    assert any("recycle_above" in note for note in notes)


def test_a_worker_that_gives_its_memory_back_is_kept():
    with poolwise.Pool(1, recycle_above=50 * MIB) as pool:
        assert len(set(pool.map(take, range(8), 1))) == 1
        assert pool.statistics()["recycled"] == 0


def test_memory_that_workers_were_forked_with_is_not_theirs():
    held = bytearray(b"x") * (100 * MIB)
    with poolwise.Pool(2, context="fork", recycle_above=50 * MIB, max_memory=2000 * MIB) as pool:
        pool.map(see, range(20), 1)
        assert pool.statistics()["recycled"] == 0
        (note,) = pool.report().notes
        assert "room for 2 of 2" in note
    del held


def test_memory_from_before_the_first_task_is_no_growth():
    """An initializer that loads something large must not have its worker replaced for ever."""
    with poolwise.Pool(1, keep, (0,), recycle_above=10 * MIB) as pool:
        pool.map(see, range(6), 1)
        assert pool.statistics()["recycled"] == 0


@pytest.mark.parametrize("method", METHODS)
def test_the_number_of_workers_follows_from_memory(method):
    with poolwise.Pool(4, context=method, max_memory=150 * MIB) as pool:
        results = pool.map(take, range(10), 1)
        counts = pool.statistics()
        notes = pool.report().notes
    assert [size for _, size in results] == [60 * MIB] * 10
    assert counts["workers"] <= 2  # 60 MiB each, and what an interpreter has of its own
    assert counts["deaths"] == 0
    assert any("room for" in note and "of 4 workers" in note for note in notes)


def test_where_memory_suffices_all_workers_come():
    with poolwise.Pool(3, max_memory=100_000 * MIB) as pool:
        assert pool.statistics()["workers"] == 1
        pool.map(see, range(60), 1)
        assert pool.statistics()["workers"] == 3


def test_the_account_may_be_off():
    with poolwise.Pool(1, recycle_above=10 * MIB, ledger="off") as pool:
        pool.map(keep, range(4), 1)
        assert pool.statistics()["recycled"] >= 1


def test_single_calls_are_weighed_as_well():
    # Not forked: 20 MiB might fit into what this process has once needed and given back.
    context = multiprocessing.get_context("forkserver")
    with poolwise.ProcessPoolExecutor(1, mp_context=context, recycle_above=10 * MIB) as pool:
        pids = [pool.submit(keep, n).result() for n in range(6)]
    assert len(set(pids)) == 6


# -- native threads


@pytest.mark.parametrize("method", METHODS)
def test_workers_times_threads_fit_the_cpus(method, monkeypatch):
    set_cpus(monkeypatch, 6)
    with poolwise.Pool(2, context=method) as pool:
        assert pool.apply(environment) == dict.fromkeys(THREADS, "3")
    assert environment() == dict.fromkeys(THREADS)


def test_they_are_left_as_they_are_if_that_is_wanted():
    with poolwise.Pool(2, native_threads=False) as pool:
        assert pool.apply(environment) == dict.fromkeys(THREADS)


@pytest.mark.parametrize("method", ["fork", "spawn"])  # a fork server has its own environment
def test_what_the_user_has_set_stays(method, monkeypatch):
    set_cpus(monkeypatch, 6)
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    with poolwise.Pool(2, context=method) as pool:
        found = pool.apply(environment)
    assert (found["MKL_NUM_THREADS"], found["OMP_NUM_THREADS"]) == ("5", "3")


@pytest.mark.parametrize("method", METHODS)
def test_pools_inside_of_tasks_share_what_their_worker_has(method, monkeypatch):
    set_cpus(monkeypatch, 8)
    with poolwise.Pool(2, context=method) as pool:
        assert pool.apply(see_in_pool, (2,)) == dict.fromkeys(THREADS, "2")


def test_a_worker_on_one_cpu_has_one_thread(monkeypatch):
    set_cpus(monkeypatch, 8)
    with poolwise.Pool(1, affinity="spread") as pool:
        assert pool.apply(see)[2] == "1"
    with poolwise.Pool(1, affinity={CPUS[0]}) as pool:
        assert pool.apply(see)[2] == "1"


def test_libraries_that_the_program_imports_see_it_under_spawn(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import os
        SEEN = os.environ.get("OMP_NUM_THREADS")
        import poolwise

        def seen(_):
            return SEEN

        if __name__ == "__main__":
            with poolwise.Pool(2, context="spawn") as pool:
                assert pool.apply(seen, (0,)) == "2", pool.apply(seen, (0,))
            assert SEEN is None and "OMP_NUM_THREADS" not in os.environ
            import subprocess
            assert b"OMP_NUM" not in subprocess.check_output(["env"])
        """)
    )
    run(program, POOLWISE_WORKERS="4")


class Library:
    """A module that has read the environment already."""

    threads = 8

    def set_num_threads(self, threads):
        self.threads = threads


def threads_of(name):
    return sys.modules[name].threads


@pytest.mark.parametrize("name", ["torch", "numexpr"])
def test_libraries_that_are_loaded_are_told(name, monkeypatch):
    set_cpus(monkeypatch, 4)
    monkeypatch.setitem(sys.modules, name, Library())
    with poolwise.Pool(2, context="fork") as pool:
        assert pool.apply(threads_of, (name,)) == 2
    with poolwise.Pool(2, context="fork", native_threads=False) as pool:
        assert pool.apply(threads_of, (name,)) == 8
    assert sys.modules[name].threads == 8


class Control:
    """Stands for threadpoolctl."""

    limits = None

    def threadpool_limits(self, limits):
        self.limits = limits


def limits_of_control():
    return sys.modules["threadpoolctl"].limits


@pytest.mark.parametrize("variable", [None, "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"])
def test_loaded_blas_is_limited_by_threadpoolctl(variable, monkeypatch):
    set_cpus(monkeypatch, 4)
    monkeypatch.setitem(sys.modules, "numpy", sys.modules.get("numpy") or Library())
    monkeypatch.setitem(sys.modules, "threadpoolctl", Control())
    if variable is not None:
        monkeypatch.setenv(variable, "7")
    with poolwise.Pool(2, context="fork") as pool:
        found = pool.apply(limits_of_control)
    expected = {
        None: {"openmp": 2, "blas": 2},
        "OPENBLAS_NUM_THREADS": {"openmp": 2},
        "OMP_NUM_THREADS": None,
    }
    assert found == expected[variable]


# -- what cannot be had

LIMITS = {"nice": 1, "affinity": "spread", "max_memory": MIB, "recycle_above": MIB}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("backend", ["threads", "serial", "executor"])
def test_back_ends_refuse_what_they_cannot_do(backend, name):
    with pytest.raises(ValueError, match=f"{name} cannot be had on the back end '{backend}'"):
        poolwise.Pool(1, backend=backend, **{name: LIMITS[name]})


@pytest.mark.parametrize("name", LIMITS)
def test_executors_of_others_refuse_them(name):
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match=f"{name} cannot"):
        poolwise.Pool(1, backend=executor, **{name: LIMITS[name]})


def test_what_is_refused_is_not_promised():
    from poolwise.backends.remote.dask import OnClient
    from poolwise.backends.remote.executors import OnExecutor, OwnExecutors
    from poolwise.backends.remote.ray import OnSession
    from poolwise.backends.threads import Serial, Threads

    for kind in (OnClient, OnExecutor, OwnExecutors, OnSession, Serial, Threads):
        assert not kind.promises.limits_workers
    assert Promises().limits_workers


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("nice", -1, ValueError), ("nice", 20, ValueError), ("nice", 1.5, TypeError),
        ("affinity", "all", TypeError), ("affinity", (), TypeError), ("affinity", 1, TypeError),
        ("affinity", {10_000}, ValueError), ("affinity", {"a"}, TypeError),
        ("max_memory", 0, ValueError), ("max_memory", "1G", TypeError),
        ("recycle_above", -1, ValueError), ("recycle_above", 1e9, TypeError),
    ],
)  # fmt: skip
def test_values_are_checked(name, value, error):
    with pytest.raises(error):
        poolwise.Pool(1, **{name: value})


def test_workers_of_map_have_them_as_well():
    with poolwise.workers(1, nice=2, affinity={CPUS[0]}):
        found = poolwise.map(see, range(4), kind="processes")
    assert set(found) == {(min(19, os.nice(0) + 2), frozenset({CPUS[0]}), "1")}


def test_two_pools_may_start_workers_at_once(monkeypatch):
    set_cpus(monkeypatch, 4)
    found = {}

    def start(workers):
        with poolwise.Pool(workers, context="spawn") as pool:
            found[workers] = pool.apply(environment)["OMP_NUM_THREADS"]

    threads = [threading.Thread(target=start, args=(workers,)) for workers in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {1: "4", 2: "2"}
