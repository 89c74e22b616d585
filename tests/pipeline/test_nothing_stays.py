"""However a run ends, no thread, process, task or open generator of it stays."""

from __future__ import annotations

import asyncio
import gc
import os
import queue
import signal
import subprocess
import sys
import threading
import time

import pytest

import poolwise
from poolwise.pipeline.run import close_all
from tests.conftest import children, wait_until
from tests.house.tree import ROOT
from tests.pipeline import tasks


def threads():
    return {each for each in threading.enumerate() if each.name.startswith("poolwise")}


@pytest.fixture(autouse=True)
def nothing_stays():
    before, processes = threads(), children()
    yield
    gc.collect()
    wait_until(lambda: threads() <= before and children() <= processes)
    assert threads() <= before
    assert children() <= processes


def endless(closed):
    x = 0
    try:
        while True:
            yield x
            x += 1
    finally:
        closed.append(threading.current_thread().name)


async def echo(x):
    await asyncio.sleep(0)
    return x


def long_pipe(source):
    return (
        poolwise.pipe(source, cpus=2)
        .map(tasks.add_one, kind="thread", workers=3)
        .map(echo)
        .map(tasks.double, kind="process")
        .flat_map(tasks.twice, kind="thread")
        .batch(2)
    )


def test_when_all_is_read():
    assert len(long_pipe(range(10)).run()) == 10


def test_when_the_consumer_breaks_off():
    closed = []
    for _ in long_pipe(endless(closed)):
        break
    wait_until(lambda: closed)
    assert closed == ["poolwise-source"]


def test_when_the_consumer_raises():
    closed = []

    def consume():
        for _ in long_pipe(endless(closed)):
            raise KeyError

    with pytest.raises(KeyError):
        consume()
    wait_until(lambda: closed)


def test_when_the_sink_raises():
    closed = []

    def refuse(_):
        raise KeyError

    with pytest.raises(KeyError):
        long_pipe(endless(closed)).run(sink=refuse)
    assert closed


@pytest.mark.parametrize("kind", ["thread", "process", "inline"])
def test_when_a_stage_raises(kind):
    closed = []
    pipe = poolwise.pipe(endless(closed), cpus=2).map(tasks.fail_on_seven, kind=kind)
    with pytest.raises(ValueError, match="seven"):
        pipe.run()
    assert closed


def test_when_the_results_are_collected_as_garbage():
    closed = []
    results = iter(long_pipe(endless(closed)))
    next(results)
    cycle = [results]
    cycle.append(cycle)
    del results, cycle
    gc.collect()
    wait_until(lambda: closed)
    assert closed


def test_when_results_are_closed_and_none_was_read():
    for _ in range(5):
        with iter(long_pipe(endless([]))):
            pass


def test_when_an_async_consumer_breaks_off():
    closed, torn = [], []

    async def source():
        try:
            x = 0
            while True:
                yield x
                x += 1
        finally:
            closed.append(1)

    async def use(x, _):
        return x

    async def main():
        results = (
            poolwise.pipe(source())
            .map(use, setup=lambda: 1, teardown=torn.append)
            .map(tasks.double, kind="thread")
            .__aiter__()
        )
        async for _ in results:
            break
        await results.aclose()
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1
    assert closed == [1]
    assert torn == [1]


def test_when_an_async_consumer_is_cancelled():
    started = []

    async def consume():
        async for _ in poolwise.pipe(range(10)).map(lambda x: (started.append(x), x), workers=1):
            await asyncio.sleep(600)

    async def main():
        task = asyncio.create_task(consume())
        await asyncio.to_thread(wait_until, lambda: started)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_while_the_source_waits_for_a_queue():
    given = queue.Queue()
    results = iter(poolwise.pipe(given).map(tasks.double))
    given.put(1)
    assert next(results) == 2
    results.close()


@pytest.mark.parametrize("where", ["waiting", "consuming"])
def test_ctrl_c(where, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(f"""
import threading, time, poolwise
from tests.conftest import children, wait_until
from tests.pipeline import tasks

def slow(x):
    time.sleep(0.05)
    return x

def source():
    try:
        yield from range(10 ** 9)
    finally:
        print("closed", flush=True)

def main():
    pipe = poolwise.pipe(source(), cpus=2).map(slow, kind="thread")
    pipe = pipe.map(tasks.double, kind="process")
    for n, _ in enumerate(pipe):
        if n == 3:
            print("ready", flush=True)
            if {where!r} == "consuming":
                time.sleep(600)

if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        wait_until(lambda: threading.active_count() == 1 and not children())
        print("left", threading.active_count() - 1, len(children()), flush=True)
""")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=environment
    ) as program:
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGINT)
        said, _ = program.communicate(timeout=60)
    assert "closed" in said
    assert "left 0 0" in said


def test_a_program_may_end_with_a_run_under_way(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("""
import poolwise
from tests.pipeline import tasks

if __name__ == "__main__":
    results = iter(poolwise.pipe(iter(int, 1), cpus=2).map(tasks.double, kind="process"))
    print(next(results))
""")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("0\n", "", 0)


def test_a_forked_child_leaves_the_run_to_its_parent():
    results = iter(poolwise.pipe(range(1000)).map(tasks.double, kind="thread"))
    assert next(results) == 0
    if (child := os.fork()) == 0:
        try:
            at = time.monotonic()
            del results
            close_all()
            os._exit(0 if time.monotonic() - at < 60 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert list(results) == [2 * x for x in range(1, 1000)]


def test_waiting_between_tries_ends_with_the_run():
    begun = threading.Event()

    def fail(_):
        begun.set()
        raise OSError

    results = iter(poolwise.pipe([1]).map(fail, kind="thread", retries=9, backoff=600))
    begun.wait()
    at = time.monotonic()
    results.close()
    assert time.monotonic() - at < 60
