"""A pool for asyncio: same results, cancellation, nothing left, and a loop that goes on."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from functools import partial

import pytest

import poolwise
from poolwise.aio import Pool
from tests.conftest import children, wait_until
from tests.pipeline import tasks


def run(main):
    """Run a coroutine; nothing of its pool stays."""
    before, processes = set(threading.enumerate()), children()
    value = asyncio.run(main())

    def is_clean():
        threads = {each for each in threading.enumerate() if each.name.startswith("poolwise")}
        return threads <= before and children() <= processes

    wait_until(is_clean)
    assert is_clean()
    return value


def add(x, y):
    return x + y


def touch_then_hang(path):
    path.write_text(str(os.getpid()))
    time.sleep(600)


def hold(begun, go):
    begun.touch()
    while not go.exists():
        time.sleep(0.001)


def raise_stop(_):
    raise StopIteration


async def echo_later(x, after=0.0):
    await asyncio.sleep(after)
    return x


async def fail_later(x):
    await asyncio.sleep(0)
    if x == 7:
        raise ValueError(x)
    return x


async def meet(count, folder):
    """Wait until so many of these calls are under way at the same time in this process."""
    (folder / f"{os.getpid()}-{id(asyncio.current_task())}").touch()
    while len(list(folder.glob(f"{os.getpid()}-*"))) < count:  # noqa: ASYNC110 - of other tasks
        await asyncio.sleep(0.001)
    return os.getpid()


async def numbers(count, closed=None):
    try:
        for x in range(count):
            yield x
    finally:
        if closed is not None:
            closed.append(1)


def test_it_is_the_name_of_the_package():
    assert poolwise.aio.Pool is Pool


@pytest.mark.parametrize("backend", ["processes", "threads"])
def test_calls_and_maps(backend):
    async def main():
        async with Pool(2, backend=backend) as pool:
            assert await pool.apply(add, (1,), {"y": 2}) == 3
            assert await pool.submit(add, 1, y=5) == 6
            assert await pool.map(tasks.double, range(300)) == [2 * x for x in range(300)]
            assert await pool.starmap(add, [(1, 2), (3, 4)]) == [3, 7]
            assert await pool.map(tasks.double, []) == []
            assert await pool.map(tasks.double, (x for x in range(9))) == [2 * x for x in range(9)]
            assert await pool.map(tasks.double, numbers(9)) == [2 * x for x in range(9)]
            found = [x async for x in pool.imap_unordered(tasks.double, range(200), buffersize=7)]
            assert sorted(found) == [2 * x for x in range(200)]
            assert [x async for x in pool.imap(tasks.double, range(20), buffersize=1)] == [
                2 * x for x in range(20)
            ]

    run(main)


def test_an_imap_reads_no_further_than_its_window():
    read = []

    async def main():
        async with Pool(2) as pool:
            results = pool.imap(
                tasks.double, (read.append(x) or x for x in range(10**9)), buffersize=5
            )
            for _ in range(3):
                await results.__anext__()
            await results.aclose()

    run(main)
    assert len(read) <= 3 + 5


def test_errors_are_raised_and_the_rest_is_cancelled():
    closed = []

    async def main():
        async with Pool(2) as pool:
            with pytest.raises(ValueError, match="seven"):
                await pool.map(tasks.fail_on_seven, numbers(10**6, closed))
            assert closed == [1]
            with pytest.raises(poolwise.WorkerDied):
                await pool.submit(tasks.die_on_seven, 7)
            with pytest.raises(RuntimeError, match="StopIteration"):
                await pool.submit(raise_stop, 1)
            with pytest.raises(Exception, match="pickle"):
                await pool.submit(tasks.double, threading.Lock())
            assert await pool.submit(tasks.double, 4) == 8

    run(main)


def test_an_initializer_that_fails():
    async def main():
        async with Pool(1, initializer=tasks.fail_on_seven, initargs=(7,)) as pool:
            with pytest.raises(poolwise.InitializerFailed):
                await pool.submit(tasks.double, 1)

    run(main)


def test_cancelling_the_awaiting_task_kills_the_call(tmp_path):
    async def main():
        async with Pool(1, kill=True) as pool:
            trace = tmp_path / "pid"
            task = asyncio.create_task(pool.apply(touch_then_hang, (trace,)))
            await asyncio.to_thread(wait_until, trace.exists)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await pool.submit(tasks.double, 3) == 6  # its only worker was replaced

    run(main)


def test_a_call_that_has_not_begun_is_cancelled(tmp_path):
    async def main():
        async with Pool(1) as pool:
            first = pool.submit(hold, tmp_path / "begun", tmp_path / "go")
            await asyncio.to_thread(wait_until, (tmp_path / "begun").exists)
            others = [pool.submit((tmp_path / f"{n}").touch) for n in range(5)]
            for each in others:
                each.cancel()
            await asyncio.sleep(0)
            (tmp_path / "go").touch()
            await first
            assert await pool.submit(tasks.double, 1) == 2

    run(main)
    assert {path.name for path in tmp_path.iterdir()} == {"begun", "go"}


def test_a_cancelled_block_ends_its_workers(tmp_path):
    trace = tmp_path / "pid"

    async def work():
        async with Pool(1) as pool:
            pool.submit(touch_then_hang, trace)
            await asyncio.sleep(600)

    async def main():
        task = asyncio.create_task(work())
        await asyncio.to_thread(wait_until, trace.exists)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_leaving_the_block_waits_for_what_was_submitted():
    async def main():
        async with Pool(2) as pool:
            futures = [pool.submit(tasks.double, x) for x in range(50)]
        assert [future.result() for future in futures] == [2 * x for x in range(50)]

    run(main)


def test_coroutine_functions_run_in_workers_many_at_a_time(tmp_path):
    async def main():
        async with Pool(2) as pool:
            pids = await pool.map(
                partial(
                    meet,
                    10,
                ),
                [tmp_path] * 20,
            )
            assert os.getpid() not in pids
            assert await pool.map(echo_later, range(500)) == list(range(500))
            assert await pool.submit(echo_later, 1, after=0.001) == 1
            assert await asyncio.gather(*(pool.submit(echo_later, x) for x in range(50))) == [
                *range(50)
            ]
            with pytest.raises(ValueError, match="7"):
                await pool.map(fail_later, range(20))

    run(main)


def test_coroutine_functions_run_in_threads():
    async def main():
        async with Pool(2, backend="threads") as pool:
            assert await pool.map(echo_later, range(20)) == list(range(20))

    run(main)


def test_context_variables_pass_to_threads():
    name = contextvars.ContextVar("name", default="?")

    async def main():
        async with Pool(1, backend="threads") as pool:
            name.set("here")
            assert await pool.submit(lambda: name.get()) == "here"  # noqa: PLW0108 - its own context

    run(main)


def test_the_loop_goes_on_while_the_pool_starts_pickles_and_ends():
    """What a call is given is pickled elsewhere than on the loop."""

    async def main():
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 3600
        helpers = []
        async with Pool(1) as pool:
            helpers.append(pool._helper._thread)
            ident = await pool.submit(threading.get_ident)
            assert ident
            slow = _SlowToPickle()
            await pool.submit(type, slow)
        assert slow.pickled_in
        assert threading.get_ident() not in slow.pickled_in

    run(main)


class _SlowToPickle:
    """Notes which thread pickles it."""

    def __init__(self):
        self.pickled_in = []

    def __reduce__(self):
        self.pickled_in.append(threading.get_ident())
        return int, ()


def test_use_outside_of_the_block():
    pool = Pool(1)

    async def main():
        with pytest.raises(RuntimeError, match="not open"):
            pool.submit(tasks.double, 1)
        async with pool:
            pass
        with pytest.raises(RuntimeError, match="not open"):
            pool.submit(tasks.double, 1)
        with pytest.raises(RuntimeError, match="entered before"):
            async with pool:
                pass

    run(main)


@pytest.mark.parametrize("number", [0, -1, True, 1.5])
def test_at_once_is_a_number(number):
    with pytest.raises(ValueError, match="at_once must be"):
        Pool(at_once=number)
