"""What fails is named, and costs no more than it must."""

from __future__ import annotations

import asyncio
import time

import pytest

import poolwise
from tests.pipeline import tasks

KINDS = ["thread", "process", "inline", "auto"]


def notes(error):
    return " ".join(getattr(error, "__notes__", ()))


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_item_that_failed_is_named_with_its_stage_and_its_source_item(kind, ordered):
    pipe = (
        poolwise.pipe([f"{x}" for x in range(20)], ordered=ordered, cpus=2)
        .map(int, kind="thread")
        .map(tasks.fail_on_seven, kind=kind, name="check")
    )
    with pytest.raises(ValueError, match="seven is not wanted") as caught:
        pipe.run()
    assert "stage 'check'" in notes(caught.value)
    assert "source item 7: '7'" in notes(caught.value)
    failure = pipe.failed[0]
    assert (failure.stage, failure.item, failure.source, failure.number) == ("check", 7, "7", 7)


def test_of_fused_stages_the_right_one_is_named():
    pipe = (
        poolwise.pipe(range(9), cpus=2)
        .map(tasks.add_one, kind="process", name="first")
        .map(tasks.fail_on_seven, kind="process", name="second")
    )
    with pytest.raises(ValueError, match="seven") as caught:
        pipe.run()
    assert "stage 'second'" in notes(caught.value)
    assert "source item 6" in notes(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_in_order_the_results_before_it_come_first(kind):
    results = iter(poolwise.pipe(range(20), cpus=2).map(tasks.fail_on_seven, kind=kind))
    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(ValueError, match="seven"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize("kind", KINDS)
def test_skipped_items_are_kept(kind):
    pipe = poolwise.pipe(range(10), cpus=2).map(tasks.fail_on_seven, kind=kind, on_error="skip")
    assert pipe.run() == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert [(each.item, str(each.error)) for each in pipe.failed] == [(7, "seven is not wanted")]
    assert pipe.failed.count == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_handler_gives_what_takes_the_items_place(kind):
    def replace(failure):
        return failure.DROP if failure.item == 7 and failure.stage == "drop" else -failure.item

    for name, found in (("keep", [6, -7, 8]), ("drop", [6, 8])):
        pipe = poolwise.pipe([6, 7, 8], cpus=2).map(
            tasks.fail_on_seven, kind=kind, on_error=replace, name=name
        )
        assert pipe.run() == found


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_skipped_item_leaves_its_room_to_the_next(kind):
    """With a window of one the next item can only begin when the failed one has left."""
    pipe = poolwise.pipe([7] * 20, cpus=2, window=1, ordered=False)
    pipe = pipe.map(tasks.fail_on_seven, kind=kind, on_error="skip")
    assert pipe.run() == []
    assert pipe.failed.count == 20


def test_a_handler_may_raise():
    def refuse(failure):
        raise KeyError(failure.item)

    with pytest.raises(KeyError, match="7"):
        poolwise.pipe(range(10)).map(tasks.fail_on_seven, on_error=refuse).run()


@pytest.mark.parametrize("kind", ["thread", "inline", "async"])
def test_it_is_tried_again(kind):
    calls = []

    def flaky(x):
        calls.append(x)
        if len(calls) < 3:
            raise OSError
        return x

    async def flaky_async(x):
        return flaky(x)

    call = flaky_async if kind == "async" else flaky
    pipe = poolwise.pipe([5]).map(call, kind=kind, retries=2, retry_on=OSError, backoff=0.001)
    assert pipe.run() == [5]
    assert calls == [5, 5, 5]
    calls.clear()
    with pytest.raises(OSError):  # noqa: PT011 - it says nothing
        poolwise.pipe([5]).map(call, kind=kind, retries=1, retry_on=OSError).run()
    calls.clear()
    with pytest.raises(OSError):  # noqa: PT011 - it says nothing
        poolwise.pipe([5]).map(call, kind=kind, retries=5, retry_on=ValueError).run()
    assert len(calls) == 1


def test_a_process_stage_tries_again_in_its_worker(tmp_path):
    trace = tmp_path / "trace"

    def flaky(x):
        with trace.open("a") as file:
            file.write("x")
        if trace.stat().st_size < 3:
            raise OSError
        return x

    assert poolwise.pipe([5], cpus=2).map(flaky, kind="process", retries=2).run() == [5]


def test_a_worker_that_dies_costs_one_item():
    pipe = poolwise.pipe(range(30), cpus=2).map(tasks.die_on_seven, kind="process", on_error="skip")
    assert pipe.run() == [x for x in range(30) if x != 7]
    (failure,) = pipe.failed
    assert failure.item == 7
    assert isinstance(failure.error, poolwise.WorkerDied)


@pytest.mark.parametrize("kind", ["process", "thread", "async"])
def test_an_item_that_takes_too_long_fails(kind):
    import threading

    release = threading.Event()

    def hang(x):
        if x == 7:
            release.wait(60)
        return x

    async def hang_async(x):
        if x == 7:
            await asyncio.sleep(600)
        return x

    call = {"process": tasks.hang_on_seven, "thread": hang, "async": hang_async}[kind]
    pipe = poolwise.pipe(range(10), cpus=2).map(
        call, kind=kind, timeout=0.2, on_error="skip", workers=2
    )
    try:
        assert pipe.run() == [x for x in range(10) if x != 7]
    finally:
        release.set()
    (failure,) = pipe.failed
    assert isinstance(failure.error, poolwise.TaskTimeout)
    assert failure.item == 7


def test_what_takes_too_long_is_tried_again():
    import threading

    release, calls = threading.Event(), []

    def hang_once(x):
        calls.append(x)
        if len(calls) == 1:
            release.wait(60)
        return x

    pipe = poolwise.pipe([1, 2]).map(hang_once, kind="thread", timeout=0.2, retries=1, workers=2)
    try:
        assert pipe.run() == [1, 2]
    finally:
        release.set()


def test_what_the_source_raises_is_raised():
    def source():
        yield 1
        message = "no more"
        raise OSError(message)

    with pytest.raises(OSError, match="no more"):
        poolwise.pipe(source()).map(tasks.double).run()


def test_what_an_async_source_raises_is_raised():
    async def source():
        yield 1
        message = "no more"
        raise OSError(message)

    with pytest.raises(OSError, match="no more"):
        poolwise.pipe(source()).map(tasks.double).run()


@pytest.mark.parametrize("kind", ["thread", "async", "process"])
def test_a_setup_that_fails_ends_the_run(kind):
    def fail():
        message = "no connection"
        raise OSError(message)

    async def use(x):
        return x

    call = use if kind == "async" else tasks.double
    with pytest.raises(OSError, match="no connection"):
        poolwise.pipe(range(100), cpus=2).map(call, kind=kind, setup=fail).run()


def test_rate_limits_what_is_begun():
    begun = []
    pipe = poolwise.pipe(range(6)).map(
        lambda _: begun.append(time.monotonic()), rate=50, workers=6, kind="thread"
    )
    pipe.run()
    assert begun[-1] - begun[0] >= 5 / 50 - 0.005
