"""Pickles in pieces and with buffers aside: what comes out is what went in, nothing is shared."""

from __future__ import annotations

import pickle
import threading
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwise.wire import pickling
from poolwise.wire.codec import load_payload
from poolwise.wire.payload import NO_BLOCK, decode_payload, encode_payload
from poolwise.wire.pickling import LEAST_BUFFER_BYTES, LEAST_PIECE_BYTES, BufferTable, loads, pack

np = pytest.importorskip("numpy")

LONG = LEAST_PIECE_BYTES
plain = st.one_of(st.integers(), st.text(max_size=5), st.none())
lengths = st.integers(60 * 1024, 3 * LONG)  # where the pickler begins to hand strings over
long_ones = st.one_of(
    lengths.map(bytes), lengths.map(bytearray), lengths.map(lambda length: "é" * length)
)
values = st.recursive(
    st.one_of(plain, long_ones),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def travel(packed):
    """Through a frame without shared memory."""
    if isinstance(packed, bytes):
        return pickle.loads(packed)
    places = [NO_BLOCK] * len(packed.parts)
    parts = encode_payload(b"head", packed, places)
    payload = memoryview(bytearray().join(parts))
    return load_payload(decode_payload(payload, 4, None))


@given(st.lists(values, min_size=1, max_size=3))
def test_values_come_out_as_they_went_in(several):
    for value in several:  # the second meets a packer that has learnt from the first
        assert travel(pack(value)) == value


def test_a_long_string_alone_is_never_copied_into_a_pickle():
    long = bytes(LONG)
    assert any(piece is long for piece in pack((1, [long])).pieces)


def test_what_is_short_stays_one_pickle():
    for value in (1, [1, 2], bytes(LONG), "short", {"a": b"b"}):
        packed = pack(value)
        assert (type(packed) is bytes) == (value != bytes(LONG))


def test_what_was_put_aside_in_vain_is_forgotten():
    large, aside = np.zeros(LEAST_BUFFER_BYTES), pickling.OutOfBandBuffers()
    for dumps in (pickling.dumps, partial(pickling.dumps, by_value=True)):
        with pytest.raises(TypeError):
            dumps([large, threading.Lock()], aside)
        assert aside == []
    pickling.dumps_function(partial(lambda _, number: number, large), aside)
    assert [len(buffer) for buffer in aside] == [large.nbytes]


@pytest.mark.parametrize("size", [100, LONG, 3 * LONG])
def test_buffers_that_nobody_takes_aside_are_in_the_pickle(size):
    for value in (np.arange(size), pickle.PickleBuffer(bytearray(size)), bytearray(size)):
        (got,) = pickle.loads(pickling.dumps([value]))
        assert bytes(got) == bytes(value)


def test_what_is_packed_is_what_it_was_whatever_is_done_to_the_parts_afterwards():
    part = bytearray(70 * 1024)  # handed over by the pickler as it is, and joined by us
    packed = pack([bytes(LONG), part, bytes(70 * 1024), part])
    part[:] = b"x" * len(part)
    assert travel(packed)[1] == bytes(70 * 1024)


ARRAYS = {
    "C order": lambda n: np.arange(n * 2.0).reshape(2, -1),
    "Fortran order": lambda n: np.asfortranarray(np.arange(n * 2.0).reshape(2, -1)),
    "strided": lambda n: np.arange(n * 2.0)[::2],
    "reversed": lambda n: np.arange(float(n))[::-1],
    "broadcast": lambda n: np.broadcast_to(np.arange(float(n)), (3, n)),
    "of no dimension": lambda n: np.array(float(n)),
    "empty": lambda n: np.empty((0, n)),
    "of objects": lambda n: np.array([{"a": n}, None, "x"] * 3, dtype=object),
    "structured": lambda n: np.zeros(n, dtype=[("a", "i4"), ("b", "f8", (2,))]),
    "of dates": lambda n: np.arange(n).astype("M8[s]"),
    "of texts": lambda n: np.array(["a", "bcd"] * n),
    "big-endian": lambda n: np.arange(n).astype(">i4"),
    "read-only": lambda n: read_only(np.arange(float(n))),
}


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("size", [1, 100, LEAST_BUFFER_BYTES])
@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_arrays_come_out_as_they_went_in_and_writable(make, size):
    array = make(size)
    got = travel(pack([array]))[0]
    assert (got.dtype, got.shape) == (array.dtype, array.shape)
    assert np.array_equal(got, array)
    assert got.flags.writeable
    if array.flags.f_contiguous:
        assert got.flags.f_contiguous


def test_a_large_array_is_not_copied_into_the_pickle():
    array = np.arange(100_000.0)
    packed = pack({"a": [array]})
    assert len(packed.pieces[0]) < 1000
    assert [buffer.nbytes for buffer in packed.buffers] == [array.nbytes]


def test_the_same_memory_met_twice_is_kept_once():
    array, shelf = np.arange(100_000.0), BufferTable()
    first = shelf.add([memoryview(array).cast("B")])
    second = shelf.add([memoryview(array[:]).cast("B"), memoryview(array[1:]).cast("B")])
    assert (first, second) == ([0], [0, 1])
    assert shelf.repeated == {0}


@given(st.lists(st.binary(max_size=50), min_size=1), st.data())
def test_pieces_may_be_cut_anywhere(strings, data):
    pickled = pickle.dumps(strings, 5)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(pickled)), max_size=5)))
    edges = [0, *cuts, len(pickled)]
    pieces = [pickled[a:b] for a, b in pairwise(edges)]
    assert loads(pieces, ()) == strings


def test_a_broken_pickle_in_pieces_is_an_error():
    pickled = pickle.dumps(b"x" * 1000, 5)
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        loads([pickled[:100], pickled[100:500]], ())


def test_buffers_in_a_frame_are_aligned_and_each_its_own():
    arrays = [np.arange(20_001, dtype="u4"), np.arange(20_001, dtype="u4")]
    first, second = travel(pack(arrays))
    assert (first.ctypes.data - second.ctypes.data) % 64 == 0
    first[:] = 0
    assert second[5] == 5


def test_small_arrays_in_a_row_stay_in_the_pickle_and_a_large_one_among_them_does_not():
    small, large = np.arange(12.0), np.arange(100_000.0)
    for value in [small] * 20 + [large, small, large]:
        packed = pack([value])
        assert isinstance(packed, bytes) == (value is small)
        (got,) = travel(packed)
        assert (got == value).all()
        assert got.flags.writeable


def test_short_strings_are_joined_and_long_ones_stand_apart():
    packed = pack([bytes(1000) for _ in range(500)])
    assert (len(packed.pieces), len(packed.buffers)) == (1, 0)
    long = bytes(LONG), bytearray(LONG)
    assert [len(piece) for piece in pack([b"", *long, b""]).pieces][1::2] == [LONG, LONG]


@given(st.lists(st.sampled_from([1, 100, LONG - 1, LONG, 3 * LONG]), min_size=1, max_size=12))
def test_whatever_was_packed_before_nothing_is_left_out(sizes):
    values = [size.to_bytes(4, "little") + bytes(size) for size in sizes]
    for some in (values, values[:1], values):
        assert travel(pack(some)) == some


def test_a_large_array_given_to_many_after_small_ones_is_no_part_of_the_pickle():
    """On average it is short, but whoever writes to it would write to that of the others."""
    large = np.zeros(LEAST_BUFFER_BYTES // 8 + 100)
    for _ in range(20):
        pack(np.zeros(10))
    packed = pack([(large, number) for number in range(30)])
    assert [len(buffer) for buffer in packed.buffers] == [large.nbytes]
