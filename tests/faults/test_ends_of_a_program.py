"""Ends of a program: by a signal, by an exit, by the end of its main module."""

from __future__ import annotations

import asyncio
import signal
import sys
import textwrap
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

import poolwise
from poolwise.core import interrupts
from poolwise.core.signals import seen
from tests.conftest import handler, wait_until
from tests.doors.programs import run_python, write


class Late(Exception):
    """What a program's handler raises."""


def too_late(*_):
    raise Late


def leave(*_):
    sys.exit(3)


# --- executors ------------------------------------------------------------------------------------


def test_calls_are_run_when_the_block_is_left_by_exit():
    futures = []

    def work():
        with poolwise.ProcessPoolExecutor(1) as executor:
            futures.extend(executor.submit(abs, -at) for at in range(9))
            sys.exit(3)

    with pytest.raises(SystemExit):
        work()
    assert [future.result() for future in futures] == list(range(9))


@pytest.mark.parametrize("act", [leave, signal.default_int_handler])
def test_calls_are_cancelled_when_a_signal_ends_the_block(act):
    futures = []

    def work():
        with poolwise.ProcessPoolExecutor(1) as executor:
            futures.extend(executor.submit(time.sleep, 600) for _ in range(9))
            futures[0].add_done_callback(lambda _: None)
            signal.raise_signal(signal.SIGUSR2)

    with handler(act), pytest.raises((SystemExit, KeyboardInterrupt)):
        work()
    assert all(future.cancelled() for future in futures)
    with pytest.raises(CancelledError):
        futures[0].result()


def test_exit_is_remembered_until_somebody_waits():
    with poolwise.ProcessPoolExecutor(1) as executor, handler(leave):
        future = executor.submit(abs, -1)
        assert future.result() == 1
        with pytest.raises(SystemExit), executor._engine.signals:
            signal.raise_signal(signal.SIGUSR2)
        assert interrupts.has_ended_program()
        assert executor.submit(abs, -2).result() == 2
        assert not interrupts.has_ended_program()
        assert not seen.is_interrupted


# --- event loops ----------------------------------------------------------------------------------


def wakeup_fd():
    fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(fd)
    return fd


async def serve(executor):
    await asyncio.get_running_loop().run_in_executor(executor, abs, -1)
    return wakeup_fd()


def test_a_loop_that_is_served_wakes_up_for_signals():
    with poolwise.ProcessPoolExecutor(1) as executor:
        for _ in range(2):
            assert asyncio.run(serve(executor)) != -1
            assert wakeup_fd() == -1
            assert signal.getsignal(signal.SIGURG) == signal.SIG_DFL
        with ThreadPoolExecutor() as threads:
            assert asyncio.run(serve(threads)) == -1  # which the loop does not by itself


def test_a_program_that_uses_that_signal_itself_keeps_it():
    with handler(too_late, signal.SIGURG), poolwise.ProcessPoolExecutor(1) as executor:
        assert asyncio.run(serve(executor)) == -1
        assert signal.getsignal(signal.SIGURG) is too_late


def test_a_loop_in_another_thread_is_left_alone():
    with poolwise.ProcessPoolExecutor(1) as executor, ThreadPoolExecutor() as threads:
        assert threads.submit(asyncio.run, serve_unwatched(executor)).result() is None


async def serve_unwatched(executor):
    await asyncio.get_running_loop().run_in_executor(executor, abs, -1)


def test_a_signal_that_ends_a_loop_is_noted_where_its_calls_are_cancelled():
    """Of an executor that the program never shuts down nothing else is seen."""

    async def main(executor):
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(executor, time.sleep, 600) for _ in range(9)]
        loop.call_later(0.01, signal.raise_signal, signal.SIGUSR2)
        await asyncio.gather(*calls)

    executor = poolwise.ProcessPoolExecutor(1)
    with handler(leave):
        with pytest.raises(SystemExit):
            asyncio.run(main(executor))
        assert interrupts.has_ended_program()
    executor.kill_workers()
    wait_until(lambda: not executor._processes)
    seen.is_interrupted = False


# --- the interpreter's end ------------------------------------------------------------------------


def run(folder, source):
    return run_python(write(folder / "program.py", source))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_calls_of_an_executor_that_was_dropped_are_run(tmp_path, method):
    """As the standard one has them run, whether somebody holds it or not."""
    source = f"""
    import os
    import poolwise

    def say(number):
        os.write(1, b"x")

    def work():
        executor = poolwise.ProcessPoolExecutor(2, "{method}")
        for number in range(20):
            executor.submit(say, number)

    if __name__ == "__main__":
        work()
    """
    ended = run(tmp_path, source)
    assert (ended.code, ended.out, ended.err) == (0, "x" * 20, "")


def test_calls_are_not_waited_for_when_an_exit_of_a_handler_was_seen(tmp_path):
    source = """
    import os, signal, sys, threading, time
    import poolwise

    def leave(*_):
        sys.exit(3)

    signal.signal(signal.SIGTERM, leave)
    executor = poolwise.ProcessPoolExecutor(2, "fork")
    calls = [executor.submit(time.sleep, 600) for _ in range(9)]
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    calls[0].result()
    """
    ended = run(tmp_path, source)
    assert (ended.code, ended.err) == (3, "")


USES = {
    "get": "pool.apply_async(time.sleep, (600,)).get()",
    "map": "pool.map(time.sleep, [600] * 9)",
    "result": "executor.submit(time.sleep, 600).result()",
    "as_completed": "list(as_completed([executor.submit(time.sleep, 600)]))",
    "many calls": "[pool.apply(abs, (1,)) for _ in iter(int, 1)]",
    "many pools": "[make() for _ in iter(int, 1)]",
}


@pytest.mark.parametrize("use", USES)
def test_threads_that_are_left_at_the_end_print_nothing(tmp_path, use):
    source = f"""
    import threading, time
    from concurrent.futures import as_completed
    import poolwise

    def make():
        with poolwise.Pool(1, context="fork") as made:
            made.map(abs, [1])

    def work():
        begun.set()
        {USES[use]}

    begun = threading.Event()
    pool = poolwise.Pool(1, context="fork")
    executor = poolwise.ProcessPoolExecutor(1, "fork")
    threading.Thread(target=work, daemon=True).start()
    begun.wait()
    time.sleep(0.05)
    poolwise.core.interrupts.seen.is_interrupted = True  # else the executor's call is waited for
    """
    ended = run(tmp_path, "import poolwise.core.interrupts\n" + textwrap.dedent(source))
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_pool_that_is_used_by_what_is_called_at_exit(tmp_path, when):
    register = "atexit.register(work)"
    source = f"""
    import atexit
    import poolwise

    def work():
        try:
            print(pool.map(abs, [-1]))
        except Exception as error:
            print(type(error).__name__)

    {register if when == "before" else ""}
    pool = poolwise.Pool(1, context="fork")
    {register if when == "after" else ""}
    """
    ended = run(tmp_path, source)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == ("PoolTerminated\n" if when == "before" else "[1]\n")


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="nothing can be started at the end")
def test_a_pool_that_is_made_by_what_is_called_at_exit(tmp_path):
    source = """
    import atexit
    import poolwise

    def work():
        with poolwise.Pool(1, context="fork") as pool:
            print(pool.map(abs, [-1]))

    atexit.register(work)
    poolwise.Pool(1, context="fork")
    """
    ended = run(tmp_path, source)
    assert (ended.code, ended.out, ended.err) == (0, "[1]\n", "")


def test_a_worker_whose_parent_goes_while_it_starts_prints_nothing(tmp_path):
    source = """
    import os, signal, time
    import poolwise

    def ends(pid=os.getpid()):
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)  # the kernel ends it; elsewhere it finds its pipe closed

    poolwise.Pool(2, ends, context="fork").join()
    """
    ended = run(tmp_path, source)
    assert (ended.code, ended.err) == (-signal.SIGKILL, "")


# --- what others start ----------------------------------------------------------------------------

BESIDE_OURS = """
    import multiprocessing
    import sys

    import poolwise


    def blocked(_):
        with open("/proc/self/status") as status:
            return [line.split()[1] for line in status if line.startswith("SigBlk")]


    if __name__ == "__main__":
        with poolwise.Pool(1, context=sys.argv[1]) as ours:
            found = ours.map(blocked, [0])
        with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
            found += pool.map(blocked, [0])
        print(found)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_no_signal_stays_blocked_in_a_worker_of_ours_or_of_a_standard_pool(method, tmp_path):
    program = write(tmp_path / "program.py", textwrap.dedent(BESIDE_OURS))
    done = run_python(program, method)
    assert done.out.strip() == str([["0000000000000000"]] * 2)
