"""Our objects have what a program adds to the standard classes, or puts around their methods."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures.process
import functools
import itertools
import multiprocessing
import multiprocessing.pool
import threading
import time
from multiprocessing.pool import Pool as StandardPool
from unittest import mock

import pytest

import poolwise
from tests.conftest import wait_until
from tests.parity.tasks import run_while_there_is

StandardExecutor = concurrent.futures.ProcessPoolExecutor
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def installed():
    poolwise.install()
    yield
    poolwise.uninstall()


@pytest.fixture
def pool(installed):  # noqa: ARG001 - the pool is made while it holds
    with FORK.Pool(2) as pool:
        assert isinstance(pool, poolwise.Pool)
        yield pool


@pytest.fixture
def executor(installed):  # noqa: ARG001 - likewise
    with StandardExecutor(2, FORK) as executor:
        assert isinstance(executor, poolwise.ProcessPoolExecutor)
        yield executor


def add(one, other):
    return one + other


def fail(item):
    raise LookupError(item)


# --- results are of the standard kinds ----------------------------------------------------------

KINDS = {
    "apply_async": (lambda pool: pool.apply_async(abs, (-1,)), "ApplyResult"),
    "map_async": (lambda pool: pool.map_async(abs, [-1]), "MapResult"),
    "map_async of nothing": (lambda pool: pool.map_async(abs, []), "MapResult"),
    "starmap_async": (lambda pool: pool.starmap_async(add, [(1, 2)]), "MapResult"),
    "imap": (lambda pool: pool.imap(abs, [-1]), "IMapIterator"),
    "imap of a generator": (lambda pool: pool.imap(abs, iter([-1])), "IMapIterator"),
    "imap_unordered": (lambda pool: pool.imap_unordered(abs, [-1]), "IMapUnorderedIterator"),
    "istarmap": (lambda pool: pool.istarmap(add, [(1, 2)]), "IMapIterator"),
}


@pytest.mark.parametrize("way", KINDS)
def test_results_are_instances_of_the_standard_classes(pool, way):
    make, name = KINDS[way]
    result = make(pool)
    standard = getattr(multiprocessing.pool, name)
    assert isinstance(result, standard)
    assert result.__class__ is standard
    others = {"ApplyResult", "MapResult", "IMapIterator", "IMapUnorderedIterator"} - {name}
    for other in others:
        is_base = issubclass(standard, getattr(multiprocessing.pool, other))
        assert isinstance(result, getattr(multiprocessing.pool, other)) is is_base


def test_results_of_our_own_pool_are_our_own():
    with poolwise.Pool(1, context="fork") as pool:
        result = pool.apply_async(abs, (-1,))
        assert not isinstance(result, multiprocessing.pool.ApplyResult)
        assert result.get(60) == 1


def test_futures_are_futures(executor):
    assert isinstance(executor.submit(abs, -1), concurrent.futures.Future)


# --- methods that a program adds ----------------------------------------------------------------


def istarmap(self, func, iterable, chunksize=1):
    """The well-known addition, in the words of the standard library's `imap`."""
    self._check_running()
    batches = StandardPool._get_tasks(func, iterable, chunksize)
    result = multiprocessing.pool.IMapIterator(self)
    tasks = self._guarded_task_generation(result._job, multiprocessing.pool.starmapstar, batches)
    self._taskqueue.put((tasks, result._set_length))
    return (item for chunk in result for item in chunk)


@pytest.fixture(params=["istarmap", "starmap_lazily"])
def added(request, monkeypatch):
    """A method of a name that ours has too, and one of a name of its own."""
    monkeypatch.setattr(StandardPool, request.param, istarmap, raising=False)
    return request.param


@pytest.mark.parametrize("chunksize", [1, 7])
def test_added_method_runs_the_standards_own_code(added, pool, chunksize):
    results = getattr(pool, added)(add, [(n, 1) for n in range(50)], chunksize)
    assert not isinstance(results, multiprocessing.pool.IMapIterator)  # theirs, not ours
    assert list(results) == list(range(1, 51))


def test_method_that_is_added_while_the_pool_is_open(pool, monkeypatch):
    assert list(pool.istarmap(add, [(1, 2)])) == [3]
    monkeypatch.setattr(StandardPool, "istarmap", lambda *_: "theirs", raising=False)
    monkeypatch.setattr(StandardPool, "new", lambda self: self.apply(abs, (-1,)), raising=False)
    assert pool.istarmap(add, [(1, 2)]) == "theirs"
    assert pool.new() == 1
    monkeypatch.undo()
    assert list(pool.istarmap(add, [(1, 2)])) == [3]
    assert not hasattr(pool, "new")


def test_added_members_of_every_kind(pool, executor, monkeypatch):
    for cls, thing in ((StandardPool, pool), (StandardExecutor, executor)):
        monkeypatch.setattr(cls, "a_class", classmethod(lambda c: c.__name__), raising=False)
        monkeypatch.setattr(cls, "a_static", staticmethod(abs), raising=False)
        monkeypatch.setattr(cls, "a_property", property(id), raising=False)
        monkeypatch.setattr(cls, "a_value", 5, raising=False)
        monkeypatch.setattr(cls, "a_part", functools.partialmethod(repr), raising=False)
        assert thing.a_class() == cls.__name__
        assert thing.a_static(-1) == 1
        assert thing.a_property == id(thing)
        assert thing.a_value == 5
        assert "poolwise" in thing.a_part()


def test_input_of_an_added_method_that_raises(added, pool):
    def pairs():
        yield 1, 2
        message = "said when"
        raise OSError(message)

    results = getattr(pool, added)(add, pairs())
    assert next(results) == 3
    with pytest.raises(OSError, match="said when") as caught:
        next(results)
    assert caught.value.__cause__ is None


def test_task_of_an_added_method_that_raises(added, pool):
    results = getattr(pool, added)(fail, [(1,), (2,)])
    with pytest.raises(LookupError, match="1") as caught:
        next(results)
    assert isinstance(caught.value.__cause__, multiprocessing.pool.RemoteTraceback)


def test_added_method_reads_its_input_no_further_than_it_needs(added, pool):
    read = []

    def pairs():
        for number in itertools.count():
            read.append(number)
            yield number, 0

    results = getattr(pool, added)(add, pairs())
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    pool.terminate()
    seen = len(read)
    wait_until(lambda: not has_thread("poolwise-tasks"))
    assert not has_thread("poolwise-tasks")
    assert len(read) <= seen + 1


def has_thread(name):
    return any(thread.name == name for thread in threading.enumerate())


def test_added_method_goes_on_when_the_pool_is_closed(added, pool):
    results = getattr(pool, added)(add, ((n, 1) for n in range(5_000)))
    pool.close()
    pool.join()
    assert sum(results) == sum(range(1, 5_001))


def test_items_of_an_added_method_are_those_that_were_yielded(added, pool):
    def reusing():
        pair = [0, 0]
        for number in range(300):
            pair[:] = number, number
            yield pair

    assert list(getattr(pool, added)(add, reusing())) == [2 * n for n in range(300)]


def test_standard_results_that_a_program_makes(pool):
    told = []
    result = multiprocessing.pool.ApplyResult(pool, told.append, None)
    pool._taskqueue.put(([(result._job, 0, add, (1, 2), {})], None))
    assert result.get(60) == 3
    assert told == [3]
    failed = multiprocessing.pool.ApplyResult(pool, None, told.append)
    pool._taskqueue.put(([(failed._job, 0, fail, (1,), {})], None))
    with pytest.raises(LookupError):
        failed.get(60)
    assert [type(each) for each in told] == [int, LookupError]
    assert not pool._cache


# --- methods that a program puts around the standard ones ---------------------------------------

ORIGINALS = {
    name: vars(StandardPool)[name]
    for name in (
        "__enter__", "__exit__", "__repr__", "apply", "apply_async", "close", "imap",
        "imap_unordered", "join", "map", "map_async", "starmap", "starmap_async", "terminate",
    )
}  # fmt: skip
"""As a program has them that bound them before `install()`."""


def use_every_method(pool):
    told = []
    with pool:
        values = [
            pool.apply(add, (1,), {"other": 2}),
            pool.apply_async(add, (1, 2), callback=told.append).get(60),
            pool.map(abs, [-1, -2]),
            pool.map_async(abs, range(-9, 0), 2, told.append).get(60),
            pool.starmap(add, [(1, 2), (3, 4)]),
            pool.starmap_async(add, [(1, 2)]).get(60),
            list(pool.imap(abs, range(-9, 0))),
            list(pool.imap(abs, iter(range(-9, 0)), 4)),
            sorted(pool.imap_unordered(abs, range(-9, 0))),
        ]
        pool.close()
        pool.join()
        state = pool._state
    return values, told, state, pool._state, repr(pool).startswith("<")


@pytest.mark.usefixtures("installed")
def test_every_original_can_be_called_from_what_is_put_around_it(monkeypatch):
    with FORK.Pool(2) as pool:
        plain = use_every_method(pool)
    called = set()
    for name, original in ORIGINALS.items():

        @functools.wraps(original)
        def around(self, *args, original=original, name=name, **kwargs):
            called.add(name)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(StandardPool, name, around)
    pool = FORK.Pool(2)
    assert isinstance(pool, poolwise.Pool)
    assert use_every_method(pool) == plain
    assert called == set(ORIGINALS)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("name", ["map", "apply_async", "imap"])
def test_replacement_is_used_while_it_is_there(pool, name):
    with mock.patch.object(StandardPool, name, return_value="theirs") as replaced:
        assert getattr(pool, name)(abs, [1]) == "theirs"
    replaced.assert_called_once_with(abs, [1])  # a Mock binds nothing
    assert getattr(pool, name)(abs, [1]) != "theirs"


class Wrapper:
    """Says that it is what it wraps, as the wrappers of tracing libraries do."""

    def __init__(self, wrapped):
        self.wrapped = wrapped
        self.calls = 0

    __class__ = property(lambda self: type(self.wrapped))

    def __getattr__(self, name):
        return getattr(self.wrapped, name)

    def __get__(self, instance, owner):
        return self if instance is None else functools.partial(self, instance)

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return self.wrapped(*args, **kwargs)


def test_wrapper_that_says_it_is_what_it_wraps(pool, executor, monkeypatch):
    on_pool, on_executor = Wrapper(StandardPool.map), Wrapper(StandardExecutor.submit)
    monkeypatch.setattr(StandardPool, "map", on_pool)
    monkeypatch.setattr(StandardExecutor, "submit", on_executor)
    assert pool.map(abs, [-1]) == [1]
    assert executor.submit(abs, -1).result(60) == 1
    assert (on_pool.calls, on_executor.calls) == (1, 1)


def test_apply_goes_by_way_of_a_replaced_apply_async(pool, monkeypatch):
    calls = []
    original = StandardPool.apply_async

    def apply_async(self, func, args=(), kwds={}, *more):  # noqa: B006 - the standard's signature
        calls.append(func)
        return original(self, func, args, kwds, *more)

    monkeypatch.setattr(StandardPool, "apply_async", apply_async)
    assert pool.apply(abs, (-1,)) == 1
    assert calls == [abs]


def test_patches_that_came_before_install(monkeypatch):
    original = StandardPool.map
    monkeypatch.setattr(StandardPool, "map", lambda self, *args: [original(self, *args)])
    poolwise.install()
    try:
        with FORK.Pool(1) as pool:
            assert isinstance(pool, poolwise.Pool)
            assert pool.map(abs, [-1]) == [[1]]
    finally:
        poolwise.uninstall()


@pytest.mark.usefixtures("installed")
def test_constructor_that_is_put_around_ours(monkeypatch):
    original = StandardPool.__init__

    def __init__(self, *args, **kwargs):  # noqa: N807 - it takes its place
        original(self, *args, **kwargs)
        self.tag = "theirs"

    monkeypatch.setattr(StandardPool, "__init__", __init__)
    with FORK.Pool(1) as pool:
        assert isinstance(pool, poolwise.Pool)
        assert pool.tag == "theirs"
        assert pool.map(abs, [-1]) == [1]


@pytest.mark.usefixtures("installed")
def test_next_of_an_iterator_with_a_limit_put_into_it(monkeypatch):
    limits, original = [], multiprocessing.pool.IMapIterator.next

    def step(self, timeout=None):
        limits.append(timeout or 1e6)
        return original(self, timeout=timeout or 1e6)

    for name in ("IMapIterator", "IMapUnorderedIterator"):
        cls = getattr(multiprocessing.pool, name)
        monkeypatch.setattr(cls, "next", step, raising=False)
        monkeypatch.setattr(cls, "__next__", step, raising=False)
    with FORK.Pool(2) as pool:
        use_iterators(pool, limits)


def use_iterators(pool, limits):
    assert list(pool.imap(abs, range(-3, 0))) == [3, 2, 1]
    assert sorted(pool.imap_unordered(abs, iter(range(-3, 0)))) == [1, 2, 3]
    assert pool.imap(abs, [-1]).next(60) == 1
    assert limits == [1e6] * 8 + [60]
    failing = pool.imap(fail, [1])
    with pytest.raises(LookupError):
        next(failing)
    with pytest.raises(StopIteration):
        next(failing)
    with pytest.raises(multiprocessing.TimeoutError):
        pool.imap(time.sleep, [60]).next(0.01)


@pytest.mark.usefixtures("installed")
def test_get_of_a_result_with_a_limit_put_into_it(monkeypatch):
    original = multiprocessing.pool.ApplyResult.get
    monkeypatch.setattr(
        multiprocessing.pool.ApplyResult, "get", lambda self, timeout=60: [original(self, timeout)]
    )
    with FORK.Pool(2) as pool:
        assert pool.apply_async(abs, (-1,)).get() == [1]
        assert pool.map_async(abs, [-1]).get() == [[1]]
        assert isinstance(pool.map_async(abs, []), multiprocessing.pool.MapResult)
        with pytest.raises(LookupError):
            pool.apply_async(fail, (1,)).get()


# --- parts that ours has not --------------------------------------------------------------------


def keep(value):
    return value


REBUILT = {
    "Process": lambda m: m.setattr(
        StandardPool, "Process", staticmethod(lambda ctx, *args, **kwds: ctx.Process(*args, **kwds))
    ),
    "_map_async": lambda m: m.setattr(StandardPool, "_map_async", around(StandardPool._map_async)),
    "worker": lambda m: m.setattr(
        multiprocessing.pool, "worker", around(multiprocessing.pool.worker)
    ),
    "IMapIterator": lambda m: m.setattr(
        multiprocessing.pool, "IMapIterator", type("Mine", (multiprocessing.pool.IMapIterator,), {})
    ),
}


def around(original):
    @functools.wraps(original)
    def call(*args, **kwargs):
        return original(*args, **kwargs)

    return call


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("part", REBUILT)
def test_pool_with_a_part_of_the_programs_stays_the_standard_one(part, monkeypatch):
    REBUILT[part](monkeypatch)
    with FORK.Pool(1) as pool:
        assert type(pool) is StandardPool
        assert pool.map(abs, [-1]) == [1]
        pool.close()
        pool.join()
    monkeypatch.undo()
    with FORK.Pool(1) as pool:
        assert isinstance(pool, poolwise.Pool)


def test_constructor_that_was_replaced_before_install_stays(monkeypatch):
    original = StandardPool.__init__
    monkeypatch.setattr(StandardPool, "__init__", around(original))
    poolwise.install()
    try:
        with FORK.Pool(1) as pool:
            assert type(pool) is StandardPool
            pool.close()
            pool.join()
    finally:
        poolwise.uninstall()


@pytest.mark.usefixtures("installed")
def test_executor_with_a_part_of_the_programs_stays_the_standard_one(monkeypatch):
    monkeypatch.setattr(StandardExecutor, "_spawn_process", around(StandardExecutor._spawn_process))
    with StandardExecutor(1, FORK) as executor:
        assert type(executor) is StandardExecutor
        assert executor.submit(abs, -1).result(60) == 1


# --- executors ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("installed")
def test_every_original_of_an_executor_can_be_called(monkeypatch):
    called = []
    for name in ("submit", "map", "shutdown"):
        original = getattr(StandardExecutor, name)

        @functools.wraps(original)
        def around(self, *args, original=original, name=name, **kwargs):
            called.append(name)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(StandardExecutor, name, around)
    with StandardExecutor(2, FORK) as executor:
        assert isinstance(executor, poolwise.ProcessPoolExecutor)
        assert executor.submit(add, 1, other=2).result(60) == 3
        with pytest.raises(LookupError):
            executor.submit(fail, 1).result(60)
        assert list(executor.map(abs, range(-5, 0))) == [5, 4, 3, 2, 1]
        assert list(executor.map(add, range(5), range(5), chunksize=2)) == [0, 2, 4, 6, 8]
        waiting = [executor.submit(keep, n) for n in range(50)]
        assert sum(f.result(60) for f in concurrent.futures.as_completed(waiting, 60)) == 1225
    assert set(called) == {"submit", "map", "shutdown"}
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, -1)
    assert multiprocessing.active_children() == []


@pytest.mark.usefixtures("installed")
def test_future_of_an_original_submit_is_cancelled_as_a_standard_one(monkeypatch, tmp_path):
    monkeypatch.setattr(StandardExecutor, "submit", around(StandardExecutor.submit))
    (gate := tmp_path / "gate").mkdir()
    with StandardExecutor(1, FORK) as executor:
        first = executor.submit(run_while_there_is, str(gate))
        later = [executor.submit(keep, n) for n in range(9)]
        wait_until(first.running)
        assert first.running()
        assert later[-1].cancel()
        assert not first.cancel()
        assert len(executor._pending_work_items) in {9, 10}
        gate.rmdir()
        assert [future.result(60) for future in later[:-1]] == list(range(8))
    with pytest.raises(concurrent.futures.CancelledError):
        later[-1].result(0)
    assert not executor._pending_work_items


def counting(submit, futures):
    """As tqdm does it: a `submit` that counts."""

    def counted(*args, **kwargs):
        future = submit(*args, **kwargs)
        futures.append(future)
        return future

    return counted


MAPS = {
    "one": (abs, [range(-50, 0)], {}),
    "two": (add, [range(50), range(60)], {"chunksize": 1}),
    "chunks": (add, [range(50), range(50)], {"chunksize": 10}),
    "buffer": (abs, [range(-50, 0)], {"buffersize": 3}),
    "nothing": (abs, [[]], {}),
}


@pytest.mark.parametrize("how", MAPS)
def test_map_goes_by_way_of_a_submit_that_was_put_on_the_executor(executor, how):
    function, inputs, options = MAPS[how]
    direct = list(executor.map(function, *inputs, **options))
    futures: list[concurrent.futures.Future] = []
    executor.submit = counting(executor.submit, futures)
    assert list(executor.map(function, *inputs, **options)) == direct
    assert len(futures) == len(direct) / options.get("chunksize", 1)


@pytest.mark.parametrize("base", [poolwise.ProcessPoolExecutor, StandardExecutor])
@pytest.mark.usefixtures("installed")
def test_submit_of_a_subclass_gets_a_map_in_chunks_of_argument_tuples(base):
    class Noting(base):
        def submit(self, fn, /, *args):
            noted.append((fn.args, args))
            return super().submit(fn, *args)

    noted = []
    with Noting(1, mp_context=FORK) as executor:
        assert list(executor.map(abs, [-1, -2])) == [1, 2]
        assert list(executor.map(add, [1, 2, 3], [4, 5, 6], chunksize=2)) == [5, 7, 9]
    one_by_one = [((abs,), (((-1,),),)), ((abs,), (((-2,),),))]
    in_chunks = [((add,), (((1, 4), (2, 5)),)), ((add,), (((3, 6),),))]
    assert noted == one_by_one + in_chunks


def test_map_by_way_of_submit_keeps_its_deadline_and_its_errors(executor, tmp_path):
    executor.submit = executor.submit
    (gate := tmp_path / "gate").mkdir()
    results = executor.map(run_while_there_is, [str(gate)], timeout=0.01)
    with pytest.raises(concurrent.futures.TimeoutError):
        next(results)
    gate.rmdir()
    results = executor.map(fail, range(3))
    with pytest.raises(LookupError, match="0"):
        next(results)
    assert list(results) == []
    with pytest.raises(ValueError, match="chunksize must be >= 1"):
        executor.map(abs, [1], chunksize=0)


def test_apply_goes_by_way_of_the_apply_async_of_a_subclass():
    class Tagging(poolwise.Pool):
        def apply_async(self, func, args=(), kwds=None, callback=None, error_callback=None):
            self.tag = func
            return super().apply_async(func, args, kwds, callback, error_callback)

    with Tagging(1, context="fork") as pool:
        assert pool.apply(abs, (-1,)) == 1
        assert pool.tag is abs


def test_submit_that_is_patched_on_the_class(executor, monkeypatch):
    seen = []
    original = StandardExecutor.submit

    def submit(self, fn, /, *args, **kwargs):
        seen.append(fn)
        return original(self, fn, *args, **kwargs)

    monkeypatch.setattr(StandardExecutor, "submit", submit)
    assert list(executor.map(abs, [-1, -2])) == [1, 2]
    assert executor.submit(abs, -3).result(60) == 3
    assert len(seen) == 3
