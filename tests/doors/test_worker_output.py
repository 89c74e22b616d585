"""What workers log, warn of and print reaches the user: once, whole, with its task."""

from __future__ import annotations

import ctypes
import faulthandler
import io
import logging
import os
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import pytest

import poolwise
from poolwise.telemetry.live import TaskOutput

WORDS = "a line that is long enough to be torn apart when two write at once"


def say(x):
    sys.stdout.write(WORDS)
    sys.stdout.write(f" {x}\n")
    sys.stderr.write(f"to stderr {x}\n")


def say_without_end(x):
    sys.stdout.write(f"open {x}")


def write_to_descriptors(x):
    os.write(1, b"%s %d\n" % (WORDS.encode(), x))
    os.write(2, b"errors %d\n" % x)


def write_from_c(x):
    libc = ctypes.CDLL(None)
    libc.printf(b"%s\n", f"{WORDS} {x}".encode())
    libc.fflush(None)


def write_from_a_child(x):
    subprocess.run([sys.executable, "-c", f"print({f'{WORDS} {x}'!r})"], check=True)


def write_without_end(x):
    os.write(1, b"open %d" % x)


def write_much(x):
    for part in range(100):
        os.write(1, b"%d %s\n" % (part, b"." * 9_999))
    return x


def crash(_):
    faulthandler.enable(2)  # as in any worker, but for pytest's, which has one that goes elsewhere
    os.abort()


def log(x):
    logging.getLogger("their.library").info("item %d", x, extra={"thing": object()})


def log_error(x):
    try:
        {}[x]
    except KeyError:
        logging.getLogger("their.library").exception("it failed")


def warn(_):
    warnings.warn("old ways", DeprecationWarning, stacklevel=1)
    warnings.warn("mind the gap", UserWarning, stacklevel=1)


class Collect(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


@pytest.fixture
def collected():
    """The records that reach a handler of the root logger, which listens from INFO on."""
    handler, level = Collect(), logging.root.level
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.INFO)
    yield handler.records
    logging.root.removeHandler(handler)
    logging.root.setLevel(level)


def run(function, items, *, method="fork", **options):
    """In two workers; all is said when the pool has ended."""
    with poolwise.Pool(2, context=method, **{"worker_output": "on", **options}) as pool:
        pool.map(function, items, 1)
        pool.close()
        pool.join()


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_records_reach_the_handlers_once_with_the_workers_name(collected, method):
    run(log, range(20), method=method)
    records = [record for record in collected if record.name == "their.library"]
    assert sorted(record.getMessage() for record in records) == sorted(
        f"item {x}" for x in range(20)
    )
    assert all("PoolWorker-" in record.processName for record in records)


def test_tracebacks_travel_as_text(collected):
    run(log_error, [7])
    (record,) = collected
    assert "KeyError: 7" in logging.Formatter().format(record)


def test_warnings_are_shown_once():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        run(warn, range(12))
    # since 3.12 the interpreter warns of forks beside threads, and pytest's own may be some
    ours = [warning for warning in shown if "fork()" not in str(warning.message)]
    assert sorted(str(warning.message) for warning in ours) == ["mind the gap", "old ways"]
    assert {warning.category for warning in ours} == {DeprecationWarning, UserWarning}
    assert all(warning.filename == __file__ for warning in ours)


def test_lines_stay_whole(monkeypatch):
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    run(say, range(100))
    assert sorted(out.getvalue().splitlines()) == sorted(f"{WORDS} {x}" for x in range(100))
    assert sorted(err.getvalue().splitlines()) == sorted(f"to stderr {x}" for x in range(100))


def test_a_line_without_end_leaves_with_its_task(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    run(say_without_end, range(3))
    assert sorted(out.getvalue().splitlines()) == ["open 0", "open 1", "open 2"]


def test_captured_lines_are_told_with_their_task_and_not_printed(monkeypatch):
    heard, out = [], io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    run(say, range(30), worker_output="captured", on_event=heard.append)
    told = [event for event in heard if isinstance(event, TaskOutput) and event.stream == "stdout"]
    assert {(event.item, event.text) for event in told} == {
        (x, f"{WORDS} {x}\n") for x in range(30)
    }
    assert {event.function for event in told} == {"say"}
    assert out.getvalue() == ""


PAST_PYTHON = [write_to_descriptors, write_from_c, write_from_a_child]


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.parametrize("function", PAST_PYTHON)
def test_what_goes_past_pythons_streams_comes_too(monkeypatch, function, method):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    run(function, range(8), method=method)
    assert sorted(out.getvalue().splitlines()) == [f"{WORDS} {x}" for x in range(8)]


def test_a_line_without_end_that_goes_past_them_leaves_with_its_task(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with poolwise.Pool(1, context="fork", worker_output="on") as pool:
        pool.apply(write_without_end, (7,))
        pool.apply(write_without_end, (8,))
        pool.close()
        pool.join()
    assert out.getvalue() == "open 7\nopen 8\n"


def write_in_two_parts(folder, x):
    """The line of an item in the middle ends when all others are done."""
    time.sleep(0.02)  # so that chunks are queued behind those that run
    if x == OTHERS // 2:
        os.write(1, b"first part, ")
        while len(list(folder.iterdir())) < OTHERS:
            time.sleep(0.001)
        os.write(1, b"second part\n")
    else:
        (folder / str(x)).touch()


OTHERS = 8


def test_a_line_stays_whole_while_the_chunk_behind_it_is_given_back(monkeypatch, tmp_path):
    """That chunk is answered in the midst of the task that writes."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    run(partial(write_in_two_parts, tmp_path), range(OTHERS + 1))
    assert out.getvalue() == "first part, second part\n"


def test_captured_descriptors_are_told_with_their_task():
    told = []
    options = {"worker_output": "captured", "on_event": told.append}
    with poolwise.Pool(1, context="fork", **options) as pool:
        pool.map(write_to_descriptors, [5])
    said = [event for event in told if isinstance(event, TaskOutput)]
    assert sorted((e.function, e.item, e.stream, e.text) for e in said) == [
        ("write_to_descriptors", 0, "stderr", "errors 5\n"),
        ("write_to_descriptors", 0, "stdout", f"{WORDS} 5\n"),
    ]


def test_more_than_a_pipe_holds_is_read_while_it_is_written(monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with poolwise.Pool(2, context="fork", worker_output="on") as pool:
        assert pool.map(write_much, range(4)) == [0, 1, 2, 3]
    lines = out.getvalue().splitlines()
    assert len(lines) == 400
    assert all(line.endswith(" " + "." * 9_999) for line in lines)


def test_the_stacks_of_a_crash_come_too(monkeypatch):
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    with pytest.raises(poolwise.WorkerDied):
        run(crash, [1])
    assert "Fatal Python error: Aborted" in err.getvalue()
    assert "in crash" in err.getvalue()


def test_descriptors_are_all_given_back():
    def list_descriptors():
        return sorted(Path("/proc/self/fd").iterdir())

    run(say, range(3), worker_output="captured")
    before = list_descriptors()
    for _ in range(3):
        run(write_to_descriptors, range(4), worker_output="captured", maxtasksperchild=1)
    assert len(list_descriptors()) == len(before)


def test_off_leaves_workers_alone(collected):
    run(log, range(3), worker_output="off")
    assert collected == []


def test_no_such_mode():
    with pytest.raises(ValueError, match="worker_output must be one of 'off', 'on', 'captured'"):
        poolwise.Pool(1, worker_output="loud")
