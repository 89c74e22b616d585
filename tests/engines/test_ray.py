"""Lanes on a Ray session: real worker processes on this machine."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

import poolwise
from poolwise.testing.exam import BackendExam
from tests.engines.checks import (
    check_every_way_of_calling,
    check_killed_worker,
    check_large_array,
    check_task_that_ends_its_worker,
)
from tests.engines.test_pools import double, nap

ray = pytest.importorskip("ray")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of its own
]


@pytest.fixture(scope="module")
def _sessions():
    yield
    ray.shutdown()


@pytest.fixture
def session(_sessions):
    """The one of the tests before, if it is still there: to begin one takes seconds."""
    if not ray.is_initialized():
        begin()
    return ray


def begin():
    folder = Path(__file__).resolve().parents[2]
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": f"{folder}:{folder}/src"}},
    )


@pytest.fixture
def pool(session):
    with poolwise.Pool(backend=session) as pool:
        yield pool


@pytest.mark.usefixtures("session")
class TestRay(BackendExam):
    def make_backend(self, initializer=None, initargs=()):
        from poolwise.backends.remote.ray import on_session

        backend = on_session()
        backend.prepare(initializer, initargs)
        return backend


def test_every_way_of_calling(pool):
    check_every_way_of_calling(pool, "ray")


def test_an_executor_on_the_session(session):
    with poolwise.ProcessPoolExecutor(backend="ray") as executor:
        assert list(executor.map(double, range(50))) == [2 * n for n in range(50)]
    assert session.is_initialized(), "their session goes on"


def test_functions_and_large_arrays_are_sent_once(pool):
    numpy = pytest.importorskip("numpy")
    check_large_array(pool, numpy.zeros(3_000_000, "u1"))


def read_state(_):
    return poolwise.state["a"]


def test_workers_have_state(session):
    with poolwise.Pool(backend=session, state={"a": 5}) as pool:
        assert pool.map(read_state, range(10)) == [5] * 10


def test_a_task_that_ends_its_worker_fails_alone(pool):
    check_task_that_ends_its_worker(pool)


def test_a_worker_that_is_killed_costs_no_task_that_may_go_again(pool):
    check_killed_worker(pool)


def test_a_task_that_runs_too_long_is_stopped(pool):
    with pytest.raises(poolwise.TaskTimeout):
        pool.map(nap, [60.0], task_timeout=0.5)
    assert pool.map(nap, [0.01] * 3, task_timeout=30.0) == [0.01] * 3


def test_a_session_that_ends_is_one_clear_error_and_so_is_none(session):
    with poolwise.Pool(backend=session) as pool:
        assert pool.map(double, range(3)) == [0, 2, 4]
        session.shutdown()
        with pytest.raises(poolwise.EngineFailed, match="was shut down"):
            pool.map(double, range(3))
    with pytest.raises(poolwise.EngineFailed, match=r"call ray\.init\(\) first"):
        poolwise.Pool(backend=ray)


@pytest.mark.usefixtures("session")
def test_an_address_beside_a_session_is_refused():
    with pytest.raises(poolwise.EngineFailed, match="use backend='ray' for the session"):
        poolwise.Pool(backend="ray://127.0.0.1:1")


def test_an_address_where_nobody_listens_is_one_sentence():
    ray.shutdown()
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"ray://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(poolwise.EngineFailed, match=f"no Ray cluster answers at {address}"):
        poolwise.Pool(backend=address)
