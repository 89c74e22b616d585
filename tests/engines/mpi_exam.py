"""The exam on processes of MPI. Not collected: `test_mpi.py` runs it by mpiexec."""

from __future__ import annotations

from mpi4py.futures import MPIPoolExecutor

from poolwise.backends.remote.executors import on_executor
from poolwise.testing.exam import BackendExam


class TestMPI(BackendExam):
    has_initializers = False

    def make_backend(self, initializer=None, initargs=()):
        assert initializer is None
        return on_executor(MPIPoolExecutor())
