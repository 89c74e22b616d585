"""Any other object: its buffers are shared, the rest is pickled once, `get()` builds it once."""

from __future__ import annotations

import array
import multiprocessing
import pickle
import subprocess
import sys
import textwrap

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import poolwise
from poolwise.shared.holding import MODES
from tests.shared.held import held_by

HANDLE_BYTES = 200


class Model:
    """Somebody's own class, with arrays in it."""

    def __init__(self, size):
        self.weights = np.arange(float(size))
        self.name = "a model"

    def predict(self, x):
        return float(self.weights.sum() * x)


def in_child(function, *args):
    """Call it in a fresh interpreter: nothing there was inherited."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def is_shared(buffer):
    """Its memory lies in one of our segments."""
    address = buffer.__array_interface__["data"][0]
    ranges = [line.split()[0].split("-") for line in held_by() if not line.startswith("/")]
    return any(int(start, 16) <= address < int(end, 16) for start, end in ranges)


plain = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(plain, st.sampled_from(sorted(MODES)))
@settings(max_examples=50)
def test_what_is_shared_is_what_is_got(value, mode):
    shared = poolwise.share([value], mode)
    assert shared.get() == [value]
    pickled = pickle.dumps(shared, 5)
    assert len(pickled) < HANDLE_BYTES
    assert pickle.loads(pickled) is shared


@given(st.binary() | st.binary().map(bytearray))
@settings(max_examples=50)
def test_bytes_are_got_as_a_view(data):
    view = poolwise.share(data).get()
    assert isinstance(view, memoryview)
    assert view == data
    assert view.readonly


def test_other_views_keep_their_format_and_shape():
    table = memoryview(array.array("d", range(12))).cast("B").cast("d", (3, 4))
    got = poolwise.share(table).get()
    assert (got.format, got.shape, got.tolist()) == ("d", (3, 4), table.tolist())
    every_second = memoryview(b"abcdef")[::2]
    assert poolwise.share(every_second).get().tobytes() == b"ace"


def test_arrays_in_containers_lie_in_shared_memory():
    shared = poolwise.share({"a": np.arange(1000), "b": [np.ones((2, 3), order="F")]})
    got = shared.get()
    assert is_shared(got["a"])
    assert is_shared(got["b"][0])
    assert not got["a"].flags.writeable
    assert shared.nbytes >= 8048


def test_an_object_is_built_once_in_a_process():
    shared = poolwise.share(Model(10))
    same = pickle.loads(pickle.dumps(shared))
    assert same.get() is shared.get()
    assert same.get() is same.get()


def predict(shared, x):
    return shared.get().predict(x)


def test_own_classes():
    assert in_child(predict, poolwise.share(Model(5)), 2) == 20.0


def set_first(shared, value):
    shared.get()["a"][0] = value
    return shared.get()["a"][0]


@pytest.mark.parametrize(
    ("mode", "here"), [("read-write", 7.0), ("copy-on-write", 0.0)], ids=["rw", "cow"]
)
def test_who_sees_what_a_process_writes(mode, here):
    shared = poolwise.share({"a": np.zeros(3)}, mode)
    assert in_child(set_first, shared, 7.0) == 7.0
    assert shared.get()["a"][0] == here


def test_read_only_is_the_default():
    with pytest.raises(ValueError, match="read-only"):
        in_child(set_first, poolwise.share({"a": np.zeros(3)}), 7.0)


def test_what_is_shared_already_goes_by_value():
    array = poolwise.share(np.arange(3), "read-write")
    nested = poolwise.share({"array": array, "object": poolwise.share([1, 2])})
    array[0] = 99
    array.close()
    got = in_child(get, nested)
    assert got["array"].tolist() == [0, 1, 2]
    assert nested.get()["object"].get() == [1, 2]


def get(shared):
    return {**shared.get(), "object": None}


def test_lambdas_are_objects_too():
    assert poolwise.share({"f": lambda x: x + 1}).get()["f"](2) == 3


def test_what_cannot_be_pickled_is_refused_when_it_is_shared():
    before = held_by()
    with pytest.raises(TypeError, match="pickle"):
        poolwise.share([sys.stdin, (x for x in "generator")])
    assert held_by() == before


def test_a_handle_says_what_it_is():
    shared = poolwise.share(b"1234", "copy-on-write")
    assert repr(shared) == f"<poolwise.Shared {shared.nbytes} bytes, copy-on-write>"


# --- tables -------------------------------------------------------------------------------------


def sum_column(shared):
    frame = shared.get()
    return float(frame["x"].sum()), list(frame.columns)


def test_pandas_frames():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"x": np.arange(1000.0), "s": ["a", "b"] * 500})
    shared = poolwise.share(frame)
    assert in_child(sum_column, shared) == (499500.0, ["x", "s"])
    assert is_shared(shared.get()["x"].to_numpy())
    pandas.testing.assert_frame_equal(shared.get(), frame)


def test_polars_frames():
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = polars.DataFrame({"x": np.arange(1000.0), "s": ["a", "b"] * 500})
    shared = poolwise.share(frame)
    assert in_child(sum_column, shared) == (499500.0, ["x", "s"])
    assert shared.get().equals(frame)


def test_arrow_tables():
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    table = arrow.table({"x": np.arange(1000.0), "s": ["a", "b"] * 500})
    shared = poolwise.share(table)
    assert shared.get().equals(table)
    assert is_shared(shared.get()["x"].chunk(0).to_numpy())


# --- without numpy ------------------------------------------------------------------------------

WITHOUT_NUMPY = """
    import sys
    sys.modules["numpy"] = None
    import poolwise

    def count(shared):
        return bytes(shared.get()).count(b"a"), poolwise.state["text"]

    if __name__ == "__main__":
        data = poolwise.share(b"banana" * 1000)
        with poolwise.Pool(2, context={method!r}, state={{"text": "ok"}}) as pool:
            print(pool.map(count, [data] * 3))
        try:
            poolwise.zeros(3)
        except ImportError as error:
            print("ImportError")
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_bytes_are_shared_without_numpy(method, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(textwrap.dedent(WITHOUT_NUMPY).format(method=method))
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert run.stderr == ""
    assert run.stdout.splitlines() == [str([(3000, "ok")] * 3), "ImportError"]
