"""What goes out comes back equal, by every way that a message can take."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwise import errors
from poolwise.wire import codec, failures, pickling
from poolwise.wire.payload import NO_BLOCK, decode_payload, encode_payload

HEAD = (7, 1000)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner)
    | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip
big_values = values | st.integers(1, 3).map(
    lambda times: Big(bytes(times * pickling.LEAST_BUFFER_BYTES))
)


class Big:
    """Hands its memory to the pickler, as numpy arrays do."""

    def __init__(self, data):
        self.data = bytearray(data)

    def __reduce_ex__(self, protocol):
        import pickle

        return Big, (pickle.PickleBuffer(self.data),)

    def __eq__(self, other):
        return isinstance(other, Big) and self.data == other.data

    __hash__ = None


class DoesNotPickle:
    def __reduce__(self):
        raise TypeError


class DoesNotUnpickle:
    def __reduce__(self):
        return int, ("no number",)


def add(a, b=0):
    return a + b


def collect(*args, **kwargs):
    return args, kwargs


def travel(packed, head=b"head"):
    """A payload, sealed and opened again where there is no arena."""
    places = [NO_BLOCK] * len(packed.parts)
    parts = encode_payload(head, packed, places)
    return decode_payload(memoryview(b"".join(parts)), len(head), None)


def pack_items(mode, items):
    return codec.pack_items(HEAD, mode, items)


def pack_calls(calls):
    return codec.pack_calls(HEAD, calls)


def open_chunk(packed):
    """The chunk that a worker makes of it, its items loaded."""
    if isinstance(packed, bytes):
        payload = memoryview(codec.pack_chunk_id(3) + packed)
        assert codec.chunk_id(payload) == 3
        function_id, prompt_ns, mode, items = codec.load_chunk(payload[codec.CHUNK_AT :])
    else:
        function_id, prompt_ns, mode, items = codec.load_chunk(travel(packed))
    if mode & codec.PACKED:
        mode, items = mode & ~codec.PACKED, list(map(codec.load_item, items))
    assert (function_id, prompt_ns) == HEAD
    return mode, items


# -- items


@settings(max_examples=50)
@given(st.lists(big_values, max_size=6), st.sampled_from([codec.MAP, codec.STARMAP]))
def test_items_arrive_equal_and_in_order(items, mode):
    assert open_chunk(pack_items(mode, items)) == (mode, items)


@pytest.mark.parametrize("items", [range(5), (1, 2), "abc"])
def test_any_sequence_may_be_the_items(items):
    mode, arrived = open_chunk(pack_items(codec.MAP, items))
    assert (mode, list(arrived)) == (codec.MAP, list(items))


def test_what_many_items_share_travels_once():
    text = "x" * 10_000
    assert len(pack_items(codec.MAP, [text] * 100)) < 2 * len(text)


def test_an_item_that_does_not_pickle_is_said():
    with pytest.raises(TypeError):
        pack_items(codec.MAP, [1, DoesNotPickle()])


# -- calls


def run_calls(mode, calls):
    """What the worker gets out of calls that have arrived."""
    assert mode == codec.CALLS
    return [codec.call(call) for call in calls]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.lists(big_values, max_size=3),
                          st.dictionaries(st.sampled_from("abc"), big_values)),
                min_size=1, max_size=4))  # fmt: skip
def test_calls_arrive_equal_and_in_order(arguments):
    calls = [(collect, tuple(args), kwargs) for args, kwargs in arguments]
    mode, arrived = open_chunk(pack_calls(calls))
    assert run_calls(mode, arrived) == [(args, kwargs) for _, args, kwargs in calls]


def test_two_calls_never_receive_the_same_list():
    shared = [1]
    mode, arrived = open_chunk(pack_calls([(collect, (shared,), {})] * 2))
    (((first,), _), ((second,), _)) = run_calls(mode, arrived)
    first.append(2)
    assert second == [1]


def test_calls_of_plain_data_share_one_pickle():
    mode, _ = open_chunk(pack_calls([(add, (1,), {}), (add, (2,), {})]))
    assert mode == codec.CALLS


def test_a_lambda_among_calls_travels_with_its_code():
    offset = 10
    calls = [(add, (1,), {}), (lambda x: x + offset, (1,), {})]
    mode, arrived = open_chunk(pack_calls(calls))
    assert run_calls(mode, arrived) == [1, 11]


def test_a_call_that_cannot_be_rebuilt_fails_alone():
    calls = [(add, (1,), {}), (add, (DoesNotUnpickle(),), {})]
    *_, (first, second) = codec.load_chunk(memoryview(pack_calls(calls)))
    assert codec.call(codec.load_item(first)) == 1
    with pytest.raises(errors.ArgumentNotLoadable) as info:
        codec.load_item(second)
    assert isinstance(info.value.__cause__, ValueError)


def test_a_call_that_does_not_pickle_is_said():
    with pytest.raises(TypeError):
        pack_calls([(add, (DoesNotPickle(),), {})])


# -- functions


def make_local():
    offset = [5]

    def add_offset(x):
        return x + offset[0]

    return add_offset


class Accumulator:
    def __init__(self, start):
        self.start = start

    def add(self, x):
        return self.start + x

    __call__ = add


@pytest.mark.parametrize("by_value", [False, True])
@pytest.mark.parametrize(
    "function",
    [
        add, partial(add, b=5), Accumulator(5).add, Accumulator(5), make_local(), lambda x: x + 5,
        partial(make_local()), (5).__add__,
    ],
    ids=["function", "partial", "bound", "instance", "closure", "lambda", "nested", "method"],
)  # fmt: skip
def test_whatever_can_be_called_arrives(function, by_value):
    arrived = codec.loads(pickling.dumps_function(function, by_value=by_value))
    assert arrived(1) == function(1)


def test_a_function_with_a_lock_in_it_says_why_it_cannot_travel():
    lock = threading.Lock()
    with pytest.raises(Exception, match=r"lock|pickle|local"):
        pickling.dumps_function(partial(add, lock))


# -- answers


def open_answer(packed, *, is_itemwise=False):
    """The values that the parent makes of it, and the failures."""
    if isinstance(packed, bytes):
        payload = memoryview(bytes(codec.ANSWER_AT) + packed)
        arrived, failed, _ = codec.load_values(payload[codec.ANSWER_AT :], is_itemwise=is_itemwise)
    else:
        arrived, failed, _ = codec.load_values(travel(packed), is_itemwise=is_itemwise)
    if is_itemwise:
        arrived = [codec.load_value(one) for one in arrived]
    return arrived, {at: failures.decode(failure) for at, failure in failed.items()}


def pack_answer(results):
    return codec.pack_answer(results, {}, None)


def pack_itemwise(results):
    return codec.pack_itemwise(results, {}, None, failures.refused)


@settings(max_examples=50)
@given(st.lists(big_values, max_size=6))
def test_values_arrive_equal_and_in_order(results):
    assert open_answer(pack_answer(results)) == (results, {})


@settings(max_examples=50)
@given(st.lists(big_values, max_size=6))
def test_values_apart_arrive_equal_and_in_order(results):
    assert open_answer(pack_itemwise(results), is_itemwise=True) == (results, {})


def test_apart_only_what_does_not_pickle_fails():
    packed = pack_itemwise(["a", DoesNotPickle(), "c"])
    arrived, failed = open_answer(packed, is_itemwise=True)
    assert arrived == ["a", None, "c"]
    assert failed.keys() == {1}
    assert isinstance(failed[1], errors.ResultNotPicklable)


@given(st.integers(0, 2**62), st.integers(0, 2**40), st.integers(-1, 2**40), st.booleans())
def test_the_head_of_an_answer_can_be_read_whatever_follows(number, size, returned, flag):
    head = codec.AnswerHead(number, size, size, number, returned, flag, not flag)
    payload = memoryview(head.pack() + bytes(codec.ANSWER_AT - codec.READING_AT) + b"no pickle")
    assert codec.AnswerHead.unpack(payload) == head
    assert bytes(payload[codec.ANSWER_AT :]) == b"no pickle"


def test_big_values_can_be_written_to_by_whoever_gets_them():
    (value,), _ = open_answer(pack_answer([Big(bytes(10**5))]))
    value.data[0] = 1
