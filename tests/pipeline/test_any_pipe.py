"""Any pipe gives what its functions give one after the other (hypothesis)."""

from __future__ import annotations

import asyncio

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

import poolwise
from poolwise.pipeline.flow import Budget, Flow, Token
from poolwise.pipeline.spec import make_spec
from poolwise.pipeline.steps import MAP
from tests.pipeline import tasks


async def double_later(x):
    if x % 5 == 0:
        await asyncio.sleep(0)
    return 2 * x


async def twice_later(x):
    yield x
    yield x


def fail_now_and_then(x):
    if x % 13 == 5:
        raise ValueError(x)
    return x


def twice(items):
    return [x for x in items for _ in range(2)]


PLAIN = {
    "double": (lambda p, o: p.map(tasks.double, **o), lambda xs: [2 * x for x in xs]),
    "even": (lambda p, o: p.filter(tasks.is_even, **o), lambda xs: [x for x in xs if x % 2 == 0]),
    "twice": (lambda p, o: p.flat_map(tasks.twice, **o), twice),
    "skip": (
        lambda p, o: p.map(fail_now_and_then, on_error="skip", **o),
        lambda xs: [x for x in xs if x % 13 != 5],
    ),
}
FIXED = {
    "double later": (lambda p, _: p.map(double_later, workers=3), lambda xs: [2 * x for x in xs]),
    "twice later": (lambda p, _: p.flat_map(twice_later), twice),
    "batch": (lambda p, _: p.batch(3).unbatch(), list),
}
STAGES = {**PLAIN, **FIXED}
OPTIONS = st.sampled_from(
    [
        {}, {"kind": "thread"}, {"kind": "thread", "workers": 2}, {"kind": "inline"},
        {"kind": "process"}, {"kind": "process", "workers": 1},
    ]
)  # fmt: skip
SETTINGS = st.fixed_dictionaries(
    {"ordered": st.booleans()},
    optional={
        "window": st.sampled_from([1, 2, 50]),
        "max_bytes": st.sampled_from([1, 1000, 100_000]),
    },
)


@pytest.mark.slow
@settings(max_examples=60)
@given(
    count=st.sampled_from([0, 1, 20, 200]),
    stages=st.lists(st.tuples(st.sampled_from(sorted(STAGES)), OPTIONS), max_size=5),
    options=SETTINGS,
    is_async=st.booleans(),
)
def test_any_pipe_is_a_chain_of_loops(count, stages, options, is_async):
    pipe, expected = poolwise.pipe(range(count), cpus=2, **options), list(range(count))
    for name, chosen in stages:
        build, loop = STAGES[name]
        pipe, expected = build(pipe, chosen), loop(expected)
    found = asyncio.run(collect(pipe)) if is_async else list(pipe)
    assert (found if options["ordered"] else sorted(found)) == (
        expected if options["ordered"] else sorted(expected)
    )
    budget = pipe._last.flow.budget
    assert (budget.waiting_bytes, budget.reserved_bytes) == (0, 0)


async def collect(pipe):
    return [value async for value in pipe]


@pytest.mark.parametrize("kind", ["thread", "process"])
def test_a_skipped_item_does_not_cost_its_siblings(kind):
    pipe = poolwise.pipe([0, 1], cpus=2).flat_map(lambda x: range(10 * x, 10 * x + 10), kind=kind)
    pipe = pipe.map(
        tasks.fail_on_seven, kind=kind if kind == "process" else "inline", on_error="skip"
    )
    assert pipe.run() == [x for x in range(20) if x != 7]


class Noticed:
    kind = "thread"

    def __init__(self):
        self.count = 0

    def notice(self):
        self.count += 1

    def end(self):
        pass


def test_who_waits_for_bytes_hears_of_those_that_are_freed_far_away():
    """Of three stages the first is held up by what waits for the consumer, two stages on."""
    flow = Flow(
        is_ordered=True, budget=Budget(100, is_strict=False), window=None, clock=lambda: 1,
        wants_tick=lambda: None,
    )  # fmt: skip
    flow.build([make_spec(MAP, tasks.double, {})] * 3, lambda: None)
    first, second, third = flow.stages[1:4]
    executors = [Noticed() for _ in range(3)]
    for stage, executor in zip((first, second, third), executors, strict=True):
        stage.executor = executor
    first.push(Token(b"", None, 0, 0))
    for stage in (first, second, third):
        (token,) = stage.take(1, 1)
        stage.finish(token, bytes(60) if stage is third else b"")
        stage.largest = 60
    first.push(Token(b"", None, 2, 0))
    second.push(Token(b"", None, 1, 0))
    assert first.take(1, 1) == []
    before = executors[0].count
    assert len(flow.outlet.read(1)) == 1
    assert executors[0].count > before
