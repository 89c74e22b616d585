"""A pool in surroundings that are short of something: descriptors, folders, standard streams."""

from __future__ import annotations

import errno
import gc
import os
import resource
import subprocess
import sys
import threading
import time
from collections import deque
from importlib import import_module
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path

import pytest

import poolwise
from tests.doors.programs import run_python, write
from tests.faults import breakers

LIMIT_S = 100


def doubles(pool):
    return pool.map(breakers.double, range(20)) == [2 * at for at in range(20)]


# --- forks --------------------------------------------------------------------------------------


def in_child(act):
    """What a child forked here says of ``act()``."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            said = repr(act())
        except BaseException as error:
            said = type(error).__name__
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        said = told.read()
    assert os.waitpid(child, 0)[1] == 0
    return said


def test_pool_in_a_forked_child_says_whose_it_is():
    with poolwise.Pool(2, context="fork") as pool:
        assert doubles(pool)
        assert in_child(lambda: pool.map(abs, [1])) == "UsedAfterFork"
        assert in_child(lambda: pool.apply(abs, (1,))) == "UsedAfterFork"
        assert in_child(lambda: pool.apply_async(abs, (1,)).get()) == "UsedAfterFork"
        assert doubles(pool)


def test_forked_child_may_make_its_own_pool():
    def make():
        with poolwise.Pool(1, context="fork") as own:
            return own.map(abs, [-1])

    with poolwise.Pool(2, context="fork") as pool:
        assert in_child(make) == "[1]"
        assert doubles(pool)


def test_forked_child_does_not_keep_workers_alive_or_end_them():
    pool = poolwise.Pool(2, context="fork")
    stay, go = os.pipe()
    child = os.fork()
    if not child:
        os.close(go)
        os.read(stay, 1)
        os._exit(0)
    assert doubles(pool)
    pool.terminate()
    pool.join()
    os.close(go)
    os.waitpid(child, 0)
    os.close(stay)


def nested(number):
    with poolwise.Pool(2, context="fork") as inner:
        return sum(inner.map(breakers.double, range(number)))


def test_pools_in_workers():
    with poolwise.Pool(2, context="fork") as pool:
        assert pool.map(nested, [1, 2, 3]) == [0, 2, 6]


@pytest.mark.parametrize("door", ["Pool", "ProcessPoolExecutor"])
def test_forked_child_ends_as_any_other(tmp_path, door):
    source = f"""
    import os, sys
    import poolwise
    if __name__ == "__main__":
        with poolwise.{door}(2) as pool:
            assert list(pool.map(abs, [-1, -2])) == [1, 2]
            sys.stdout.flush()
            child = os.fork()
            if not child:
                sys.exit(7)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            assert list(pool.map(abs, [-1, -2])) == [1, 2]
    """
    ended = run_python(write(tmp_path / "program.py", source))
    assert (ended.out, ended.err) == ("7\n", "")


def test_lock_held_by_a_thread_at_the_fork():
    lock = threading.Lock()
    with lock, poolwise.Pool(2, context="fork") as pool:
        assert doubles(pool)


# --- resources ----------------------------------------------------------------------------------


def count_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def limit_that_leaves(room):
    """RLIMIT_NOFILE bounds numbers, not a count: there may be gaps between those that are open."""
    taken = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    free = (number for number in count() if number not in taken)
    return next(islice(free, room - 1, None)) + 1


def test_module_that_a_thread_is_importing_at_the_fork(tmp_path, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr("tests.faults.test_surroundings.go_on", go_on, raising=False)
    (tmp_path / "half_imported.py").write_text(
        "import os\n"
        "from tests.faults.test_surroundings import begun, go_on, parent\n"
        "if os.getpid() == parent:\n"
        "    begun.set()\n"
        "    go_on.wait(60)\n"
        "ANSWER = 42\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    thread = threading.Thread(target=import_module, args=("half_imported",))
    thread.start()
    assert begun.wait(60)
    try:
        with poolwise.Pool(1, context="fork") as pool:
            assert pool.apply_async(answer_of, ("half_imported",)).get(60) == 42
    finally:
        go_on.set()
        thread.join()
        del sys.modules["half_imported"]


begun, parent = threading.Event(), os.getpid()


def answer_of(name):
    return import_module(name).ANSWER


def test_without_descriptors_the_pool_is_refused():
    before = count_descriptors()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    refused = []
    for room in range(1, 40, 2):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit_that_leaves(room), hard))
        try:
            poolwise.Pool(4, context="fork").terminate()
        except OSError as error:
            refused.append(error.errno)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if room < 8:  # beyond, multiprocessing leaks a pipe whenever its second one is refused
            gc.collect()
            assert count_descriptors() <= before
    assert refused
    assert set(refused) == {errno.EMFILE}


MANY_WORKERS = """
import resource
import poolwise

if __name__ == "__main__":
    soft, hard = {limits}
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        with poolwise.Pool(20, context={method!r}) as pool:
            print(pool.map(abs, [-1, -2]), pool.statistics()["workers"])
    except OSError as error:
        print(type(error).__name__, error)
    print(resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard))
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_many_workers_find_descriptors_as_long_as_the_system_has_any(tmp_path, method):
    limits = "64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]"
    source = MANY_WORKERS.format(limits=limits, method=method)
    ended = run_python(write(tmp_path / "program.py", source))
    assert (ended.out, ended.err) == ("[1, 2] 20\nFalse\n", "")


def test_a_limit_on_descriptors_that_cannot_be_raised_is_named(tmp_path):
    source = MANY_WORKERS.format(limits="64, 64", method="fork")
    ended = run_python(write(tmp_path / "program.py", source))
    said = "this process may have 64 (ulimit -n), of which a worker takes six. Raise that limit"
    assert said in ended.out
    assert ended.out.endswith("\nTrue\n")


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_standard_streams_closed(tmp_path, stream, method):
    source = f"""
    import os, sys
    if __name__ == "__main__":
        os.close({["stdin", "stdout", "stderr"].index(stream)})
        sys.{stream} = None
        import poolwise
        with poolwise.Pool(2, context={method!r}) as pool:
            assert pool.map(abs, range(-9, 0)) == list(range(9, 0, -1))
        os._exit(5)
    """
    assert run_python(write(tmp_path / "program.py", source)).code == 5


def test_working_folder_deleted(tmp_path):
    source = """
    import os, tempfile
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)
    import poolwise
    with poolwise.Pool(2, context="fork") as pool:
        print(pool.map(abs, [-1, -2]))
    """
    ended = run_python(write(tmp_path / "program.py", source))
    assert (ended.out, ended.err) == ("[1, 2]\n", "")


def test_one_worker():
    with poolwise.Pool(1, context="fork") as pool:
        assert doubles(pool)
        assert list(pool.imap(breakers.double, iter(range(9)))) == list(range(0, 18, 2))


# --- readers that stop --------------------------------------------------------------------------


def counting(taken):
    number = 0
    while True:
        taken.append(number)
        yield number
        number += 1


@pytest.mark.parametrize("leave", ["break", "close", "forget"])
def test_endless_input_stops_with_its_reader(leave):
    taken = []
    with poolwise.Pool(2, context="fork") as pool:
        results = pool.imap(abs, counting(taken))
        assert [next(results) for _ in range(5)] == list(range(5))
        if leave == "close":
            results.close()
        del results
        gc.collect()
        assert doubles(pool)
        settle(taken)
        pool.close()
        pool.join()


def settle(taken):
    """Wait until an input is read no further."""
    until = time.monotonic() + LIMIT_S
    while True:
        before = len(taken)
        time.sleep(0.05)
        if len(taken) == before:
            return
        assert time.monotonic() < until, "the input is read on and on"


@pytest.mark.parametrize("buffersize", [None, 7])
def test_input_waits_for_its_reader(buffersize):
    taken = []
    with poolwise.Pool(2, context="fork") as pool:
        results = pool.imap(abs, counting(taken), buffersize=buffersize)
        assert [next(results) for _ in range(5)] == list(range(5))
        settle(taken)
        if buffersize is not None:
            assert len(taken) <= 5 + buffersize + 1
        assert [next(results) for _ in range(50)] == list(range(5, 55))


def test_a_pool_for_many_threads():
    got = []
    with poolwise.Pool(2, context="fork") as pool:

        def use(number):
            one = pool.apply_async(abs, (-number,)).get(LIMIT_S)
            got.append((one, sum(pool.map(abs, range(number))), list(pool.imap(abs, [number]))))

        threads = [threading.Thread(target=use, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT_S)
    assert sorted(got) == [(at, sum(range(at)), [at]) for at in range(16)]


def test_short_calls_do_not_wait_for_a_long_one():
    with poolwise.Pool(2, context="fork") as pool:
        for number in range(200):  # so far all were short
            pool.apply(abs, (number,))
        long_one = pool.apply_async(time.sleep, (60,))
        short = [pool.apply_async(abs, (-number,)) for number in range(300)]
        assert [one.get(LIMIT_S) for one in short] == list(range(300))
        assert not long_one.ready()


def test_standard_processes_beside_the_pool():
    with poolwise.Pool(2, context="fork") as pool:
        process = get_context("fork").Process(target=abs, args=(1,))
        process.start()
        process.join()
        assert doubles(pool)
        assert subprocess.run([sys.executable, "-c", ""], check=True).returncode == 0


@pytest.mark.parametrize("make", [poolwise.Pool, poolwise.ProcessPoolExecutor])
def test_closed_and_let_go_it_gives_everything_back(make):
    gc.collect()

    def held():
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    before = held()
    pool = make(2)
    list(pool.map(breakers.double, range(10)))
    if make is poolwise.Pool:
        pool.close()
    else:
        pool.shutdown(wait=False)
    del pool
    until = time.monotonic() + LIMIT_S
    while held() != before:
        assert time.monotonic() < until
        time.sleep(0.01)


LATE = {
    "map": "pool.map(later, range(4), 1)",
    "apply": "[pool.apply(later, (at,)) for at in range(4)]",
    "apply_async": "[one.get() for one in [pool.apply_async(later, (at,)) for at in range(4)]]",
    "of many": "[one.get() for one in [pool.apply_async(later, (at,)) for at in range(400)]][:4]",
    "kept apart": "[one.get() for one in [pool.apply_async(later, ([at],)) for at in range(4)]]",
    "submit": "[one.result() for one in [executor.submit(later, at) for at in range(4)]]",
    "argument": "[pool.apply(getattr, (Later(at), 'number')) for at in range(4)]",
}


@pytest.mark.parametrize("call", LATE)
def test_function_defined_after_the_workers_were_forked(tmp_path, call):
    lines = f"""
        import poolwise

        pool = poolwise.Pool(2, context="fork")
        executor = poolwise.ProcessPoolExecutor(2, "fork")
        pool.map(abs, range(4))
        list(executor.map(abs, range(4)))

        def later(number):
            return (number if isinstance(number, int) else number[0]) + 1

        class Later:
            def __init__(self, number):
                self.number = number + 1

        print({LATE[call]})
        pool.terminate()
        executor.shutdown()
    """
    said = run_python(write(tmp_path / "late.py", lines))
    assert (said.out, said.err) == ("[1, 2, 3, 4]\n", "")


def test_call_that_another_thread_overtakes_with_the_end_is_refused():
    class Overtaken(deque):
        def append(self, task):
            end()
            super().append(task)

    with poolwise.ProcessPoolExecutor(1, "fork") as executor:
        executor._submitted.items, end = Overtaken(), executor.shutdown
        with pytest.raises(RuntimeError, match="after shutdown"):
            executor.submit(breakers.double, 1)
    with poolwise.Pool(1, context="fork") as pool:
        pool._submitted.items, end = Overtaken(), pool.close
        with pytest.raises(ValueError, match="not running"):
            pool.apply_async(breakers.double, (1,))
