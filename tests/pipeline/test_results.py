"""A pipe gives what the same functions give in a loop, whatever its stages run on."""

from __future__ import annotations

import asyncio
import queue
import subprocess
import sys
import threading

import pytest

import poolwise
from tests.house.tree import ROOT
from tests.pipeline import tasks

KINDS = ["auto", "thread", "process", "inline"]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same(kind, ordered):
    pipe = (
        poolwise.pipe(range(40), ordered=ordered, cpus=2)
        .map(tasks.add_one, kind=kind)
        .filter(tasks.is_even, kind=kind)
        .flat_map(tasks.twice, kind=kind)
        .map(tasks.double, kind=kind)
    )
    found = pipe.run()
    assert (found if ordered else sorted(found)) == [
        2 * x for x in range(1, 41) if x % 2 == 0 for _ in range(2)
    ]


def test_without_stages_it_is_its_source():
    assert poolwise.pipe("abc").run() == ["a", "b", "c"]


def test_nothing_in_nothing_out():
    assert poolwise.pipe([]).map(tasks.double).batch(3).run() == []


def test_a_generator_function_gives_many():
    assert poolwise.pipe([1, 2]).map(tasks.twice).run() == [1, 1, 2, 2]


def test_batches_are_full_but_for_the_last():
    assert poolwise.pipe(range(7)).batch(3).run() == [[0, 1, 2], [3, 4, 5], [6]]
    assert poolwise.pipe(range(7)).batch(3).unbatch().run() == list(range(7))


def test_a_batch_goes_on_after_its_timeout():
    given = queue.Queue()
    results = iter(poolwise.pipe(given).batch(100, timeout=0.01))
    given.put(1)
    assert next(results) == [1]
    given.put(None)
    assert list(results) == []


def test_the_item_beside_its_result():
    pairs = poolwise.pipe([1, 2]).map(tasks.double).zip_with_input().run()
    assert pairs == [(1, 2), (2, 4)]
    many = poolwise.pipe([1]).flat_map(tasks.twice, kind="process").zip_with_input().run()
    assert many == [(1, 1), (1, 1)]


def test_tap_lets_the_item_go_on():
    seen = []
    assert poolwise.pipe(range(5)).tap(seen.append, workers=1).run() == list(range(5))
    assert seen == list(range(5))


def test_coroutine_stages_and_async_sources():
    async def numbers():
        for x in range(10):
            yield x

    async def double(x):
        await asyncio.sleep(0)
        return 2 * x

    async def two(x):
        yield x
        yield x

    async def is_small(x):
        return x < 10

    pipe = poolwise.pipe(numbers()).map(double).filter(is_small).flat_map(two)
    assert pipe.run() == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]


def test_it_can_be_read_by_async_for_and_coroutines_run_on_that_loop():
    async def loop_of(_):
        return asyncio.get_running_loop()

    async def main():
        found = [loop async for loop in poolwise.pipe(range(5)).map(loop_of)]
        assert found == [asyncio.get_running_loop()] * 5
        many = poolwise.pipe(range(300)).map(tasks.double, kind="thread")
        assert [x async for x in many] == [2 * x for x in range(300)]

    asyncio.run(main())


def test_asyncio_queues_are_sources():
    async def main():
        given = asyncio.Queue()
        for x in (1, 2, None):
            given.put_nowait(x)
        return [x async for x in poolwise.pipe(given).map(tasks.double)]

    assert asyncio.run(main()) == [2, 4]


def test_lines_of_a_file(tmp_path):
    path = tmp_path / "lines"
    path.write_text("a\nb\n")
    with path.open() as lines:
        assert poolwise.pipe(lines).map(str.strip).run() == ["a", "b"]


def test_a_pipe_is_a_source():
    first = poolwise.pipe(range(4)).map(tasks.add_one)
    assert poolwise.pipe(first).map(tasks.double).run() == [2, 4, 6, 8]


def test_the_example_gives_the_same_both_ways():
    command = [sys.executable, str(ROOT / "examples" / "pipelines" / "fetch_parse_store.py"), "20"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "The tables are equal: 20 rows." in done.stdout


def test_each_stage_makes_a_longer_pipe_and_leaves_the_shorter_one():
    short = poolwise.pipe([1, 2]).map(tasks.double)
    long = short.map(tasks.double)
    assert short.run() == [2, 4]
    assert long.run() == [4, 8]
    assert short.run() == [2, 4]


def test_a_sink_takes_the_results():
    taken = []
    assert poolwise.pipe(range(5)).map(tasks.double).run(sink=taken.append) == 5
    assert taken == [0, 2, 4, 6, 8]
    given = queue.Queue()
    assert poolwise.pipe([1]).run(sink=given) == 1
    assert given.get() == 1
    with pytest.raises(TypeError, match="function or a queue"):
        poolwise.pipe([1]).run(sink=3)


def test_state_is_made_once_a_worker_and_undone():
    made, undone = [], []

    def make():
        made.append(threading.get_ident())
        return {"base": 10}

    pipe = poolwise.pipe(range(50)).map(
        lambda x, state: state["base"] + x, setup=make, teardown=undone.append, workers=2,
        kind="thread",
    )  # fmt: skip
    assert pipe.run() == [10 + x for x in range(50)]
    assert 1 <= len(made) <= 2
    assert undone == [{"base": 10}] * len(made)


def test_state_of_coroutines_and_of_processes(tmp_path):
    async def make():
        return 5

    async def use(x, state):
        return x + state

    undone = []
    assert poolwise.pipe([1]).map(use, setup=make, teardown=undone.append).run() == [6]
    assert undone == [5]
    trace = tmp_path / "undone"
    pipe = poolwise.pipe([1, 2]).map(
        lambda x, state: x + state, kind="process", workers=1, setup=lambda: 10,
        teardown=lambda state: trace.write_text(str(state)),
    )  # fmt: skip
    assert pipe.run() == [11, 12]
    assert trace.read_text() == "10"


def test_context_variables_pass_to_stages():
    import contextvars

    name = contextvars.ContextVar("name", default="?")
    name.set("outer")

    async def ask(_):
        return name.get()

    assert poolwise.pipe([1]).map(lambda _: name.get(), kind="thread").run() == ["outer"]
    assert poolwise.pipe([1]).map(ask).run() == ["outer"]


@pytest.mark.parametrize("kind", ["thread", "process", "inline"])
def test_random_numbers_are_those_of_the_item(kind):
    from poolwise.pipeline.steps import rng

    def draw(_):
        return rng().random()

    found = poolwise.pipe(range(20), seed=3).map(draw, kind=kind).run()
    assert found == poolwise.pipe(range(20), seed=3).map(draw, kind="thread", workers=1).run()
    assert len(set(found)) == 20
    assert found != poolwise.pipe(range(20), seed=4).map(draw, kind=kind).run()


def test_neighbouring_process_stages_are_one_visit():
    pipe = (
        poolwise.pipe(range(10), cpus=2)
        .map(tasks.wrap, kind="process")
        .map(tasks.unwrap, kind="process")
    )
    assert pipe.run() == list(range(10))


def test_a_pipe_inside_a_stage_shares_the_budget():
    outer = poolwise.pipe(range(6), cpus=2).map(
        lambda x: poolwise.pipe([x]).map(tasks.pid_of, kind="process").run()[0],
        kind="thread", workers=3,
    )  # fmt: skip
    assert len(set(outer.run())) <= 2
    inside = poolwise.pipe(range(3), cpus=2).map(tasks.inner_pipe, kind="process")
    assert inside.run() == [[2 * x, 2 * x + 2] for x in range(3)]
