"""What cannot work is refused where it is written, with what to do."""

from __future__ import annotations

import asyncio
import threading

import pytest

import poolwise
from tests.pipeline import tasks


async def coroutine(x):
    return x


@pytest.mark.parametrize("call", [3, None, "double"])
def test_a_stage_that_is_not_callable(call):
    with pytest.raises(TypeError, match=r"\.map\(\) needs a function, not"):
        poolwise.pipe([1]).map(call)


@pytest.mark.parametrize("call", [lambda: 1, lambda x, y: x + y])
def test_a_stage_that_takes_other_arguments(call):
    with pytest.raises(TypeError, match=r"stage '.*' .* one argument.*functools.partial"):
        poolwise.pipe([1]).map(call)


@pytest.mark.parametrize("kind", ["process", "thread", "inline"])
def test_a_coroutine_function_elsewhere_than_on_a_loop(kind):
    with pytest.raises(ValueError, match=r"stage 'coroutine'.*event loop"):
        poolwise.pipe([1]).map(coroutine, kind=kind)


def test_a_plain_function_on_a_loop():
    with pytest.raises(ValueError, match="needs a coroutine function"):
        poolwise.pipe([1]).map(tasks.double, kind="async")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kind": "procces"}, "kind must be one of"),
        ({"workers": 0}, "workers must be"),
        ({"workers": (4, 2)}, "workers must be"),
        ({"workers": "many"}, "workers must be"),
        ({"workers": True, "kind": "inline"}, "inline stage"),
        ({"timeout": 0}, "timeout must be"),
        ({"timeout": 1, "kind": "inline"}, "inline stage"),
        ({"rate": -1}, "rate must be"),
        ({"retries": -1}, "retries must be"),
        ({"backoff": -1}, "backoff must be"),
        ({"on_error": "ignore"}, "on_error must be"),
        ({"teardown": print}, "teardown without setup"),
    ],
)
def test_options_out_of_range(options, says):
    with pytest.raises(ValueError, match=f"stage '.*double'.*{says}"):
        poolwise.pipe([1]).map(tasks.double, **options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"worker": 3}, "unknown argument 'worker'"),
        ({"retry_on": 3}, "retry_on must be"),
        ({"setup": 3}, "setup must be a function"),
    ],
)
def test_options_of_another_type(options, says):
    with pytest.raises(TypeError, match=says):
        poolwise.pipe([1]).map(tasks.double, **options)


@pytest.mark.parametrize("setting", [{"cpus": 0}, {"max_bytes": -1}, {"window": 0}])
def test_settings_out_of_range(setting):
    with pytest.raises(ValueError, match=r"must be a number of .*, 1 or more"):
        poolwise.pipe([1], **setting)


def test_an_unknown_setting():
    with pytest.raises(TypeError, match="unknown argument 'order'"):
        poolwise.pipe([1], order=True)


@pytest.mark.parametrize("size", [0, -1])
def test_batches_of_nothing(size):
    with pytest.raises(ValueError, match="would make empty lists"):
        poolwise.pipe([1]).batch(size)


def test_batches_of_no_number():
    with pytest.raises(TypeError, match="whole number"):
        poolwise.pipe([1]).batch("3")


def test_no_source():
    with pytest.raises(TypeError, match=r"pipe\(\) needs something to read items from"):
        poolwise.pipe(3)


def test_zip_with_input_without_a_stage_to_zip():
    for pipe in (poolwise.pipe([1]), poolwise.pipe([1]).filter(bool), poolwise.pipe([1]).batch(2)):
        with pytest.raises(ValueError, match=r"must follow \.map"):
            pipe.zip_with_input()


@pytest.mark.parametrize("make", [lambda: iter([1, 2]), lambda: (x for x in [1, 2])])
def test_an_iterator_used_twice(make):
    source = make()
    pipe = poolwise.pipe(source).map(tasks.double)
    assert pipe.run() == [2, 4]
    with pytest.raises(RuntimeError, match="can be read only once"):
        pipe.run()
    if make().__class__.__name__ == "generator":
        with pytest.raises(RuntimeError, match="can be read only once"):
            poolwise.pipe(source).run()


def test_a_pipe_of_a_list_runs_twice():
    pipe = poolwise.pipe([1, 2]).map(tasks.double)
    assert pipe.run() == pipe.run() == [2, 4]


def test_an_unpicklable_function_at_a_process_stage():
    lock = threading.Lock()

    def locked(x):
        with lock:
            return x

    with pytest.raises(TypeError, match=r"stage 'locked'.*kind='thread'"):
        poolwise.pipe([1], cpus=2).map(locked, kind="process", name="locked").run()


def test_an_unpicklable_item_at_a_process_stage():
    pipe = poolwise.pipe([1, threading.Lock(), 3], cpus=2).map(
        tasks.pid_of, kind="process", name="crunch"
    )
    with pytest.raises(Exception, match="pickle") as caught:
        pipe.run()
    said = " ".join(caught.value.__notes__)
    assert "stage 'crunch'" in said
    assert "source item 1" in said
    assert "kind='thread'" in said


def test_an_unpicklable_result_of_a_process_stage():
    pipe = poolwise.pipe([1], cpus=2).map(tasks.unpicklable, kind="process", name="crunch")
    with pytest.raises(poolwise.ResultNotPicklable) as caught:
        pipe.run()
    said = " ".join(caught.value.__notes__)
    assert "stage 'crunch'" in said
    assert "kind='thread'" in said


def test_report_before_a_run():
    with pytest.raises(RuntimeError, match="has not run yet"):
        poolwise.pipe([1]).report()


def test_an_async_source_in_a_sync_run_works():
    async def numbers():
        for x in range(3):
            await asyncio.sleep(0)
            yield x

    assert poolwise.pipe(numbers()).map(tasks.double).run() == [0, 2, 4]
