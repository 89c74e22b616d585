"""What had been sent before: chunks in, bytes out."""

from __future__ import annotations

from array import array
from functools import partial

import pytest

from poolwise.account.repeats import Repeats
from poolwise.core.job import CALLS, MAP, STARMAP, Chunk, Function, Job, Listed
from poolwise.options import TaskRules

MB = 1_000_000


class Model:
    """Holds data, as the object of a method or as an argument."""

    def __init__(self, weights):
        self.weights = weights

    def predict(self, x):
        return x


class Call:
    """What a door submits."""

    def __init__(self, function, *args, **kwargs):
        self.call = (function, args, kwargs)


def chunk_of(items, function=len, mode=STARMAP, *, sent=MB, function_bytes=0, put_down=()):
    job = Job(Function(function), mode, Listed(items), None, TaskRules(), lanes=1, prompt_ns=0)
    job.deposits = dict.fromkeys(put_down)
    chunk = Chunk(job, 0, items)
    chunk.sent_bytes, chunk.function_bytes = sent, function_bytes
    return chunk


THINGS = {
    "list": lambda: [0.5 * at for at in range(5_000)],
    "dict": lambda: {at: str(at) for at in range(5_000)},
    "set": lambda: set(range(5_000)),
    "bytes": lambda: bytes(range(256)) * 40,
    "string": lambda: "abcdefgh" * 5_000,
    "array": lambda: array("d", range(5_000)),
    "object": lambda: Model(list(range(5_000))),
}


class Proxy:
    """Of nothing: says so when it is asked for anything."""

    def __getattr__(self, name):
        raise RuntimeError(name)


def test_what_cannot_be_asked_for_its_size_is_counted_all_the_same():
    proxy, repeats = Proxy(), Repeats()
    assert [repeats.count(chunk_of([(proxy, at)])) for at in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("kind", THINGS)
def test_the_same_thing_in_each_message_is_repeated_from_the_second_on(kind):
    thing, repeats = THINGS[kind](), Repeats()
    counts = [repeats.count(chunk_of([(thing, at)])) for at in range(3)]
    assert counts[0] == 0
    assert counts[1] == counts[2] == pytest.approx(MB, rel=0.01)


@pytest.mark.parametrize("kind", THINGS)
def test_things_of_their_own_are_not_repeated(kind):
    """Even where the memory of the last one is used again for the next."""
    repeats = Repeats()
    for at in range(20):
        thing = THINGS[kind]()
        if kind in {"list", "array"}:
            thing[0] = thing[-1] = thing[len(thing) // 2] = 1.5 + at
        elif kind == "dict":
            thing = {at * 10_000 + key: value for key, value in thing.items()}
        elif kind == "set":
            thing = {at * 10_000 + key for key in thing}
        elif kind in {"bytes", "string"}:
            thing = thing[at:] + thing[:at]
        assert repeats.count(chunk_of([(thing, at)])) == 0


def test_what_is_sent_once_in_a_message_counts_once():
    """A pickle writes an object once, however many items hold it."""
    table, repeats = THINGS["list"](), Repeats()
    own = [[float(at)] * 5_000 for at in range(10)]
    chunks = [chunk_of([(table, each) for each in own[:5]]), chunk_of([(table, own[9])])]
    assert repeats.count(chunks[0]) == 0
    assert repeats.count(chunks[1]) == pytest.approx(MB / 2, rel=0.01)


def test_each_of_many_arrays_three_times():
    arrays, repeats = [array("d", range(9_000)) for _ in range(60)], Repeats()
    counts = [repeats.count(chunk_of([each], mode=MAP)) for _ in range(3) for each in arrays]
    assert counts[:60] == [0] * 60
    assert counts[60:] == [MB] * 120


def test_many_items_are_judged_by_a_few():
    table, repeats = THINGS["list"](), Repeats()
    items = [(table, at) for at in range(10_000)]
    repeats.count(chunk_of(items))
    own_share = 9 * 10_000 / (9 * 10_000 + 9 * 5_000)
    assert repeats.count(chunk_of(items)) == pytest.approx((1 - own_share) * MB, rel=0.01)


@pytest.mark.parametrize("function", ["partial", "method"])
def test_data_that_is_bound_to_a_function_reaches_the_first_worker_only_once(function):
    table, repeats = THINGS["list"](), Repeats()
    model = Model(table)
    call = partial(len, table) if function == "partial" else model.predict
    light = {"mode": MAP, "sent": 0, "function_bytes": MB}
    assert repeats.count(chunk_of([1], call, **light)) == 0
    assert repeats.count(chunk_of([2], call, **light)) == MB
    anew = partial(len, table) if function == "partial" else model.predict
    assert repeats.count(chunk_of([3], anew, **light)) == MB


def test_a_function_that_carries_its_code_is_sent_to_the_second_worker_again():
    table, repeats = THINGS["list"](), Repeats()
    job = Job(Function(lambda: table), MAP, Listed([]), None, TaskRules(), lanes=1, prompt_ns=0)
    for again in (0, MB):
        chunk = Chunk(job, 0, [1])
        chunk.function_bytes = MB
        assert repeats.count(chunk) == again


def test_single_calls_hold_arguments_and_bound_data():
    table, repeats = THINGS["list"](), Repeats()
    calls = [Call(partial(len, table), 1), Call(len, table, at=2), Call(len, 1, key=table)]
    counts = [repeats.count(chunk_of([call], mode=CALLS)) for call in calls]
    assert counts[0] == 0
    assert counts[1:] == pytest.approx([MB, MB], rel=0.01)


def test_a_call_that_was_cancelled_holds_nothing():
    call = Call(len)
    call.call = None
    assert Repeats().count(chunk_of([call], mode=CALLS)) == 0


def test_what_lies_in_shared_memory_did_not_travel():
    table, repeats = array("d", range(9_000)), Repeats()
    own = [[float(at)] * 5_000 for at in range(3)]
    counts = [repeats.count(chunk_of([(table, each)], put_down=[id(table)])) for each in own]
    assert counts == [0, 0, 0]


def test_memory_is_bounded():
    repeats, kept = Repeats(), [array("d", [at] * 200) for at in range(9_000)]
    for each in kept:
        repeats.count(chunk_of([each], mode=MAP))
    assert len(repeats._met) <= 4096
