"""`install()`: the standard names give out our pools, and nothing else about them changes."""

from __future__ import annotations

import abc
import concurrent.futures
import concurrent.futures.process
import inspect
import multiprocessing
import multiprocessing.pool
import multiprocessing.spawn
import pickle
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Generic, TypeVar

import pytest

import poolwise
from poolwise.dropin import _IN_THE_CHILD, is_installed
from tests.doors.programs import run_python, write

Pool = multiprocessing.Pool  # bound before install(), as `from multiprocessing import Pool` does
PoolClass = multiprocessing.pool.Pool
ProcessPoolExecutor = concurrent.futures.ProcessPoolExecutor
T = TypeVar("T")


class PoolDoor:
    """Stands for poolwise.Pool and says what it was given."""

    _state = "CLOSE"  # the finalizer of the standard class asks: this one has none of its own

    def __init__(
        self, processes=None, initializer=None, initargs=(), maxtasksperchild=None, context=None
    ):
        self.given = (processes, initializer, initargs, maxtasksperchild)
        self.context = context


class ExecutorDoor(concurrent.futures.Executor):
    """Stands for poolwise.ProcessPoolExecutor and says what it was given."""

    def __init__(self, *args, **kwargs):
        self.given = (args, kwargs)


@pytest.fixture
def installed(monkeypatch):
    """install() with doors that do nothing, taken back at the end."""
    monkeypatch.setitem(sys.modules, "poolwise.pool", SimpleNamespace(Pool=PoolDoor))
    executor = SimpleNamespace(ProcessPoolExecutor=ExecutorDoor)
    monkeypatch.setitem(sys.modules, "poolwise.executor", executor)
    poolwise.install()
    yield
    poolwise.uninstall()


# --- every way in -------------------------------------------------------------------------------

WAYS_TO_A_POOL = {
    "multiprocessing.Pool": lambda: multiprocessing.Pool,
    "multiprocessing.Pool, bound before": lambda: Pool,
    "multiprocessing.pool.Pool": lambda: multiprocessing.pool.Pool,
    "multiprocessing.pool.Pool, bound before": lambda: PoolClass,
    "context": lambda: multiprocessing.get_context().Pool,
    "fork": lambda: multiprocessing.get_context("fork").Pool,
    "spawn": lambda: multiprocessing.get_context("spawn").Pool,
    "forkserver": lambda: multiprocessing.get_context("forkserver").Pool,
}
WAYS_TO_AN_EXECUTOR = {
    "concurrent.futures": lambda: concurrent.futures.ProcessPoolExecutor,
    "concurrent.futures, bound before": lambda: ProcessPoolExecutor,
    "concurrent.futures.process": lambda: concurrent.futures.process.ProcessPoolExecutor,
}


@pytest.mark.parametrize("way", WAYS_TO_A_POOL)
@pytest.mark.usefixtures("installed")
def test_every_way_to_a_pool_is_ours(way):
    pool = WAYS_TO_A_POOL[way]()(3, print, ("a",), maxtasksperchild=7)
    assert isinstance(pool, PoolDoor)
    assert isinstance(pool, multiprocessing.pool.Pool)
    assert pool.given == (3, print, ("a",), 7)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.usefixtures("installed")
def test_pool_of_a_context_gets_that_context(method):
    context = multiprocessing.get_context(method)
    assert context.Pool(1).context is context


@pytest.mark.usefixtures("installed")
def test_pool_of_the_module_gets_the_default_context():
    assert multiprocessing.Pool(1).context is multiprocessing.get_context()


@pytest.mark.parametrize("way", WAYS_TO_AN_EXECUTOR)
@pytest.mark.usefixtures("installed")
def test_every_way_to_an_executor_is_ours(way):
    executor = WAYS_TO_AN_EXECUTOR[way]()(2, initializer=print)
    assert isinstance(executor, ExecutorDoor)
    assert isinstance(executor, concurrent.futures.ProcessPoolExecutor)
    assert isinstance(executor, concurrent.futures.Executor)
    assert executor.given == ((2,), {"initializer": print})


@pytest.mark.usefixtures("installed")
def test_error_of_a_door_arrives():
    with pytest.raises(TypeError, match="nonsense"):
        multiprocessing.pool.Pool(nonsense=1)


# --- what stays ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("installed")
def test_classes_are_what_they_were():
    assert multiprocessing.pool.Pool is PoolClass
    assert concurrent.futures.ProcessPoolExecutor is ProcessPoolExecutor
    assert isinstance(PoolClass, type)
    assert type(PoolClass) is type
    assert pickle.loads(pickle.dumps(PoolClass)) is PoolClass
    assert "processes" in inspect.signature(PoolClass).parameters
    assert "max_workers" in inspect.signature(ProcessPoolExecutor).parameters


@pytest.mark.usefixtures("installed")
def test_our_own_classes_are_not_standard_ones():
    assert not isinstance(PoolDoor(), multiprocessing.pool.Pool)
    assert not issubclass(PoolDoor, multiprocessing.pool.Pool)


@pytest.mark.usefixtures("installed")
def test_thread_pool_stays():
    with multiprocessing.pool.ThreadPool(2) as pool:
        assert type(pool) is multiprocessing.pool.ThreadPool
        assert isinstance(pool, multiprocessing.pool.Pool)
        assert pool.map(abs, [-1, -2]) == [1, 2]


class NoDaemonProcess(multiprocessing.get_context("fork").Process):
    """The popular recipe for pools whose workers may have children."""

    @property
    def daemon(self):
        return False

    @daemon.setter
    def daemon(self, value):
        pass


class NoDaemonContext(type(multiprocessing.get_context("fork"))):
    Process = NoDaemonProcess


def define_by_context():
    class ByContext(multiprocessing.pool.Pool):
        def __init__(self, *args, **kwargs):
            kwargs["context"] = NoDaemonContext()
            super().__init__(*args, **kwargs)

    return ByContext


def define_by_static_method():
    class ByStaticMethod(multiprocessing.pool.Pool):
        @staticmethod
        def Process(_ctx, *args, **kwargs):  # noqa: N802
            return NoDaemonProcess(*args, **kwargs)

    return ByStaticMethod


def define_by_method():
    class ByMethod(multiprocessing.pool.Pool):
        def Process(self, *args, **kwargs):  # noqa: N802
            process = super().Process(*args, **kwargs)
            process.__class__ = NoDaemonProcess
            return process

    return ByMethod


def is_daemon(_):
    return multiprocessing.current_process().daemon


@pytest.mark.parametrize("define", [define_by_context, define_by_static_method, define_by_method])
@pytest.mark.parametrize("when", ["defined before install()", "defined after"])
def test_pool_subclass_works_as_ever(define, when):
    before = define()
    poolwise.install()
    try:
        subclass = before if when == "defined before install()" else define()
        with subclass(1) as pool:
            assert type(pool) is subclass
            assert pool.map(is_daemon, [0]) == [False]
            pool.close()
            pool.join()
    finally:
        poolwise.uninstall()


@pytest.mark.usefixtures("installed")
def test_executor_subclass_works_as_ever():
    class Doubling(concurrent.futures.ProcessPoolExecutor):
        def submit(self, fn, /, *args):
            return super().submit(fn, *(2 * arg for arg in args))

    fork = multiprocessing.get_context("fork")
    with Doubling(1, mp_context=fork) as executor:
        assert executor.submit(abs, -2).result() == 4


@pytest.mark.usefixtures("installed")
def test_subclass_may_have_a_metaclass():
    class Singleton(type):
        pass

    class One(ProcessPoolExecutor, metaclass=Singleton):
        pass

    class Two(PoolClass, abc.ABC):
        pass

    class Three(PoolClass, Generic[T]):
        pass

    assert {type(One), type(Two), type(Three)} == {Singleton, abc.ABCMeta, type}


# --- taken back ---------------------------------------------------------------------------------


def take_stock():
    """Everything that install() may touch."""
    return [
        dict(vars(PoolClass)),
        dict(vars(ProcessPoolExecutor)),
        dict(vars(multiprocessing.pool)),
        dict(vars(multiprocessing.spawn)),
        dict(vars(multiprocessing.context)),
        dict(vars(multiprocessing)),
        dict(vars(concurrent.futures)),
        dict(vars(concurrent.futures.process)),
        list(sys.meta_path),
    ]


def test_uninstall_restores_everything():
    before = take_stock()
    poolwise.install()
    assert is_installed()
    assert take_stock() != before
    poolwise.uninstall()
    assert not is_installed()
    assert take_stock() == before


def test_install_and_uninstall_are_idempotent():
    before = take_stock()
    poolwise.uninstall()
    poolwise.install()
    changed = take_stock()
    poolwise.install()
    assert take_stock() == changed
    poolwise.uninstall()
    poolwise.uninstall()
    assert take_stock() == before


@pytest.mark.usefixtures("installed")
def test_pools_after_uninstall_are_standard():
    ours = multiprocessing.Pool(1)
    poolwise.uninstall()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert type(pool) is PoolClass
        assert pool.map(abs, [-1]) == [1]
        pool.close()
        pool.join()
    assert isinstance(ours, PoolDoor)


def test_uninstall_leaves_what_others_put_around_ours():
    standard = multiprocessing.spawn.get_preparation_data
    poolwise.install()
    ours = multiprocessing.spawn.get_preparation_data

    def theirs(name):
        return {**ours(name), "theirs": 1}

    multiprocessing.spawn.get_preparation_data = theirs
    assert "poolwise" in theirs("child")
    poolwise.uninstall()
    assert multiprocessing.spawn.get_preparation_data is theirs
    assert "poolwise" not in theirs("child")
    multiprocessing.spawn.get_preparation_data = standard


# --- what the program has not imported yet ------------------------------------------------------


def test_import_set_of_a_program_does_not_grow():
    program = "import sys; print(*sys.modules)"
    plain = run_python("-c", program)
    ours = run_python("-c", f"import poolwise.dropin as d; d.install(); {program}")
    more = set(ours.out.split()) - set(plain.out.split())
    assert more <= {"poolwise", "poolwise.dropin", "__future__"}


LATE = """
import sys
from types import SimpleNamespace

class Door:
    _state = "CLOSE"

    def __init__(self, *args, **kwargs):
        pass

sys.modules["poolwise.pool"] = SimpleNamespace(Pool=Door)
sys.modules["poolwise.executor"] = SimpleNamespace(ProcessPoolExecutor=Door)
import poolwise
poolwise.install()
{statement}
assert isinstance({name}(1), Door), {name}(1)
"""


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("import multiprocessing", "multiprocessing.Pool"),
        ("from multiprocessing import Pool", "Pool"),
        ("from multiprocessing.pool import Pool", "Pool"),
        ("import multiprocessing.pool as mpp", "mpp.Pool"),
        ("import multiprocessing", "multiprocessing.get_context('spawn').Pool"),
        ("import concurrent.futures", "concurrent.futures.ProcessPoolExecutor"),
        ("from concurrent.futures import ProcessPoolExecutor", "ProcessPoolExecutor"),
        ("from concurrent.futures import *", "ProcessPoolExecutor"),
        ("import concurrent.futures.process as cfp", "cfp.ProcessPoolExecutor"),
    ],
)
def test_modules_imported_later_are_reached(statement, name):
    ended = run_python("-c", LATE.format(statement=statement, name=name))
    assert (ended.code, ended.err) == (0, "")


def test_modules_imported_later_look_untouched():
    program = """
import poolwise; poolwise.install()
import multiprocessing.pool as module
assert type(module.__loader__).__module__ != "poolwise.dropin"
assert type(module.__spec__.loader).__module__ != "poolwise.dropin"
import inspect
print(inspect.getsource(module.Pool).splitlines()[0])
"""
    assert run_python("-c", program).out == "class Pool(object):\n"


HALF_IMPORTED = """
import multiprocessing, sys, threading
from multiprocessing import util
import poolwise
from poolwise.dropin import _DROP_IN

reached, go_on = threading.Event(), threading.Event()

def stop_there(name):
    reached.set()
    go_on.wait()
    return util

del multiprocessing.util  # which multiprocessing.pool asks for before it defines Pool
multiprocessing.__getattr__ = stop_there
importing = threading.Thread(target=lambda: __import__("multiprocessing.pool"))
importing.start()
reached.wait()
assert not hasattr(sys.modules["multiprocessing.pool"], "Pool")
installing = threading.Thread(target=poolwise.install)
installing.start()
while _DROP_IN not in sys.meta_path:
    pass
go_on.set()
importing.join()
installing.join()
from multiprocessing.pool import Pool
print(Pool.__init__.__module__)
"""


def test_install_waits_for_a_module_that_is_half_imported():
    ended = run_python("-c", HALF_IMPORTED)
    assert (ended.out, ended.err) == ("poolwise.dropin\n", "")


def test_threads_that_install_at_once_change_things_once():
    before = take_stock()
    barrier = threading.Barrier(8)

    def install_together():
        barrier.wait()
        poolwise.install()

    threads = [threading.Thread(target=install_together) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert PoolClass.__init__.__wrapped__ is before[0]["__init__"]
    poolwise.uninstall()
    assert take_stock() == before


# --- children -----------------------------------------------------------------------------------

CHILD = """
import multiprocessing, os, sys
{preamble}

def tell():
    from poolwise.dropin import is_installed
    print(is_installed(), "poolwise" in multiprocessing.pool.Pool.__init__.__module__)

if __name__ == "__main__":
    import poolwise
    poolwise.install()
    os.environ.clear()
    child = multiprocessing.get_context({method!r}).Process(target=tell)
    import multiprocessing.pool
    child.start()
    child.join()
    sys.exit(child.exitcode)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_are_reached_whatever_the_environment(method, tmp_path):
    source = CHILD.format(method=method, preamble="import multiprocessing.pool")
    script = write(tmp_path / "script.py", source)
    ended = run_python(script)
    assert (ended.code, ended.out, ended.err) == (0, "True True\n", "")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_children_find_us_where_their_parent_did(method, tmp_path):
    home = str(Path(poolwise.__file__).parents[1])
    preamble = f"import multiprocessing.pool\nif __name__ == '__main__': sys.path.append({home!r})"
    script = write(tmp_path / "script.py", CHILD.format(method=method, preamble=preamble))
    ended = run_python("-I", script)
    assert (ended.code, ended.out, ended.err) == (0, "True True\n", "")


def test_child_that_cannot_see_us_lives(tmp_path):
    program = _IN_THE_CHILD.format(home=str(tmp_path / "nothing here"))
    ended = run_python("-S", "-E", "-c", program)
    assert (ended.code, ended.err) == (0, "")


def test_uninstalled_parent_sends_no_stowaway():
    poolwise.install()
    poolwise.uninstall()
    assert "poolwise" not in multiprocessing.spawn.get_preparation_data("child")
