"""A worker ends with its parent, whatever either is doing."""

from __future__ import annotations

import os
import select
import signal
import time

import pytest

from poolwise.system import lifeline

LONG_S = 100


def sleep():
    time.sleep(1000)


def spin_without_the_interpreter():
    """One long call into C that never gives Python a chance."""
    pow(3, 3**17, 10**40_000)


def spin():
    while True:
        pass


def fork_with_lifeline(die_with, work):
    """A child that works until its line is cut; the end that cuts it."""
    reader, writer = os.pipe()
    said_reader, said_writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(writer)
            die_with(reader)
            os.write(said_writer, b"hangs on")
            work()
        finally:
            os._exit(99)
    for fd in (reader, said_writer):
        os.close(fd)
    assert os.read(said_reader, 100) == b"hangs on"
    os.close(said_reader)
    return pid, writer


def wait_for_end(pid):
    """The exit code of the child; a failure if it does not end."""
    watch = os.pidfd_open(pid)
    try:
        ended, _, _ = select.select([watch], [], [], LONG_S)
        if not ended:
            os.kill(pid, signal.SIGKILL)
    finally:
        os.close(watch)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert ended
    return code


@pytest.mark.parametrize("work", [sleep, spin, spin_without_the_interpreter])
def test_the_child_ends_when_the_line_is_cut(work):
    pid, line = fork_with_lifeline(lifeline.die_with, work)
    os.close(line)
    assert wait_for_end(pid) == -signal.SIGKILL


@pytest.mark.parametrize("work", [sleep, spin])
def test_where_the_kernel_cannot_be_asked_a_thread_does_it(work):
    pid, line = fork_with_lifeline(lifeline._ask_thread, work)
    os.close(line)
    assert wait_for_end(pid) == 1


def test_each_of_several_children_of_one_parent_ends():
    reader, writer = os.pipe()
    pids = []
    for _ in range(3):
        pid = os.fork()
        if not pid:
            try:
                os.close(writer)
                lifeline.die_with(reader)
                sleep()
            finally:
                os._exit(99)
        pids.append(pid)
    os.close(reader)
    os.close(writer)
    assert {wait_for_end(pid) for pid in pids} <= {-signal.SIGKILL, 1}


def test_a_line_that_was_cut_before_the_child_asked_ends_it_at_once():
    reader, writer = os.pipe()
    os.close(writer)
    pid = os.fork()
    if not pid:
        try:
            lifeline.die_with(reader)
            sleep()
        finally:
            os._exit(99)
    os.close(reader)
    assert wait_for_end(pid) in {1, -signal.SIGKILL}
