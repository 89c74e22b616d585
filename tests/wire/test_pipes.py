"""Pipes: their room, and what wakes."""

from __future__ import annotations

import os
import sys

import pytest

from poolwise.wire import pipes


def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


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


@pytest.mark.skipif(sys.platform != "linux", reason="pipes of a chosen size are Linux's")
def test_a_pipe_has_room_for_a_chunk():
    reader, writer = pipes.open_pipe()
    os.set_blocking(writer, False)
    assert os.write(writer, bytes(pipes.PIPE_BYTES)) in {pipes.PIPE_BYTES, 65_536, 4096}
    os.close(reader)
    os.close(writer)
