"""What `poolwise.map` promises, whatever it chooses: the loop's results, each item run once."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
import time

import pytest

import poolwise
from poolwise.choose import pools
from tests.choose import work

KINDS = ["serial", "threads", "processes"]

measured = pytest.mark.exhaustive
"""The kind that is chosen for real: beside other load it may be another one, and rightly so."""

with_two_cpus = pytest.mark.skipif(poolwise.cpu_count() < 2, reason="one CPU: nothing to share")


@pytest.fixture(autouse=True, scope="module")
def _end_workers():
    work.let_go.clear()
    yield
    work.let_go.set()
    pools.end_all()


@pytest.mark.parametrize("kind", [None, *KINDS])
@pytest.mark.parametrize("count", [0, 1, 2, 100])
def test_gives_what_the_loop_gives(kind, count):
    values = poolwise.map(work.double, range(count), kind=kind)
    assert values == [2 * x for x in range(count)]
    assert isinstance(values, list)
    assert values.plan.runs == count
    pairs = [(x, 1) for x in range(count)]
    assert poolwise.starmap(work.add, pairs, kind=kind) == [x + 1 for x in range(count)]
    assert list(poolwise.imap(work.double, range(count), kind=kind)) == values
    unordered = poolwise.imap(work.double, range(count), ordered=False, kind=kind)
    assert sorted(unordered) == values


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_each_item_runs_once(kind, tmp_path):
    function = work.Written(tmp_path / "calls", work.compute)
    values = poolwise.map(function, range(150), kind=kind)
    assert sorted(function.read()) == list(range(150))
    assert values == [work.compute(x) for x in range(150)]
    assert values.plan.runs == 150


@measured
@with_two_cpus
def test_items_that_compute_go_to_processes(tmp_path):
    function = work.Written(tmp_path / "calls", work.compute)
    values = poolwise.map(function, range(300))
    assert values.plan.choice == "processes"
    assert sorted(function.read()) == list(range(300))
    assert "of work an item" in str(values.plan)


@measured
def test_items_that_wait_go_to_threads(tmp_path):
    function = work.Written(tmp_path / "calls", work.wait)
    values = poolwise.map(function, range(100))
    assert values.plan.choice == "threads"
    assert sorted(function.read()) == list(range(100))
    assert values.plan.workers >= 8
    assert "waits for" in str(values.plan)


@measured
@with_two_cpus
def test_items_that_release_the_lock_go_to_threads():
    values = poolwise.map(work.digest, range(150))
    assert values.plan.choice == "threads"


@measured
@with_two_cpus
def test_long_items_are_shared_before_the_first_is_done(tmp_path):
    function = work.Written(tmp_path / "calls", work.compute_long)
    values = poolwise.map(work.compute_long, range(8))
    assert values == [work.compute_long(x) for x in range(8)]
    assert values.plan.choice == "processes"
    assert values.plan.changes[0].item < 8
    poolwise.map(function, range(8))
    assert sorted(function.read()) == list(range(8))


def test_small_items_stay_and_are_said_why():
    values = poolwise.map(work.double, range(10_000))
    assert values.plan.choice == "serial"
    assert not values.plan.changes
    assert "items of" in str(values.plan)


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_what_an_item_raises_is_raised(kind):
    with pytest.raises(ValueError, match="three"):
        poolwise.map(work.fail_at_three, range(10), kind=kind)
    values = poolwise.map(work.fail_at_three, range(10), kind=kind, on_error="return")
    assert isinstance(values[3], ValueError)
    assert [v for v in values if isinstance(v, int)] == [0, 1, 2, *range(4, 10)]


def test_nothing_is_run_after_an_error_while_serial():
    seen = []

    def note(x):
        seen.append(x)
        return work.fail_at_three(x)

    with pytest.raises(ValueError, match="three"):
        poolwise.map(note, range(10))
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_that_raises_stop_iteration_ends_no_list_early(kind):
    with pytest.raises(StopIteration):
        poolwise.map(work.end_at_three, range(10), kind=kind)


@pytest.mark.parametrize("kind", ["serial", "threads"])
def test_retries(kind):
    assert poolwise.map(work.Counting(), [5], kind=kind, retries=2, retry_on=(OSError,)) == [5]
    with pytest.raises(OSError, match="5"):
        poolwise.map(work.Counting(), [5], kind=kind, retries=1, retry_on=(OSError,))


@pytest.mark.parametrize("kind", [None, "threads", "processes"])
def test_an_item_that_never_returns_ends_with_its_time_limit(kind):
    with pytest.raises(poolwise.TaskTimeout):
        poolwise.map(work.hang_at_three, range(6), timeout=0.5, kind=kind)
    values = poolwise.map(work.hang_at_three, range(6), timeout=0.5, kind=kind, on_error="return")
    assert isinstance(values[3], poolwise.TaskTimeout)
    assert [*values[:3], *values[4:]] == [0, 1, 2, 4, 5]


def test_timeout_runs_nothing_here():
    assert work.where(0) not in poolwise.map(work.where, range(4), timeout=60)


# -- bad input


def test_items_without_end():
    with pytest.raises(ValueError, match=r"never end.*imap"):
        poolwise.map(work.double, itertools.count())
    with poolwise.imap(work.double, itertools.count()) as values:
        assert list(itertools.islice(values, 1000)) == [2 * x for x in range(1000)]
    assert list(values) == []


class Lying:
    def __init__(self, count, length):
        self._count, self._length = count, length

    def __len__(self):
        if isinstance(self._length, Exception):
            raise self._length
        return self._length

    def __iter__(self):
        return iter(range(self._count))


@pytest.mark.parametrize("length", [0, 3, 10**12, RuntimeError("no length")])
@pytest.mark.parametrize("function", [work.double, work.compute])
def test_a_length_that_lies_changes_no_result(length, function):
    assert poolwise.map(function, Lying(40, length)) == [function(x) for x in range(40)]


def test_a_generator_is_read_once_and_in_step_while_serial():
    order = []

    def items():
        for x in range(4):
            order.append(f"read {x}")
            yield x

    def note(x):
        order.append(f"run {x}")

    poolwise.map(note, items())
    assert order == [f"{what} {x}" for x in range(4) for what in ("read", "run")]


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_an_input_that_raises(kind):
    def items():
        yield from range(3)
        message = "input"
        raise KeyError(message)

    with pytest.raises(KeyError, match="input"):
        poolwise.map(work.double, items(), kind=kind)
    with pytest.raises(KeyError, match="input"):
        poolwise.map(work.double, items(), kind=kind, on_error="return")


def test_what_cannot_be_called_or_iterated():
    with pytest.raises(TypeError, match="callable, not int"):
        poolwise.map(3, [1])
    with pytest.raises(TypeError, match="not iterable"):
        poolwise.map(work.double, 3)


def test_unknown_options_are_named():
    with pytest.raises(TypeError, match=r"'chunks'.*chunksize"):
        poolwise.map(work.double, [1], chunks=3)
    for wrong in ({"kind": "gpu"}, {"workers": 0}, {"on_error": "skip"}, {"allow": {"magic"}}):
        with pytest.raises(ValueError, match=next(iter(wrong)).replace("allow", "kind")):
            poolwise.map(work.double, [1], **wrong)


@measured
@with_two_cpus
def test_a_lambda_goes_to_processes():
    values = poolwise.map(lambda x: work.compute(x) + 1, range(300))
    assert values == [work.compute(x) + 1 for x in range(300)]
    assert values.plan.choice == "processes"


class Anew:
    """Travels, but can be rebuilt where it was made alone."""

    def __init__(self):
        self.pid = os.getpid()

    def __getstate__(self):
        return {"pid": self.pid}

    def __setstate__(self, state):
        if state["pid"] != os.getpid():
            message = "made elsewhere"
            raise ValueError(message)
        self.__dict__.update(state)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("make", [threading.Lock, Anew])
def test_an_item_that_cannot_be_sent_is_run_here_and_said(make, ordered):
    items = [*range(20), make(), *range(20, 40)]
    with poolwise.imap(work.name_and_pid, iter(items), kind="processes", ordered=ordered) as values:
        found = list(values)
    here = {name for name, pid in found if pid == os.getpid()}
    assert here == {type(make()).__name__}
    assert sorted(name for name, _ in found) == sorted(type(item).__name__ for item in items)
    assert any("cannot be sent" in note for note in values.plan.notes)


@pytest.mark.parametrize("ordered", [True, False])
def test_what_it_raises_is_its_own(ordered):
    items = [1, threading.Lock(), 2]
    options = {"kind": "processes", "ordered": ordered, "on_error": "return"}
    with poolwise.imap(work.double, items, **options) as values:
        found = list(values)
    (error,) = [value for value in found if isinstance(value, Exception)]
    assert {value for value in found if value is not error} == {2, 4}
    assert isinstance(error, TypeError)
    assert "lock" in str(error)


@measured
def test_a_method_of_what_cannot_be_pickled_stays_and_says_so():
    values = poolwise.map(work.Locked().compute, range(150))
    assert values == [work.compute(x) for x in range(150)]
    assert values.plan.choice == "serial"
    assert "cannot be sent to another process" in str(values.plan)


def test_a_function_that_assigns_to_a_global_is_serial():
    work.TOTAL = 0
    values = poolwise.map(work.count_up, range(150))
    assert sum(range(150)) == work.TOTAL
    assert values.plan.choice == "serial"
    assert "assigns to TOTAL" in str(values.plan)


def test_a_function_that_assigns_to_an_enclosing_variable_is_serial():
    total = 0

    def note(x):
        nonlocal total
        total += x
        return work.compute(x)

    values = poolwise.map(note, range(150))
    assert total == sum(range(150))
    assert "assigns to total" in str(values.plan)


@pytest.mark.parametrize("function", [work.append])
def test_a_function_that_changes_a_global_is_seen_to_and_kept_here(function):
    work.SEEN.clear()
    values = poolwise.map(function, range(150))
    assert list(range(150)) == work.SEEN
    assert values.plan.choice == "serial"
    assert "changes SEEN" in str(values.plan)


def test_a_function_that_prints_prints_in_order_while_serial(capsys):
    poolwise.map(print, range(100))
    assert capsys.readouterr().out.split() == [str(x) for x in range(100)]


@pytest.mark.parametrize("kind", [None, "processes"])
def test_an_argument_that_cannot_be_sent_is_run_here_and_said(kind):
    lock = threading.Lock()
    items = [*range(200), lock, *range(200)]
    values = poolwise.map(work.where_or_value, items, kind=kind)
    assert values == [work.where_or_value(x) for x in items]
    assert "run in the calling process" in str(values.plan)


# -- state that workers must have as the caller has it


def test_workers_see_globals_as_they_are_now():
    for setting in ("first", "second"):
        work.SETTING = setting
        assert set(poolwise.map(work.read_setting, range(40), kind="processes")) == {setting}


def test_workers_are_kept_between_calls():
    first = set(poolwise.map(work.where_computing, range(40), kind="processes"))
    assert set(poolwise.map(work.where_computing, range(40), kind="processes")) <= first


def test_workers_of_a_block_end_with_it():
    with poolwise.workers(1) as pool:
        assert len(set(poolwise.map(work.where_computing, range(40), kind="processes"))) == 1
    with pytest.raises(ValueError, match="not running"):
        pool.map(work.double, [1])


@measured
@with_two_cpus
def test_a_pool_of_yours_does_the_work():
    with poolwise.Pool(1) as pool:
        values = poolwise.map(work.where_computing, range(300), pool=pool)
        inside = pool.apply(work.where_computing, (1,))
    assert values.plan.choice == "processes"
    assert set(values) - {work.where_computing(0)} == {inside}


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_a_call_inside_an_item_has_what_is_left(kind):
    values = poolwise.map(work.map_inside, range(2), kind=kind, workers=2)
    if poolwise.cpu_count() <= 2:
        assert list(values) == [("serial", True)] * 2


# -- the lazy form


def test_lazy_items_run_when_they_are_asked_for():
    seen = []
    values = poolwise.imap(seen.append, range(5))
    assert seen == []
    next(values)
    assert seen == [0]
    values.close()
    assert list(values) == []
    assert seen == [0]


@measured
@with_two_cpus
def test_lazy_items_go_to_processes_and_back(tmp_path):
    function = work.Written(tmp_path / "calls", work.compute)
    values = poolwise.imap(function, iter(range(400)))
    assert list(values) == [work.compute(x) for x in range(400)]
    assert values.plan.choice == "processes"
    assert sorted(function.read()) == list(range(400))


def test_a_lazy_call_goes_on_after_an_error():
    values = poolwise.imap(work.fail_at_three, range(5), kind="processes")
    assert [next(values) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(values)
    assert next(values) == 4


# -- coroutines


def test_coroutines():
    values = poolwise.map(work.fetch, range(100))
    assert values == [2 * x for x in range(100)]
    assert values.plan.choice == "asyncio"
    assert list(poolwise.imap(work.fetch, iter(range(100)))) == values
    assert list(itertools.islice(poolwise.imap(work.fetch, itertools.count()), 50)) == values[:50]


def test_coroutines_beside_a_running_loop():
    async def main():
        return poolwise.map(work.fetch, range(10))

    assert asyncio.run(main()) == [2 * x for x in range(10)]


def test_errors_of_coroutines():
    with pytest.raises(ZeroDivisionError):
        poolwise.map(work.fetch_but_not_three, range(6))
    values = poolwise.map(work.fetch_but_not_three, range(6), on_error="return")
    assert isinstance(values[3], ZeroDivisionError)
    with pytest.raises(TypeError, match="coroutine function"):
        poolwise.map(work.fetch, range(6), kind="processes")
    with pytest.raises(TypeError, match="coroutine function"):
        poolwise.map(work.double, range(6), kind="asyncio")


def test_a_coroutine_that_never_returns():
    async def hang(x):
        await asyncio.sleep(600 if x == 1 else 0)
        return x

    values = poolwise.map(hang, range(3), timeout=0.2, on_error="return")
    assert isinstance(values[1], poolwise.TaskTimeout)


# -- seeds


@pytest.mark.parametrize("options", [{}, {"kind": "processes"}, {"kind": "processes", "workers": 1},
                                     {"kind": "processes", "chunksize": 3}])  # fmt: skip
def test_random_numbers_depend_on_seed_and_item_alone(options):
    expected = poolwise.map(work.draw, range(20), seed=7, kind="serial")
    assert poolwise.map(work.draw, range(20), seed=7, **options) == expected
    assert len(set(expected)) == 20
    assert poolwise.map(work.draw, range(20), seed=8, **options) != expected


def test_own_random_numbers_are_the_same_in_threads_and_coroutines():
    expected = poolwise.map(work.draw_own, range(20), seed=7, kind="serial")
    assert poolwise.map(work.draw_own, range(20), seed=7, kind="threads") == expected
    assert poolwise.map(work.draw_awaited, range(20), seed=7) == expected


def test_the_programs_own_random_numbers_go_on_as_without():
    import random

    random.seed(1)
    expected = [random.random(), random.random()]
    random.seed(1)
    first = random.random()
    poolwise.map(work.draw, range(3), seed=7)
    assert [first, random.random()] == expected


# -- the plan


@measured
@with_two_cpus
def test_a_plan_alone_runs_the_sample_once(tmp_path):
    function = work.Written(tmp_path / "calls", work.compute)
    plan = poolwise.plan(function, range(30), length=10_000)
    assert function.read() == list(range(30))
    assert plan.runs == 30
    assert plan.choice == "processes"
    assert plan.runner_up.seconds > plan.predicted_s
    assert plan.as_dict()["measured"]["send_s"] > 0


def test_the_plan_is_logged(caplog):
    with caplog.at_level(logging.INFO, "poolwise"):
        values = poolwise.map(work.double, range(10))
    assert str(values.plan) in caplog.text


def test_progress_is_shown(capfd):
    poolwise.map(work.wait, range(30), progress="text")
    deadline = time.monotonic() + 30
    while "wait" not in (said := capfd.readouterr().err):
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def test_threads_may_end_as_soon_as_their_call_has():
    """Whoever looks on then finds no clock of the thread any more."""
    found = []
    for _ in range(20):
        thread = threading.Thread(target=lambda: found.append(poolwise.map(work.double, [1])))
        thread.start()
        thread.join()
    time.sleep(0.05)  # so that it has looked
    assert found == [[2]] * 20
