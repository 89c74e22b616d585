"""The worker's two threads read from one pipe: what one waits for, the other must not take."""

from __future__ import annotations

import os
import threading

import pytest

from poolwise.wire import codec, frames
from poolwise.worker.main import Worker


@pytest.fixture
def pipes():
    """A worker, and the parent's end of its task pipe."""
    task_reader, task_writer = os.pipe()
    answer_reader, answer_writer = os.pipe()
    yield Worker(task_reader, answer_writer, ()), frames.FrameWriter(task_writer)
    for fd in (task_reader, task_writer, answer_reader, answer_writer):
        os.close(fd)


def test_watch_takes_nothing_from_a_main_thread_that_waits(pipes):
    worker, parent = pipes
    received = []
    main = threading.Thread(target=lambda: received.append(worker._receive()), daemon=True)
    main.start()
    for number in range(2_000):
        assert worker._has_give_back() is False
        if number == 1_000:
            parent.write(codec.STOP, (b"",))
    main.join(10)
    assert [kind for kind, _ in received] == [codec.STOP]


def test_watch_hears_the_parent_while_a_chunk_runs(pipes):
    worker, parent = pipes
    assert worker._has_give_back() is False
    parent.write(codec.GIVE_BACK, (b"",))
    parent.write(codec.STOP, (b"",))
    assert worker._has_give_back() is True
    assert worker._receive()[0] == codec.STOP
