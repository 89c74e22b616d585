"""The ends of a link, on their way into a new worker."""

from __future__ import annotations

import multiprocessing
import os

import pytest

from poolwise.memory.link import WorkerEnds
from poolwise.wire import pipes

METHODS = multiprocessing.get_all_start_methods()


def echo(ends):
    """A worker that answers what it was told, and says whether its parent lives."""
    task_fd, result_fd, life_fd = ends.take()
    os.set_blocking(life_fd, False)
    try:
        lives = os.read(life_fd, 1) != b""
    except BlockingIOError:
        lives = True
    os.write(result_fd, os.read(task_fd, 100) + (b", parent lives" if lives else b", alone"))


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_finds_its_ends_by_any_start_method(method):
    task_reader, task_writer = pipes.open_pipe()
    result_reader, result_writer = pipes.open_pipe()
    life_reader, life_writer = pipes.open_pipe()
    context = multiprocessing.get_context(method)
    ends = WorkerEnds(task_reader, result_writer, life_reader)
    process = context.Process(target=echo, args=(ends,))
    process.start()
    os.close(result_writer)
    os.write(task_writer, b"hello")
    assert os.read(result_reader, 100) == b"hello, parent lives"
    assert os.read(result_reader, 100) == b""  # no copy of the other end is left anywhere
    process.join()
    for fd in (task_reader, task_writer, result_reader, life_reader, life_writer):
        os.close(fd)
