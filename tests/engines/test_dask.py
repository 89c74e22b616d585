"""Lanes on a Dask cluster: two real worker processes on this machine."""

from __future__ import annotations

import socket
import time

import pytest

import poolwise
from poolwise.testing.exam import BackendExam
from tests.engines.checks import (
    check_every_way_of_calling,
    check_killed_worker,
    check_large_array,
    check_task_that_ends_its_worker,
)
from tests.engines.test_pools import double

distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of its own: ports in use, workers that are slow to go
]


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def pool(client):
    client.wait_for_workers(2)
    with poolwise.Pool(backend=client) as pool:
        yield pool


class TestDask(BackendExam):
    @pytest.fixture(autouse=True)
    def _find_client(self, client):
        client.wait_for_workers(2)
        self.client = client

    def make_backend(self, initializer=None, initargs=()):
        from poolwise.backends.remote.dask import on_client

        backend = on_client(self.client)
        backend.prepare(initializer, initargs)
        return backend


def test_every_way_of_calling(pool):
    check_every_way_of_calling(pool, "dask")


def test_an_executor_on_the_address(client):
    address = client.scheduler.address.replace("tcp", "dask")
    with poolwise.ProcessPoolExecutor(backend=address) as executor:
        assert list(executor.map(double, range(50))) == [2 * n for n in range(50)]
    assert client.submit(double, 3).result() == 6, "their cluster goes on"


def test_functions_and_large_arrays_are_sent_once(pool):
    numpy = pytest.importorskip("numpy")
    check_large_array(pool, numpy.zeros(3_000_000, "u1"))
    large = [numpy.full(2_000_000, n, "u1") for n in range(4)]
    assert [one.sum() for one in pool.map(double, large)] == [4_000_000 * n for n in range(4)]


def test_initializers_run_in_its_workers(client):
    with poolwise.Pool(backend=client, state={"a": 5}) as pool:
        assert pool.map(read_state, range(10)) == [5] * 10


def read_state(_):
    return poolwise.state["a"]


def test_a_function_of_the_main_program_travels_by_value(tmp_path, client):
    import subprocess
    import sys

    script = tmp_path / "program.py"
    script.write_text(MAIN.replace("ADDRESS", client.scheduler.address.replace("tcp", "dask")))
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["[1,", "2,", "3]", "[Point(2),", "Point(4)]"]


MAIN = """
import poolwise

class Point:
    def __init__(self, x):
        self.x = x
    def __repr__(self):
        return f"Point({self.x})"

def more(number):
    return number + 1

def twice(point):
    return Point(2 * point.x)

if __name__ == "__main__":
    with poolwise.Pool(backend="ADDRESS") as pool:
        print(pool.map(more, [0, 1, 2]))
        print(pool.map(twice, [Point(1), Point(2)]))
"""


# -- when it goes otherwise; after this the workers are new ones


def test_a_task_that_ends_its_worker_fails_alone(pool):
    check_task_that_ends_its_worker(pool)


def test_a_worker_that_is_killed_costs_no_task_that_may_go_again(pool):
    check_killed_worker(pool)


def test_an_address_where_nobody_listens_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"dask://127.0.0.1:{free.getsockname()[1]}"
    begun_s = time.monotonic()
    with pytest.raises(poolwise.EngineFailed, match=f"no Dask scheduler answers at {address}"):
        poolwise.Pool(backend=address)
    assert time.monotonic() - begun_s < 60  # it takes 8 s; a busy machine, more


def test_a_cluster_that_ends_is_one_clear_error():
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    cluster = distributed.LocalCluster(**options)
    client = distributed.Client(cluster, set_as_default=False)
    try:
        with poolwise.Pool(backend=client) as pool:
            assert pool.map(double, range(3)) == [0, 2, 4]
            cluster.close()
            with pytest.raises(poolwise.EngineFailed, match="cannot be reached any more"):
                pool.map(double, range(3))
    finally:
        client.close()


def test_a_client_is_what_it_needs():
    with pytest.raises(poolwise.EngineFailed, match="this program has none: make one first"):
        poolwise.Pool(backend="dask")
