"""The ends of pipes: who holds them, and that forked children hold no copies."""

from __future__ import annotations

import multiprocessing
import os
import sys

import pytest

from poolwise.memory.link import WorkerEnds
from poolwise.system import descriptors
from poolwise.wire import pipes

METHODS = multiprocessing.get_all_start_methods()


def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def in_fork(question):
    """The answer of a forked child, yes or no."""
    pid = os.fork()
    if not pid:
        os._exit(not question())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_forked_child_closes_what_belongs_to_its_parent():
    reader, writer = map(descriptors.own, pipes.open_pipe())
    try:
        assert in_fork(lambda: not is_open(reader) and not is_open(writer))
        assert is_open(reader)
    finally:
        descriptors.disown(reader)
        descriptors.disown(writer)


def test_a_child_is_not_harmed_by_an_end_that_the_program_closed_itself():
    reader, writer = map(descriptors.own, pipes.open_pipe())
    os.close(reader)
    try:
        assert in_fork(lambda: not is_open(writer))
    finally:
        descriptors.disown(writer)
        with pytest.raises(OSError, match="Bad file descriptor"):
            descriptors.disown(reader)


def test_disowning_closes():
    reader, writer = map(descriptors.own, pipes.open_pipe())
    descriptors.disown(reader)
    assert not is_open(reader)
    descriptors.disown(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(writer, b"x")


def test_who_wakes_keeps_the_pipe_until_it_is_through():
    wakes = pipes.WakePipe(ends := os.pipe())
    wake = wakes.wake  # as another thread has it, in the moment in which the pool is closed
    del wakes
    wake()
    assert all(map(is_open, ends))
    assert os.read(ends[0], 10) == b"w"
    del wake
    assert not any(map(is_open, ends))


def test_a_full_pipe_has_woken_and_an_empty_one_is_drained():
    wakes = pipes.WakePipe(os.pipe())
    wakes.drain()
    for _ in range(pipes.PIPE_BYTES + 1):
        wakes.wake()


def test_a_forked_child_leaves_alone_what_it_opened_at_the_numbers_of_its_parent():
    held = [pipes.WakePipe(ends := os.pipe())]

    def opens_and_forgets():
        for fd in ends:
            os.dup2(1, fd)
        held.clear()
        return all(map(is_open, ends))

    assert in_fork(opens_and_forgets)


def test_programs_that_are_started_do_not_inherit_them():
    for fd in pipes.open_pipe():
        assert not os.get_inheritable(fd)
        os.close(fd)


@pytest.mark.skipif(sys.platform != "linux", reason="pipes of a chosen size are Linux's")
def test_a_pipe_has_room_for_a_chunk():
    reader, writer = pipes.open_pipe()
    os.set_blocking(writer, False)
    assert os.write(writer, bytes(pipes.PIPE_BYTES)) in {pipes.PIPE_BYTES, 65_536, 4096}
    os.close(reader)
    os.close(writer)


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
