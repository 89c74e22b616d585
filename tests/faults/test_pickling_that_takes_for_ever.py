"""An object that somebody pickles and that never comes to an end of it: others can still end."""

from __future__ import annotations

import threading
import time

import pytest

import poolwise
from poolwise import errors
from tests.doors.programs import run_python, write
from tests.faults import breakers

LIMIT_S = 20


class Blocks:
    begun = threading.Event()
    go_on = threading.Event()

    def __reduce__(self):
        self.begun.set()
        self.go_on.wait(LIMIT_S)
        return int, ()


@pytest.fixture
def stuck():
    """A pool in which a thread pickles for ever, until it is let go."""
    Blocks.begun.clear()
    Blocks.go_on.clear()
    pool = poolwise.Pool(2)
    result = pool.apply_async(time.sleep, (60,))
    thread = threading.Thread(target=lambda: apply(pool))
    thread.start()
    assert Blocks.begun.wait(LIMIT_S)
    yield pool, result
    Blocks.go_on.set()
    thread.join(LIMIT_S)
    pool.terminate()


def apply(pool):
    try:
        pool.apply(id, (Blocks(),))
    except errors.PoolwiseError:
        pass


def test_pool_is_terminated_beside_it(stuck):
    pool, result = stuck
    workers = pool._pool
    pool.terminate()
    pool.join()
    for worker in workers:
        worker.join(LIMIT_S)
        assert worker.exitcode is not None
    with pytest.raises(errors.PoolTerminated):
        result.get(LIMIT_S)
    with pytest.raises(ValueError, match="not running"):
        pool.apply(abs, (1,))


def test_others_work_when_it_is_over(stuck):
    pool, _ = stuck
    Blocks.go_on.set()
    assert pool.map_async(breakers.double, range(9)).get(LIMIT_S) == list(range(0, 18, 2))


def test_interpreter_ends_beside_it(tmp_path):
    source = """
    import threading, time
    import poolwise

    begun = threading.Event()

    class Blocks:
        def __reduce__(self):
            begun.set()
            time.sleep(600)

    pool = poolwise.Pool(2, context="fork")
    threading.Thread(target=pool.apply, args=(id, (Blocks(),)), daemon=True).start()
    begun.wait()
    print("end")
    """
    ended = run_python(write(tmp_path / "program.py", source))
    assert (ended.out, ended.code) == ("end\n", 0)
