"""Descriptors: who holds them, and that forked children hold no copies."""

from __future__ import annotations

import os

import pytest

from poolwise.system import descriptors
from poolwise.wire import pipes


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
