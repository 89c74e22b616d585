"""Large data: what a task receives and what a caller receives is equal, writable, and his own."""

from __future__ import annotations

import os
import pickle
import sys
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import poolwise
from poolwise.doors.rows import as_sequence
from poolwise.errors import OutOfSharedMemory
from poolwise.memory.segment import Segment
from poolwise.wire.pickling import pack

np = pytest.importorskip("numpy")

BIG = 20_000
"""Numbers in an array that is large enough to go through shared memory."""


def same(x):
    return x


def overwrite(array, value):
    """What stands first, which is then overwritten."""
    before = float(array[0])
    array[:] = value
    return before


def add(array, value):
    array += value
    return array


def overwrite_first(value, array):
    return overwrite(array, value)


def view_of(array):
    return array[3:5]


def is_writable(array):
    array[...] = array
    return array.flags.writeable


@pytest.fixture(scope="module")
def pool():
    with poolwise.Pool(2) as pool:
        yield pool


@pytest.fixture(scope="module")
def piped():
    """A pool that can get no shared memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Segment, "create", refuse)
        patch.setattr("poolwise.memory.arena._said", set())
        with poolwise.Pool(2) as pool:
            with pytest.warns(RuntimeWarning, match="none here"):
                pool.map(same, [np.zeros(BIG)] * 2, chunksize=1)
            yield pool


def refuse(*_, **__):
    message = "none here"
    raise OutOfSharedMemory(message)


@pytest.fixture(scope="module", params=["arena", "pipe"])
def either(request, pool, piped):
    return {"arena": pool, "pipe": piped}[request.param]


def make_frames():
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    pyarrow = pytest.importorskip("pyarrow")
    columns = {"a": np.arange(BIG), "b": np.arange(BIG) / 3, "c": ["x", "yz"] * (BIG // 2)}
    frame = pandas.DataFrame(columns)
    return [frame, frame["b"], polars.DataFrame(columns), pyarrow.table(columns)]


class Holder:
    """An object of the program that contains large data."""

    def __init__(self, **parts):
        self.__dict__.update(parts)

    def __eq__(self, other):
        return is_equal(self.__dict__, other.__dict__)

    __hash__ = None


def make_objects():
    polars = pytest.importorskip("polars")
    pyarrow = pytest.importorskip("pyarrow")
    numbers = np.arange(BIG)
    return [
        Holder(array=numbers, raw=bytearray(300_000), text="x" * 300_000),
        {"frame": polars.DataFrame({"a": numbers}), "table": pyarrow.table({"a": numbers})},
        [Holder(series=polars.Series(numbers)), (pyarrow.array(numbers), bytearray(200_000))],
    ]


VALUES = {
    "objects": make_objects,
    "bytes": lambda: [bytes(BIG), os.urandom(300_000), bytearray(b"ab" * BIG)],
    "texts": lambda: ["ä" * 300_000, {"k": "v" * 300_000}],
    "arrays": lambda: [np.arange(BIG), np.asfortranarray(np.ones((200, 300))), np.ones(3)],
    "odd arrays": lambda: [np.ones(BIG)[::-2], np.array([1, "a", None] * BIG, dtype=object)],
    "frames": make_frames,
    "nested": lambda: [{"a": [np.arange(BIG), (np.ones(BIG), "x")], "b": bytes(300_000)}],
}


def is_equal(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(is_equal, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(is_equal(a[key], b[key]) for key in a)
    return type(a) is type(b) and (a.equals(b) if hasattr(a, "equals") else a == b)


@pytest.mark.parametrize("make", VALUES.values(), ids=VALUES)
def test_values_come_back_equal_by_every_way(either, make):
    values = make()
    for _ in range(2):  # the second time memory is used again
        assert is_equal(either.map(same, values), values)
        assert is_equal(either.map(same, values, chunksize=len(values)), values)
        assert is_equal([either.apply(same, (value,)) for value in values], values)
        assert is_equal(list(either.imap(same, values)), values)


def make_tensors():
    torch = pytest.importorskip("torch")
    numbers = torch.arange(float(BIG)).reshape(100, -1)
    return [
        numbers,
        numbers.T,
        numbers[3:5],
        numbers.to(torch.bfloat16),
        numbers.to(torch.complex64),
        numbers.clone().requires_grad_(),
        torch.nn.Parameter(numbers),
        torch.zeros(0),
        torch.ones(3),
    ]


def add_one(tensor):
    with sys.modules["torch"].no_grad():
        tensor += 1
    return tensor


def test_tensors_come_back_equal_and_writable(either):
    tensors = make_tensors()
    for values in (
        either.map(add_one, tensors),
        either.map(add_one, tensors, chunksize=len(tensors)),
        [either.apply(add_one, (tensor,)) for tensor in tensors],
    ):
        for tensor, value in zip(tensors, values, strict=True):
            assert type(value) is type(tensor)
            assert (value.dtype, value.stride()) == (tensor.dtype, tensor.stride())
            assert value.requires_grad == tensor.requires_grad
            assert value.equal(tensor + 1)
            add_one(value)


def test_a_tensor_is_beside_its_pickle():
    pytest.importorskip("torch")
    tensor = make_tensors()[0]
    payload = pack((tensor,))
    assert [len(buffer) for buffer in payload.buffers] == [tensor.nbytes]
    assert sum(map(len, payload.pieces)) < 2000


def test_a_tensor_that_is_shared_stays_shared(either):
    torch = pytest.importorskip("torch")
    shared, own = torch.zeros(3).share_memory_(), torch.zeros(3)
    for tensor, written in ((shared, 1.0), (own, 0.0)):
        either.apply(add_one, (tensor,))
        assert tensor[0].item() == written


def test_a_task_may_write_to_what_it_is_given_and_the_caller_sees_nothing(either):
    array = np.zeros(BIG)
    assert either.apply(overwrite, (array, 5)) == 0
    assert not array.any()


def test_a_read_only_array_arrives_writable(either):
    for size in (3, BIG):
        array = np.arange(size)
        array.flags.writeable = False
        assert either.apply(is_writable, (array,))


def test_no_task_sees_what_another_did_to_bound_data(either):
    array = np.zeros(BIG)
    assert either.map(partial(overwrite_first, array=array), range(1, 60)) == [0] * 59
    assert not array.any()


def test_no_task_sees_what_another_did_to_an_array_that_both_were_given(either):
    array = np.zeros(BIG)
    assert either.starmap(overwrite, [(array, n) for n in range(1, 60)]) == [0] * 59
    assert either.starmap(overwrite, [(array, 1)] * 9, chunksize=9) == [0] * 9
    calls = [either.apply_async(overwrite, (array, n)) for n in range(1, 60)]
    assert [call.get() for call in calls] == [0] * 59


def test_results_that_show_the_same_bound_data_are_apart(either):
    got = either.map(partial(add, np.zeros(BIG)), range(20))
    assert [(g.min(), g.max()) for g in got] == [(n, n) for n in range(20)]


def test_results_may_be_written_to_and_kept(either):
    kept = []
    for n in range(50):
        result = either.apply(add, (np.zeros(BIG), n))
        kept.append(result[n : n + 3])
        result += 1
    assert all((k == n + 1).all() for n, k in enumerate(kept))


def test_a_result_that_is_a_view_is_its_own(either):
    array = np.arange(float(BIG))
    result = either.apply(view_of, (array,))
    result[:] = 0
    assert array[3] == 3


def test_results_outlive_their_pool():
    with poolwise.Pool(1) as pool:
        results = [pool.apply(add, (np.zeros(BIG), n)) for n in range(3)]
    assert [float(r[-1]) for r in results] == [0, 1, 2]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, BIG - 1), st.integers(), st.booleans()), max_size=8))
def test_a_change_between_two_calls_is_seen_by_the_second(pool, changes):
    array = np.zeros(BIG, dtype="f8")
    bound = partial(same_plus, array)
    for at, value, is_bound in changes:
        array[at] = value
        got = pool.map(bound, [0])[0] if is_bound else pool.apply(same, (array,))
        assert np.array_equal(got, array)
        got[:] = -1


def same_plus(array, _):
    return array


# --- inputs that slice --------------------------------------------------------------------------


SLICED = {
    "numbers": lambda: np.arange(500.0),
    "rows": lambda: np.arange(6000.0).reshape(300, -1),
    "long rows": lambda: np.arange(300_000.0).reshape(10, -1),
    "columns": lambda: np.arange(6000.0).reshape(300, -1).T,
    "objects": lambda: np.array([[1], {}, None] * 30, dtype=object),
    "records": lambda: np.zeros(100, dtype=[("a", "i4"), ("b", "f8")]),
    "text": lambda: "some letters" * 30,
    "bytes": lambda: bytes(range(256)),
    "dict": lambda: dict.fromkeys(range(50)),
    "set": lambda: set(range(50)),
}


@pytest.mark.parametrize("make", SLICED.values(), ids=SLICED)
def test_what_slices_gives_what_a_loop_gives(pool, make):
    items = make()
    wanted = [same(item) for item in items]
    for got in (
        pool.map(same, items),
        pool.map(same, items, chunksize=7),
        [*pool.imap(same, items)],
    ):
        assert is_equal(got, wanted) or is_equal(
            [*map(np.asarray, got)], [*map(np.asarray, wanted)]
        )
        assert list(map(type, got)) == list(map(type, wanted))


def test_series_give_what_a_loop_gives(pool):
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    for items in (
        pandas.Series(range(300), index=range(300, 0, -1)),
        pandas.Series(["a", "b", "c"] * 50),
        pandas.DataFrame({"a": [1], "b": [2]}),
        pandas.Index(range(300)),
        pandas.date_range("2020-02-27", periods=300),
        pandas.MultiIndex.from_product([range(20), ["a", "b"]]),
        polars.Series(range(300)),
    ):
        wanted = [same(item) for item in items]
        got = pool.map(same, items)
        assert got == wanted
        assert list(map(type, got)) == list(map(type, wanted))


def arrow_arrays():
    pyarrow = pytest.importorskip("pyarrow")
    numbers = pyarrow.array([*range(299), None])
    return {
        "numbers": numbers,
        "a part": numbers[100:200],
        "texts": pyarrow.array(["a", None, "bcd"] * 50),
        "lists": pyarrow.array([[1], None, [2, 3]] * 50),
        "records": pyarrow.array([{"a": 1, "b": "x"}, {"a": None, "b": "y"}] * 50),
        "a dictionary": pyarrow.array(["a", "b"] * 50).dictionary_encode(),
        "nothing": pyarrow.nulls(50),
        "chunks": pyarrow.chunked_array([numbers, numbers[:5], numbers[7:]]),
        "no chunks": pyarrow.chunked_array([], pyarrow.int64()),
        "a table's column": pyarrow.table({"a": numbers})["a"],
    }


def test_arrays_of_arrow_give_what_a_loop_gives(pool):
    for name, items in arrow_arrays().items():
        wanted = [same(item) for item in items]
        for got in (pool.map(same, items), pool.map(same, items, chunksize=7)):
            assert got == wanted, name
            assert list(map(type, got)) == list(map(type, wanted)), name


def test_frames_and_tables_give_their_columns_as_a_loop_does(pool):
    polars, pyarrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    columns = {"a": range(BIG), "b": [*range(BIG)], "c": ["x", "y"] * (BIG // 2)}
    table = pyarrow.table(columns)
    for items in (polars.DataFrame(columns), table, table.to_batches()[0]):
        got = pool.map(same, items)
        assert len(got) == 3
        assert all(a.equals(b) for a, b in zip(got, items, strict=True))
    batches = [*polars.DataFrame(columns).iter_slices(1000)]
    assert all(a.equals(b) for a, b in zip(pool.map(same, batches), batches, strict=True))


def test_what_slices_is_sent_in_slices_that_weigh_what_they_show():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    pyarrow = pytest.importorskip("pyarrow")
    numbers = np.arange(100_000)
    for items in (
        numbers,
        pandas.Series(numbers),
        pandas.Index(numbers),
        polars.Series(numbers),
        pyarrow.array(numbers),
        pyarrow.chunked_array([numbers, numbers]),
    ):
        part = as_sequence(items)[500:600]
        assert type(part) is not list
        assert len(pickle.dumps(part)) < 3000
        assert [*pickle.loads(pickle.dumps(part))] == [*items[500:600]]


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_mapped_file_gives_its_rows_and_is_never_written_to(pool, tmp_path, mode):
    path = tmp_path / "numbers"
    np.arange(100_000.0).tofile(path)
    rows = np.memmap(path, "f8", mode, shape=(100, 1000))
    if mode == "c":
        rows[5] = 7
    firsts = [float(row[0]) for row in rows]
    assert pool.map(partial(overwrite_first, -1), rows) == firsts
    assert [float(row[0]) for row in rows] == firsts


def test_a_mapped_file_that_was_replaced_is_sent_as_it_is_mapped(pool, tmp_path):
    path = tmp_path / "numbers"
    np.arange(10_000.0).tofile(path)
    rows = np.memmap(path, "f8", "r", shape=(10, 1000))
    path.rename(tmp_path / "old")
    np.zeros(10_000).tofile(path)
    assert [float(row[1]) for row in pool.map(same, rows)] == [float(row[1]) for row in rows]


# --- fork ---------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="fork is a start method of Linux")
def test_a_forked_process_neither_sees_nor_makes_changes_in_results(pool):
    result = pool.apply(add, (np.zeros(BIG), 3))
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.read(reader, 1)  # until the parent has changed it, and had others in its place
            if (result == 3).all():
                result[:] = 9
                status = 0
        finally:
            os._exit(status)
    before = result[0]
    result[0] = 4
    shown = float(result[0])
    del result
    others = [pool.apply(add, (np.zeros(BIG), 8)) for _ in range(6)]
    os.write(writer, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert all((other == 8).all() for other in others)
    assert (before, shown) == (3, 4)
    os.close(reader)
    os.close(writer)
