"""Every back end sits the same exam."""

from __future__ import annotations

import multiprocessing

import pytest

from poolwise.backends.processes import Processes
from poolwise.backends.threads import Serial, Threads
from poolwise.testing.exam import BackendExam


class TestSerial(BackendExam):
    is_concurrent = has_processes = False

    def make_backend(self, initializer=None, initargs=()):
        return Serial(initializer, initargs)


class TestThreads(BackendExam):
    has_processes = False

    def make_backend(self, initializer=None, initargs=()):
        return Threads(initializer, initargs)


class ProcessesExam(BackendExam):
    method = ""

    def make_backend(self, initializer=None, initargs=()):
        if self.method not in multiprocessing.get_all_start_methods():
            pytest.skip(f"there is no {self.method} on this system")
        return Processes(multiprocessing.get_context(self.method), initializer, initargs)


class TestFork(ProcessesExam):
    method = "fork"


@pytest.mark.slow
class TestForkserver(ProcessesExam):
    method = "forkserver"


class TestSpawn(ProcessesExam):
    method = "spawn"
