"""A worker ends, or freezes, at each step of a task's journey: at most one task is lost by it."""

from __future__ import annotations

import time

import pytest

import poolwise
from tests.faults import steps

LIMIT_S = 20
PAYLOADS = {
    "small": lambda at: bytes([at]) * 10,
    "big": lambda at: bytes([at]) * 300_000,  # travels in shared memory
}
ENDS = ["SIGKILL", "SIGSEGV", "code 7"]
METHODS = ["fork", "spawn", "forkserver"]

HARMLESS = {*steps.EARLY, *steps.LATE, "before reading", "after answering"}
"""Nothing was running: nothing may be lost."""


def turn_round(data):
    if isinstance(data, float):
        time.sleep(data)
        return data
    return data[::-1]


def take(results):
    """Every value, or the error in its place."""
    values = []
    while True:
        try:
            values.append(results.next(LIMIT_S))
        except StopIteration:
            return values
        except poolwise.PoolwiseError as error:
            values.append(error)


def check(step, way, payload, method, folder):
    """Work, lose a worker on the way, and be as good as new."""
    items = [PAYLOADS[payload](at) for at in range(12)]
    if "giving back" in step:  # half of the pool has nothing to do while the other half sleeps
        items = [*[0.0] * 40, *[0.02] * 20]
    rules = {"task_timeout": 1.0} if way == "SIGSTOP" else {}
    flag = folder / "struck"
    with poolwise.Pool(2, steps.arm, (step, way, str(flag)), context=method) as pool:
        chunksize = 20 if "giving back" in step else None
        got = take(pool.imap(turn_round, items, chunksize, **rules))
        lost = [value for value in got if isinstance(value, Exception)]
        kinds = poolwise.TaskTimeout if way == "SIGSTOP" else poolwise.WorkerDied
        assert all(isinstance(error, kinds) for error in lost)
        assert len(lost) <= (0 if step in HARMLESS and way != "SIGSTOP" else 1)
        assert len(got) == len(items)
        expected = [turn_round(item) for item in items]
        pairs = zip(got, expected, strict=True)
        assert all(is_ == value or is_ in lost for is_, value in pairs)
        assert pool.map_async(abs, range(-9, 0)).get(LIMIT_S) == list(range(9, 0, -1))
        pool.close()
        pool.join()
    return flag.exists()


ALL = [*steps.EARLY, *steps.STEPS, *steps.LATE]


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("step", ALL)
def test_killed_at(step, payload, tmp_path):
    is_struck = check(step, "SIGKILL", payload, "fork", tmp_path)
    assert is_struck or "giving back" in step  # which depends on who is faster


@pytest.mark.parametrize("step", [step for step in steps.STEPS if "giving back" not in step])
def test_frozen_at(step, tmp_path):
    check(step, "SIGSTOP", "big", "fork", tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("way", ENDS)
@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("step", ALL)
def test_ended_at(step, payload, way, method, tmp_path):
    check(step, way, payload, method, tmp_path)
