"""A shared array is an array; pickled, it and its views are handles; copies are copies."""

from __future__ import annotations

import copy
import pickle

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as some

import poolwise
from poolwise.shared.holding import MODES

HANDLE_BYTES = 200


def sent(value):
    """What another process would get; in this one, what is mapped already is used again."""
    return pickle.loads(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))


def is_handle(array) -> bool:
    pickled = pickle.dumps(array, 5)
    pickle.loads(pickled)  # a handle that nobody opens would hold the memory for a while
    return len(pickled) < HANDLE_BYTES + array.nbytes // 8


# --- views, against numpy -----------------------------------------------------------------------


@st.composite
def chains(draw):
    """An array, and ways to look at it: functions that numpy answers with a view."""
    shape = draw(some.array_shapes(min_dims=0, max_dims=4, max_side=7))
    dtype = draw(st.sampled_from(["f8", "<i2", ">u4", "?", "c16", "S3", "U2", "M8[ns]", "f4"]))
    values = np.arange(int(np.prod(shape)) or 1).astype("i8").astype(dtype)
    array = values[: int(np.prod(shape))].reshape(shape)
    if draw(st.booleans()):
        array = np.asfortranarray(array)
    steps, model = [], array
    for _ in range(draw(st.integers(0, 5))):
        step = draw(steps_from(model))
        steps.append(step)
        model = step(model)
    return array, steps


@st.composite
def steps_from(draw, model):
    kinds = [lambda a: a[..., np.newaxis], lambda a: a.squeeze(), lambda a: a.T]
    order = draw(st.permutations(range(model.ndim)))
    kinds.append(lambda a: a.transpose(order))
    if model.ndim:
        index = draw(some.basic_indices(model.shape, allow_newaxis=True, allow_ellipsis=False))
        parts = index if isinstance(index, tuple) else (index,)
        kinds.append(lambda a: a[(*parts, ...)])  # without the dots, one element is no array
    if model.flags.c_contiguous:
        kinds.append(lambda a: a.reshape(-1))
        if model.ndim and model.size:
            kinds.append(lambda a: a.view("u1"))
    return draw(st.sampled_from(kinds))


def follow(array, steps):
    for step in steps:
        array = step(array)
    return array


@given(chains(), st.sampled_from(sorted(MODES)))
def test_any_view_arrives_as_it_was_sent(chain, mode):
    array, steps = chain
    wanted = follow(array, steps)
    view = follow(poolwise.share(array, mode), steps)
    got = sent(view)
    assert got.dtype == wanted.dtype
    assert got.shape == wanted.shape
    assert np.array_equal(got, wanted)
    assert got.flags.writeable == (mode != "read-only")
    assert is_handle(view)


@given(chains())
def test_any_view_of_common_memory_stays_the_same_memory(chain):
    array, steps = chain
    shared = poolwise.share(array, "read-write")
    view, model = follow(shared, steps), follow(array.copy(order="K"), steps)
    got = sent(view)
    got[...] = np.zeros((), got.dtype)
    model[...] = np.zeros((), model.dtype)
    assert np.array_equal(view, model)
    assert np.array_equal(follow(shared, steps), model)


@given(chains())
def test_copies_on_write_are_seen_by_nobody_else(chain):
    array, steps = chain
    view = follow(poolwise.share(array, "copy-on-write"), steps)
    got = sent(view)
    if got.size:
        got[...] = np.ones((), "i8").astype(got.dtype)
    assert np.array_equal(view, follow(array, steps))
    assert np.array_equal(sent(got), got), "what a process wrote travels on with the array"


@given(some.arrays(st.sampled_from(["f8", "i2"]), some.array_shapes(max_dims=3)), st.data())
def test_arrays_of_any_layout_can_be_shared(array, data):
    index = data.draw(some.basic_indices(array.shape))
    part = np.asarray(array[index]).T
    assert np.array_equal(poolwise.share(part), part, equal_nan=True)


# --- an array like any other --------------------------------------------------------------------


@pytest.fixture
def shared():
    return poolwise.share(np.arange(120.0).reshape(10, 12), "read-write")


COPIES = {
    "copy": lambda a: a.copy(),
    "copy.copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "np.array": np.array,
    "astype": lambda a: a.astype("f4"),
    "sum of two": lambda a: a + a,
    "with a plain one": lambda a: np.ones((10, 12)) * a,
    "ufunc": np.sqrt,
    "reduction": lambda a: a.sum(axis=0),
    "where": lambda a: np.where(a > 3, a, 0),
    "product": lambda a: a @ a.T,
    "sort": np.sort,
    "mean": lambda a: a.mean(axis=1),
    "cumsum": lambda a: a.cumsum(),
    "clip": lambda a: a.clip(2, 5),
}

FRAGMENTS = {
    "mask": lambda a: a[a > 50],
    "list": lambda a: a[[1, 3]],
    "take": lambda a: a.take([1, 3], axis=0),
    "repeat": lambda a: a.repeat(2),
    "concatenate": lambda a: np.concatenate([a, a]),
    "flatten": lambda a: a.flatten(),
    "reshape that must copy": lambda a: a.T.reshape(-1),
    "compress": lambda a: a.compress([True, False], axis=0),
    "dot": lambda a: a.dot(a.T),
}


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_copies_and_results_are_plain_arrays(shared, make):
    assert type(make(shared)) is np.ndarray
    assert np.array_equal(make(shared), make(np.array(shared)))


@pytest.mark.parametrize("make", [*COPIES.values(), *FRAGMENTS.values()], ids=[*COPIES, *FRAGMENTS])
def test_what_does_not_lie_in_shared_memory_is_pickled_by_value(shared, make):
    made = make(shared)
    before = made.copy()
    got = sent(made)
    assert type(got) is np.ndarray
    shared[...] = -1
    assert np.array_equal(got, before)


def test_scalars_are_scalars(shared):
    for value in (
        shared.sum(),
        shared[3, 4],
        shared.max(),
        np.mean(shared),
        shared[0].dot(shared[0]),
    ):
        assert isinstance(value, np.float64)


def test_work_in_place_stays_in_place(shared):
    same = shared
    same += 1
    np.multiply(same, 2, out=same)
    assert same is shared
    assert is_handle(same)
    assert shared[0, 1] == 4


def test_a_view_as_a_plain_array_goes_by_value(shared):
    plain = np.asarray(shared)
    assert type(plain) is np.ndarray
    assert np.shares_memory(plain, shared)
    assert not is_handle(plain)


def test_records_arrive_whole():
    kind = np.dtype([("name", "S4"), ("at", "f8", (2,))], align=True)
    array = np.zeros(5, kind)
    array["at"] = np.arange(10).reshape(5, 2)
    shared = poolwise.share(array)
    assert sent(shared).dtype == kind
    assert np.array_equal(sent(shared["at"][::-1]), array["at"][::-1])


def test_arrays_of_objects_are_objects():
    array = np.array([{"a": 1}, None, "text"], dtype=object)
    shared = poolwise.share(array)
    assert isinstance(shared, poolwise.Shared)
    assert shared.get().tolist() == array.tolist()


def test_a_mapped_file_can_be_shared(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(9))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert np.array_equal(sent(poolwise.share(mapped)), np.arange(9))


def test_sharing_what_is_shared_keeps_its_memory(shared):
    view = poolwise.share(shared[2:4])
    assert not view.flags.writeable
    shared[2, 0] = 99
    assert view[0, 0] == 99


def test_read_only_is_read_only_for_the_one_who_shares_too():
    shared = poolwise.share(np.arange(3))
    with pytest.raises(ValueError, match="read-only"):
        shared[0] = 1
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        shared.flags.writeable = True


def test_a_read_only_view_stays_so(shared):
    view = shared[:2]
    view.flags.writeable = False
    assert not sent(view).flags.writeable


# --- new ones -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [poolwise.empty, poolwise.zeros])
def test_new_arrays_are_common_and_zero(make):
    array = make((3, 4), "i4")
    assert (array.shape, array.dtype, array.any()) == ((3, 4), np.dtype("i4"), False)
    sent(array)[1, 2] = 7
    assert array[1, 2] == 7


def test_new_arrays_are_of_floats_unless_said_otherwise():
    assert poolwise.zeros(3).tolist() == [0.0, 0.0, 0.0]
    assert poolwise.empty(()).shape == ()
    assert poolwise.empty((0, 5)).size == 0


@pytest.mark.parametrize(
    ("error", "shape"),
    [(ValueError, -1), (ValueError, (2, -1)), (TypeError, 3.5), (TypeError, "3"),
     (ValueError, 1 << 62), (ValueError, (1 << 40, 1 << 40))],
)  # fmt: skip
def test_what_is_no_shape_is_refused_as_numpy_does(error, shape):
    with pytest.raises(error):
        np.empty(shape)
    with pytest.raises(error):
        poolwise.zeros(shape)


def test_references_to_objects_cannot_be_shared():
    with pytest.raises(TypeError, match="Python objects"):
        poolwise.empty(3, object)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="choose 'read-only', 'copy-on-write' or 'read-write'"):
        poolwise.share(np.arange(3), "r+")
