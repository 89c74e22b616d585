"""A library that a pool has never heard of: one entry, and it is treated as numpy is."""

from __future__ import annotations

import importlib
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import poolwise
from poolwise.core.job import Fed
from poolwise.doors.rows import as_sequence
from poolwise.payloads import registry
from poolwise.wire import reducers
from poolwise.wire.pickling import pack
from poolwise.wire.snapshots import fix

LIBRARIES = Path(__file__).parent / "libraries"
BIG = 300_000


def register():
    """The line that such a library takes in `registry.ENTRIES`."""
    registry.ENTRIES["fakecupy"] = "tests.payloads.entry_of_fakecupy"
    importlib.import_module("fakecupy")


@pytest.fixture
def fakecupy(monkeypatch):
    monkeypatch.syspath_prepend(LIBRARIES)
    monkeypatch.setattr(registry, "ENTRIES", dict(registry.ENTRIES))
    register()
    yield sys.modules["fakecupy"]
    del sys.modules["fakecupy"]
    reducers.find()  # as without it


@pytest.fixture(params=["fork", "spawn"])
def pool(request, fakecupy):  # noqa: ARG001 - has to be there first
    with poolwise.Pool(2, register, context=request.param) as pool:
        yield pool


def first(array):
    return array[0]


def with_first(array, value):
    array[0] = value
    return array


def double(value):
    return 2 * value


def refilled(array, count):
    for n in range(count):
        array[0] = n
        yield array


def test_without_an_entry_it_cannot_travel(fakecupy, monkeypatch):
    monkeypatch.delitem(registry.ENTRIES, "fakecupy")
    with pytest.raises(TypeError, match="device memory"):
        pack((fakecupy.ndarray(b"ab"),))


def test_its_memory_travels_beside_the_pickle(fakecupy):
    array = fakecupy.ndarray(bytes(BIG))
    packed = pack((array,))
    assert [len(buffer) for buffer in packed.buffers] == [BIG]
    assert sum(map(len, packed.pieces)) < 1000
    assert len(packed) > BIG  # what chunks are sized by


@pytest.mark.parametrize("size", [3, BIG])
def test_arguments_and_results(pool, fakecupy, size):
    arrays = [fakecupy.ndarray([n] * size) for n in range(8)]
    assert pool.map(first, arrays) == list(range(8))
    given = [(array, 100) for array in arrays]
    changed = [fakecupy.ndarray([100] + [n] * (size - 1)) for n in range(8)]
    assert pool.starmap(with_first, given) == changed
    assert pool.map(first, arrays) == list(range(8))
    assert pool.map(partial(with_first, arrays[3]), range(3))[2][1] == 3


def test_a_map_of_it_cuts_it_into_slices(pool, fakecupy):
    array = fakecupy.ndarray(range(100))
    assert as_sequence(array) is array
    assert pool.map(double, array, chunksize=7) == [2 * n for n in range(100)]


@pytest.mark.parametrize("size", [3, BIG])
def test_each_task_sees_it_as_it_was_when_handed_in(pool, fakecupy, size):
    array = fakecupy.ndarray(bytes(size))
    assert list(pool.imap(first, refilled(array, 100))) == list(range(100))
    array[0] = 1
    result = pool.apply_async(first, (array,))
    array[0] = 2
    assert result.get() == 1


def test_a_list_that_is_handed_in_as_an_array_is_copied(pool, fakecupy):
    array = fakecupy.ndarray(range(100))
    result = pool.map_async(double, array, chunksize=1)
    array[:] = bytes(100)
    assert result.get() == [2 * n for n in range(100)]


def test_what_waits_is_weighed(fakecupy):
    fed = Fed(1, fix)
    fed.read(iter([fakecupy.ndarray(bytes(BIG)) for _ in range(20)]), 20, lambda: None)
    assert len(fed.items) == 4  # then a batch is heavier than it should be
    assert fed.waiting_bytes > 4 * BIG


def test_it_can_be_shared(pool, fakecupy):
    with poolwise.share(fakecupy.ndarray(bytes([7] * BIG))) as shared:
        assert pool.map(first_of_shared, [shared] * 3) == [7] * 3


def first_of_shared(shared):
    return shared.get()[0]


LOADED = """
import sys
from poolwise import Pool
from poolwise.wire import reducers
def entries():
    reducers.find()
    return [name for name in sys.modules if name.startswith("poolwise.payloads.")]
print(entries())
import numpy
print(sorted(entries()))
"""


def test_entries_are_loaded_with_their_libraries():
    pytest.importorskip("numpy")
    run = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "['poolwise.payloads.registry']",
        "['poolwise.payloads.numpy', 'poolwise.payloads.registry']",
    ]
