"""Workers of a Pool are daemons, may have pools of ours all the same, and take them along."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from concurrent import futures

import psutil
import pytest

import poolwise
from tests.conftest import wait_until
from tests.doors.programs import WITH_US, run_python, write
from tests.faults import breakers

METHODS = ["fork", "spawn", "forkserver"]
LIMIT_S = 100


def is_daemon(*_):
    return multiprocessing.current_process().daemon


@pytest.fixture(scope="module", params=METHODS)
def pool(request):
    with poolwise.Pool(1, context=request.param) as pool:
        yield pool


@pytest.fixture(scope="module")
def executor():
    with poolwise.ProcessPoolExecutor(1, "spawn") as executor:
        yield executor


# --- daemons ------------------------------------------------------------------------------------


def test_workers_of_a_pool_are_daemons_and_those_of_an_executor_are_not(pool, executor):
    assert pool.map(is_daemon, range(3)) == [True] * 3
    assert executor.submit(is_daemon).result() is False


@pytest.mark.parametrize("method", METHODS)
def test_so_are_those_that_replace_others(method):
    with poolwise.Pool(1, context=method, maxtasksperchild=1) as pool:
        assert pool.map(is_daemon, range(3), 1) == [True] * 3


def start_process():
    process = multiprocessing.get_context("fork").Process(target=abs, args=(1,))
    process.start()
    process.join()
    return process.exitcode


def make_standard_pool():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.map(abs, [-1])


def test_a_task_starts_processes_where_the_standard_lets_it(pool, executor):
    for start in (start_process, make_standard_pool):
        with pytest.raises(AssertionError, match="daemonic processes are not allowed"):
            pool.apply(start)
    assert executor.submit(start_process).result() == 0
    assert executor.submit(make_standard_pool).result() == [1]


# --- pools in them ------------------------------------------------------------------------------


def use(door, method):
    """The sum that a pool in this worker finds, and whether this is and its workers are daemons."""
    if door == "Pool":
        with poolwise.Pool(2, context=method) as pool:
            return sum(pool.map(breakers.double, range(9))), is_daemon(), pool.apply(is_daemon)
    with poolwise.ProcessPoolExecutor(2, method) as pool:
        total = sum(pool.map(breakers.double, range(9)))
        return total, is_daemon(), pool.submit(is_daemon).result()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("door", ["Pool", "ProcessPoolExecutor"])
def test_pools_of_ours_work_inside_daemons(pool, executor, door, method):
    is_forked = pool._engine.backend.context.get_start_method() == "fork"
    if is_forked and method == "forkserver":
        pytest.skip(
            "CPython cannot use a forkserver that the parent of a forked process has started"
        )
    assert pool.apply(use, (door, method)) == (72, True, door == "Pool")
    assert executor.submit(use, door, method).result() == (72, False, door == "Pool")


@pytest.mark.parametrize("door", ["Pool", "ProcessPoolExecutor"])
def test_also_inside_the_daemons_of_others(door):
    with multiprocessing.get_context("fork").Pool(1) as outer:
        assert outer.apply(use, (door, "fork")) == (72, True, door == "Pool")


def use_pools_of_pools(depth):
    if not depth:
        return 1
    with poolwise.Pool(2, context="fork") as pool:
        return sum(pool.map(use_pools_of_pools, [depth - 1] * 2))


def test_pools_within_pools_within_pools():
    assert use_pools_of_pools(3) == 8


def watch_while_pools_start():
    """What another thread is told meanwhile, and what happens to processes that it starts."""
    seen, errors, is_over = set(), [], threading.Event()

    def look():
        while not is_over.is_set():
            seen.add(is_daemon())
            try:
                multiprocessing.get_context("spawn").Process(target=abs, args=(1,)).start()
            except AssertionError as error:
                errors.append(str(error))

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(3):
        with poolwise.Pool(1, context="spawn") as pool:
            pool.apply(abs, (1,))
    is_over.set()
    thread.join()
    return seen, set(errors)


def test_for_other_threads_it_stays_a_daemon():
    with poolwise.Pool(1, context="fork") as pool:
        seen, errors = pool.apply(watch_while_pools_start)
    assert seen == {True}
    assert errors == {"daemonic processes are not allowed to have children"}


class FailsToStart(multiprocessing.get_context("fork").Process):
    def start(self):
        message = "no more processes"
        raise OSError(message)


class Failing(type(multiprocessing.get_context("fork"))):
    Process = FailsToStart


def fail_to_start():
    with pytest.raises(OSError, match="no more"):
        poolwise.Pool(1, context=Failing())
    with pytest.raises(AssertionError):
        start_process()
    return is_daemon()


def test_after_a_worker_that_could_not_be_started_it_is_one_too(pool):
    assert pool.apply(fail_to_start)


# --- what a task starts ends with its worker ----------------------------------------------------

left_open = []


def leave_open(door, method):
    """Start a pool and forget about it: this worker's pid, and those of its own workers."""
    pool = getattr(poolwise, door)(2, **{"context" if door == "Pool" else "mp_context": method})
    left_open.append(pool)
    assert list(pool.map(breakers.double, [1, 2, 3])) == [2, 4, 6]
    processes = pool._pool if door == "Pool" else pool._processes.values()
    return os.getpid(), [process.pid for process in processes]


def lives(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def all_end(pids):
    wait_until(lambda: not any(map(lives, pids)))
    return not any(map(lives, pids))


ENDS = {
    "closed": lambda pool, _: (pool.close(), pool.join()),
    "terminated": lambda pool, _: pool.terminate(),
    "killed": lambda pool, worker: (os.kill(worker, signal.SIGKILL), pool.close(), pool.join()),
}
INNER = [("Pool", "fork"), ("Pool", "spawn"), ("ProcessPoolExecutor", "fork")]


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize(("door", "method"), INNER)
def test_what_is_left_open_in_a_worker_ends_with_it(end, door, method):
    for outer in ("fork", "spawn") if method == "fork" else ("fork",):
        pool = poolwise.Pool(1, context=outer)
        worker, pids = pool.apply(leave_open, (door, method))
        assert len(pids) == 2
        end(pool, worker)
        assert all_end([worker, *pids])


@pytest.mark.parametrize(("door", "method"), INNER)
def test_what_is_left_open_in_a_worker_that_is_replaced_ends_with_it(door, method):
    with poolwise.Pool(1, context="fork", maxtasksperchild=1) as pool:
        worker, pids = pool.apply(leave_open, (door, method))
        assert pool.apply(abs, (-1,)) == 1
        assert all_end([worker, *pids])


@pytest.mark.parametrize(("door", "method"), INNER)
def test_what_is_left_open_in_a_worker_of_an_executor_ends_with_it(door, method):
    with poolwise.ProcessPoolExecutor(1, "fork") as executor:
        worker, pids = executor.submit(leave_open, door, method).result()
    assert all_end([worker, *pids])


@pytest.mark.parametrize("door", ["Pool", "ProcessPoolExecutor"])
def test_a_process_of_the_program_ends_as_well_though_it_left_one_open(door):
    reader, writer = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(
        target=lambda: writer.send(leave_open(door, "fork"))
    )
    process.start()
    worker, pids = reader.recv()
    process.join(LIMIT_S)
    assert process.exitcode == 0
    assert all_end([worker, *pids])


def test_the_standard_executors_workers_end_as_well_though_they_left_one_open():
    with futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as executor:
        worker, pids = executor.submit(leave_open, "Pool", "fork").result()
    assert all_end([worker, *pids])


@pytest.mark.parametrize("outer", ["Pool", "ProcessPoolExecutor"])
def test_a_program_that_closes_nothing_ends(outer, tmp_path):
    script = write(
        tmp_path / "program.py",
        f"""\
        import poolwise

        kept = []

        def double(x):
            return 2 * x

        def leave_open(x):
            kept.append(poolwise.{outer}(2))
            return list(kept[-1].map(double, range(x)))

        if __name__ == "__main__":
            pool = poolwise.{outer}(2)
            print(list(pool.map(leave_open, [1, 2, 3])))
        """,
    )
    ended = run_python(script)
    assert (ended.code, ended.out, ended.err) == (0, "[[0], [0, 2], [0, 2, 4]]\n", "")


def test_joblib_in_a_task_falls_back_to_one_process(tmp_path):
    pytest.importorskip("joblib")
    script = write(
        tmp_path / "program.py",
        """\
        import os
        import warnings
        from multiprocessing import Pool

        from joblib import Parallel, delayed

        warnings.simplefilter("ignore")

        def task(n):
            return set(Parallel(n_jobs=2)(delayed(os.getpid)() for _ in range(n))) == {os.getpid()}

        if __name__ == "__main__":
            with Pool(2) as pool:
                print(pool.map(task, [5, 6, 7, 8]))
        """,
    )
    ended = run_python(*WITH_US, script)
    assert (ended.code, ended.out, ended.err) == (0, "[True, True, True, True]\n", "")


# --- forks and imports --------------------------------------------------------------------------


def make_of_late_module(folder):
    sys.path.insert(0, folder)
    import made_late

    return made_late.Late()


def test_a_fork_waits_until_what_a_result_needs_is_imported(tmp_path, monkeypatch):
    """Else the module stays locked in the child for ever."""
    write(tmp_path / "made_late.py", "import time\ntime.sleep(0.3)\nclass Late: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with poolwise.Pool(1, context="fork") as pool:
        result = pool.apply_async(make_of_late_module, (str(tmp_path),))
        wait_until(lambda: "made_late" in sys.modules)
        child = os.fork()
        if not child:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(LIMIT_S)
            import made_late

            os._exit(hasattr(made_late, "Late"))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        result.get(LIMIT_S)
    sys.modules.pop("made_late", None)
