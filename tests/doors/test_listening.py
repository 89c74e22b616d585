"""``on_event`` hears what a pool does, and tasks that are stuck are named while they run."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

import poolwise
from poolwise.telemetry import listener
from poolwise.telemetry.live import LaneBegan, LaneEnded, Progress, TaskStuck


def square(x):
    return x * x


def run_until_there_is(path_or_zero):
    """Sleeps a little, or until the file is there."""
    if not path_or_zero:
        time.sleep(0.001)
        return
    while not Path(path_or_zero).exists():
        time.sleep(0.01)


def fail(_):
    int("bad item")


@pytest.fixture
def heard():
    return []


@pytest.fixture
def impatient(monkeypatch):
    """Half a second is long."""
    monkeypatch.setattr(listener, "STUCK_LEAST_NS", 500_000_000)


def progress_of(heard, function):
    return [event for event in heard if isinstance(event, Progress) and event.function == function]


def test_a_call_is_heard_from_its_begin_to_its_end(heard):
    with poolwise.Pool(2, on_event=heard.append) as pool:
        pool.map(square, range(1000))
        pool.close()
        pool.join()
    told = progress_of(heard, "square")
    assert (told[0].done, told[0].items, told[0].is_over) == (0, 1000, False)
    assert (told[-1].done, told[-1].is_over, told[-1].error) == (1000, True, None)
    assert [event.done for event in told] == sorted(event.done for event in told)


def test_failures_are_counted(heard):
    with poolwise.Pool(1, on_event=heard.append) as pool:
        with pytest.raises(ValueError, match="bad item"):
            pool.map(fail, range(3))
        pool.close()
        pool.join()
    assert progress_of(heard, "fail")[-1].failed == 3


def test_workers_begin_and_end(heard):
    with poolwise.ProcessPoolExecutor(2, on_event=heard.append) as executor:
        list(executor.map(square, range(10)))
    began = {event.pid for event in heard if isinstance(event, LaneBegan)}
    ended = [event for event in heard if isinstance(event, LaneEnded)]
    assert {event.pid for event in ended} == began
    assert all(event.was_told_to for event in ended)


@pytest.mark.usefixtures("impatient")
def test_a_stuck_task_is_named_while_it_runs(heard, tmp_path, caplog):
    release = tmp_path / "release"

    def hear(event):
        heard.append(event)
        if isinstance(event, TaskStuck):
            release.touch()

    with caplog.at_level(logging.WARNING, "poolwise"), poolwise.Pool(2, on_event=hear) as pool:
        pool.map(run_until_there_is, [None] * 20 + [str(release)], 1)
    (stuck,) = [event for event in heard if isinstance(event, TaskStuck)]
    assert (stuck.function, stuck.item) == ("run_until_there_is", 20)
    assert stuck.running_s > 0.5
    assert "item 20 of run_until_there_is has been running" in caplog.text
    assert str(stuck.pid) in caplog.text


@pytest.mark.usefixtures("impatient")
def test_nothing_is_stuck_where_nobody_knows_what_is_long(heard):
    with poolwise.Pool(1, on_event=heard.append) as pool:
        pool.map(time.sleep, [1.2])
    assert not [event for event in heard if isinstance(event, TaskStuck)]


def test_what_a_listener_raises_harms_nobody(caplog):
    def broken(_):
        msg = "broken listener"
        raise RuntimeError(msg)

    with poolwise.Pool(1, on_event=broken) as pool:
        assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
        pool.close()
        pool.join()
    assert "broken listener" in caplog.text
