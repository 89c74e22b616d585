"""Functions and sources that misbehave: an error for the consumer, no hang, no half a result."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import poolwise
from tests.pipeline import tasks

KINDS = ["thread", "process", "inline", "auto", "async"]


class Mute(Exception):
    """Cannot say what it is."""

    def __str__(self):
        raise RuntimeError


def mute_on_three(x):
    if x == 3:
        raise Mute
    return x


def stop_on_three(x):
    if x == 3:
        raise StopIteration
    return x


def cancel_on_three(x):
    if x == 3:
        raise asyncio.CancelledError
    return x


def leave_on_three(x):
    if x == 3:
        raise SystemExit(3)
    return x


def give_then_fail(x):
    yield x
    if x == 3:
        raise ValueError(x)
    yield -x


def later(function):
    async def call(x):
        await asyncio.sleep(0)
        return function(x)

    return call


def read(pipe, reader):
    """Results up to the error, and the error."""
    found = []

    def consume():
        for value in pipe:
            found.append(value)  # noqa: PERF402 - it is kept if the next one fails

    async def consume_async():
        async for value in pipe:
            found.append(value)  # noqa: PERF401 - it is kept if the next one fails

    try:
        consume() if reader == "for" else asyncio.run(consume_async())
    except BaseException as error:
        return found, error
    return found, None


@pytest.mark.parametrize("reader", ["for", "async for"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("function", "error"),
    [
        (stop_on_three, RuntimeError),  # a StopIteration would look like the end of the results
        (cancel_on_three, asyncio.CancelledError),
        (leave_on_three, SystemExit),
        (mute_on_three, Exception),
    ],
)
def test_whatever_a_stage_raises_is_raised_by_the_loop_that_reads(function, error, kind, reader):
    call = later(function) if kind == "async" else function
    found, raised = read(poolwise.pipe(range(9), cpus=2).map(call, kind=kind), reader)
    assert found == [0, 1, 2]
    assert isinstance(raised, error)


@pytest.mark.parametrize("timeout", [None, 60])
@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit, KeyboardInterrupt])
def test_what_a_coroutine_raises_does_not_end_its_loop(error, timeout):
    async def fail(x):
        await asyncio.sleep(0)
        if x == 3:
            raise error
        return x

    with pytest.raises(error):
        poolwise.pipe(range(9)).map(fail, timeout=timeout).run()


@pytest.mark.parametrize("kind", ["thread", "process", "inline"])
def test_an_error_that_cannot_be_put_into_words_can_be_skipped(kind):
    pipe = poolwise.pipe(range(6), cpus=2).map(mute_on_three, kind=kind, on_error="skip")
    assert pipe.run() == [0, 1, 2, 4, 5]


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError])
def test_an_inline_stage_is_named_whatever_it_raises(error):
    def fail(_):
        raise error

    with pytest.raises(error) as caught:
        poolwise.pipe([7]).map(fail, kind="inline", name="parse").run()
    assert "stage 'parse'" in " ".join(caught.value.__notes__)


@pytest.mark.parametrize("kind", ["thread", "process"])
@pytest.mark.parametrize("ordered", [True, False])
def test_what_a_generator_has_given_before_it_failed_goes_on(kind, ordered):
    pipe = poolwise.pipe(range(6), cpus=2, ordered=ordered)
    pipe = pipe.flat_map(give_then_fail, kind=kind, on_error="skip")
    assert sorted(pipe.run()) == sorted([0, 0, 1, -1, 2, -2, 3, 4, -4, 5, -5])
    pipe = poolwise.pipe([1, 3], cpus=2).flat_map(give_then_fail, kind=kind)
    found, raised = read(pipe, "for")
    assert found == [1, -1, 3]
    assert isinstance(raised, ValueError)
    assert "source item 1: 3" in " ".join(raised.__notes__)


def test_a_source_that_cannot_be_iterated():
    class Broken:
        def __iter__(self):
            message = "no items"
            raise OSError(message)

    class BrokenLater:
        def __aiter__(self):
            message = "no items"
            raise OSError(message)

    for source in (Broken(), BrokenLater()):
        with pytest.raises(OSError, match="no items"):
            poolwise.pipe(source).map(tasks.double).run()


@pytest.mark.parametrize("reader", ["for", "async for"])
@pytest.mark.parametrize("kind", ["thread", "async"])
def test_a_teardown_that_fails_is_heard_of_when_all_is_read(kind, reader):
    async def use(x):
        return x

    def fail(_):
        time.sleep(0.05)  # by then all results are read
        message = "not closed"
        raise OSError(message)

    call = use if kind == "async" else tasks.double
    pipe = poolwise.pipe([1, 2]).map(call, kind=kind, setup=list, teardown=fail)
    found, raised = read(pipe, reader)
    assert len(found) == 2
    assert "not closed" in str(raised)


def test_closing_results_raises_what_a_teardown_raised():
    def fail(_):
        message = "not closed"
        raise OSError(message)

    results = iter(poolwise.pipe(range(100)).map(tasks.double, setup=list, teardown=fail))
    next(results)
    with pytest.raises(OSError, match="not closed"):
        results.close()


@pytest.mark.parametrize("kind", ["thread", "async", "process"])
def test_what_took_too_long_is_tried_again_whatever_retry_on_names(kind, tmp_path):
    trace = tmp_path / "trace"

    def hang_once(x):
        with trace.open("a") as file:
            file.write("x")
        if trace.stat().st_size == 1:
            time.sleep(1)
        return x

    async def hang_once_async(x):
        with trace.open("a") as file:
            file.write("x")
        if trace.stat().st_size == 1:
            await asyncio.sleep(600)
        return x

    call = hang_once_async if kind == "async" else hang_once
    pipe = poolwise.pipe([5], cpus=2)
    assert pipe.map(call, kind=kind, timeout=0.4, retries=9, retry_on=KeyError).run() == [5]


def refuse_threads(monkeypatch, name, after):
    """No more than so many threads of a name can be started."""
    start, count = threading.Thread.start, []

    def start_or_not(thread):
        if thread.name.startswith(name):
            count.append(thread)
            if len(count) > after:
                message = "can't start new thread"
                raise RuntimeError(message)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_not)


def test_a_system_that_grants_fewer_threads(monkeypatch):
    refuse_threads(monkeypatch, "poolwise-slow", 2)

    def slow(x):
        time.sleep(0.001)
        return x

    pipe = poolwise.pipe(range(50)).map(slow, kind="thread", workers=8, name="slow")
    assert pipe.run() == list(range(50))


@pytest.mark.parametrize("name", ["stage", "source", "ticker", "loop"])
def test_a_system_that_grants_no_thread(monkeypatch, name):
    refuse_threads(monkeypatch, f"poolwise-{name}", 0)

    async def same(x):
        return x

    pipe = poolwise.pipe(range(50)).map(tasks.double, kind="thread", name="stage").map(same)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        pipe.run()


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_generator_is_tried_again_as_long_as_it_has_given_nothing(kind, tmp_path):
    trace = tmp_path / "trace"

    def flaky(x):
        with trace.open("a") as file:
            file.write("x")
        if trace.stat().st_size < 3:
            raise OSError
        yield x
        yield -x

    assert poolwise.pipe([5], cpus=2).flat_map(flaky, kind=kind, retries=2).run() == [5, -5]
    with pytest.raises(ValueError, match="3"):
        poolwise.pipe([3], cpus=2).flat_map(give_then_fail, kind=kind, retries=2).run()


@pytest.mark.parametrize("form", ["a generator", "a list"])
def test_a_coroutine_of_many_is_tried_again_as_long_as_it_has_given_nothing(form):
    calls = []

    def fail_twice():
        calls.append(1)
        if len(calls) < 3:
            raise OSError

    async def generator(x):
        fail_twice()
        yield x
        yield -x

    async def listed(x):
        fail_twice()
        return [x, -x]

    call = generator if form == "a generator" else listed
    assert poolwise.pipe([5]).flat_map(call, retries=2).run() == [5, -5]
    assert len(calls) == 3


def test_an_async_generator_that_takes_too_long():
    closed = []

    async def give_then_hang(x):
        try:
            yield x
            await asyncio.sleep(600 if x else 0)
        finally:
            closed.append(x)

    pipe = poolwise.pipe([0, 1]).flat_map(give_then_hang, timeout=0.2, on_error="skip")
    assert pipe.run() == [0, 1]
    assert closed == [0, 1]
    assert isinstance(pipe.failed[0].error, poolwise.TaskTimeout)


def test_a_slow_consumer_does_not_make_a_generator_late():
    pipe = poolwise.pipe([7], window=1).flat_map(tasks.twice, kind="thread", timeout=0.3)
    found = []
    for value in pipe.flat_map(tasks.twice, kind="thread", timeout=0.3):
        time.sleep(0.2)
        found.append(value)
    assert found == [7] * 4


async def closes_slowly(closed):
    try:
        while True:
            yield 1
            await asyncio.sleep(0)
    finally:
        await asyncio.sleep(0.01)
        closed.append(1)


def test_an_async_source_may_wait_as_it_is_closed():
    for _ in range(5):
        closed = []

        async def main(closed=closed):
            results = poolwise.pipe(closes_slowly(closed), window=2).map(tasks.double).__aiter__()
            await results.__anext__()
            await results.aclose()

        asyncio.run(main())
        assert closed == [1]
        closed.clear()
        results = iter(poolwise.pipe(closes_slowly(closed), window=2).map(tasks.double))
        next(results)
        results.close()
        assert closed == [1]


def test_a_coroutine_may_wait_as_it_cleans_up():
    cleaned = []

    async def hold(x):
        try:
            await asyncio.sleep(600 if x else 0)
        finally:
            await asyncio.sleep(0.05)
            cleaned.append(x)

    async def main():
        results = poolwise.pipe([0, 1]).map(hold).__aiter__()
        await results.__anext__()
        await results.aclose()

    asyncio.run(main())
    assert cleaned == [0, 1]


def test_a_handler_that_nobody_would_await():
    async def handle(failure):
        return failure.item

    with pytest.raises(TypeError, match="plain function"):
        poolwise.pipe([1]).map(tasks.double, on_error=handle)


def test_items_whose_size_cannot_be_told():
    class Broken:
        @property
        def nbytes(self):
            raise RuntimeError

        def __sizeof__(self):
            raise RuntimeError

    items = [Broken() for _ in range(20)]
    assert poolwise.pipe(items).map(lambda x: x, kind="thread").run() == items


def test_what_fails_because_a_run_was_ended_is_no_error_of_the_program():
    results = iter(poolwise.pipe(range(100)).map(tasks.double, kind="thread"))
    next(results)
    results._run.stop()
    results._run.abort(OSError("what it used is gone"))
    results.close()
