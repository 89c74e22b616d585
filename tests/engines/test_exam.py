"""Lanes on engines of others sit the same exam as our own."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from poolwise.backends.remote.executors import OwnExecutors, on_executor
from poolwise.testing.exam import BackendExam, double


class ExecutorExam(BackendExam):
    """An executor is made for each test, and shut down by the test: the back end must not."""

    has_initializers = False
    executor = None

    def make_executor(self):
        raise NotImplementedError

    def make_backend(self, initializer=None, initargs=()):
        assert initializer is None
        self.executor = self.make_executor()
        return on_executor(self.executor)

    @pytest.fixture(autouse=True)
    def _shut_down(self):
        yield
        if self.executor is not None:
            assert self.executor.submit(double, 3).result() == 6, "it was not ours to shut down"
            self.executor.shutdown()


class TestProcessPoolExecutor(ExecutorExam):
    def make_executor(self):
        return ProcessPoolExecutor(2, mp_context=get_context("forkserver"))


class TestThreadPoolExecutor(ExecutorExam):
    has_processes = False

    def make_executor(self):
        return ThreadPoolExecutor(2)


class TestInterpreterPoolExecutor(ExecutorExam):
    has_processes = False

    def make_executor(self):
        futures = pytest.importorskip("concurrent.futures")
        if not hasattr(futures, "InterpreterPoolExecutor"):
            pytest.skip("this Python has no InterpreterPoolExecutor")
        return futures.InterpreterPoolExecutor(2)


class TestLoky(ExecutorExam):
    def make_executor(self):
        loky = pytest.importorskip("loky")
        return loky.ProcessPoolExecutor(2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # its sockets
class TestExecutorlib(ExecutorExam):
    def make_executor(self):
        executorlib = pytest.importorskip("executorlib")
        return executorlib.SingleNodeExecutor(max_workers=2, block_allocation=True)


class TestOwnExecutors(BackendExam):
    def make_backend(self, initializer=None, initargs=()):
        backend = OwnExecutors(get_context("forkserver"))
        backend.prepare(initializer, initargs)
        return backend
