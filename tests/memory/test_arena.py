"""An arena against a model: what was put down is seen, and never overwritten while seen."""

from __future__ import annotations

import gc
import pickle
import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from poolwise.errors import OutOfSharedMemory
from poolwise.memory.arena import Arena, ArenaReader
from poolwise.memory.segment import Segment
from poolwise.wire.payload import NO_BLOCK, Payload

np = pytest.importorskip("numpy")

PAGE = 4096
LIMIT = 64 * PAGE


def open_both(limit=LIMIT):
    segment = Segment.create(limit, findable=False)
    borrowed = segment.duplicate()
    return Arena(segment), ArenaReader(borrowed)


def put(arena, data):
    return arena.put(memoryview(data))


@pytest.fixture
def ends():
    arena, reader = open_both()
    yield arena, reader
    arena.close()
    reader.close()


# --- lending ------------------------------------------------------------------------------------


def test_what_was_put_down_is_seen(ends):
    arena, reader = ends
    assert bytes(reader.view(put(arena, b"abc" * 5000), 15000)) == b"abc" * 5000


def test_a_view_is_writable_and_of_bytes(ends):
    arena, reader = ends
    view = reader.view(put(arena, bytes(10)), 10)
    view[0] = 7
    assert (view.format, view.readonly, view.nbytes, view[0]) == ("B", False, 10, 7)


DESCENDANTS = {
    "itself": lambda view: view,
    "a slice": lambda view: view[5:10],
    "a cast": lambda view: view.cast("d"),
    "an array": lambda view: np.frombuffer(view, "f8"),
    "a slice of an array": lambda view: np.frombuffer(view, "f8")[3:4],
    "a transposed array": lambda view: np.frombuffer(view, "f8").reshape(8, -1).T[1:, ::2],
    "another type": lambda view: np.frombuffer(view, "f8").view("i4"),
    "a memoryview of an array": lambda view: memoryview(np.frombuffer(view, "f8"))[1:],
    "a pickle's buffer": lambda view: pickle.PickleBuffer(np.frombuffer(view, "f8")[2:]),
    "an iterator": lambda view: iter(np.frombuffer(view, "f8")),
}


@pytest.mark.parametrize("descend", DESCENDANTS.values(), ids=DESCENDANTS)
def test_a_block_comes_back_when_the_last_of_its_descendants_dies(ends, descend):
    arena, reader = ends
    offset = put(arena, bytes(8 * PAGE))
    view = reader.view(offset, 8 * PAGE)
    descendant = descend(view)
    del view
    gc.collect()
    assert reader.take_freed() == []
    del descendant
    gc.collect()
    assert reader.take_freed() == [offset]


def test_views_outlive_both_ends():
    arena, reader = open_both()
    view = reader.view(put(arena, b"seven"), 5)
    arena.close()
    reader.close()
    assert bytes(view) == b"seven"


def test_a_full_arena_says_so_and_recovers(ends):
    arena, _ = ends
    offset = put(arena, bytes(LIMIT))
    assert put(arena, b"x") == NO_BLOCK
    arena.take_back([offset])
    assert put(arena, b"x") != NO_BLOCK


def test_a_limit_that_refuses_is_remembered_and_costs_nothing(ends, monkeypatch):
    arena, _ = ends

    def refuse(*_):
        message = "the limit of 1 byte in /here"
        raise OutOfSharedMemory(message)

    monkeypatch.setattr(Segment, "write", refuse)
    assert put(arena, bytes(PAGE)) == NO_BLOCK
    assert "the limit of 1 byte in /here" in str(arena.refusal)
    assert arena.lent_bytes == 0
    monkeypatch.undo()
    assert put(arena, bytes(PAGE)) != NO_BLOCK


# --- for several --------------------------------------------------------------------------------


def test_each_look_at_a_share_is_as_if_alone(ends):
    arena, reader = ends
    share = reader.share(put(arena, b"a" * PAGE), PAGE)
    first = share.view()
    first[:] = b"b" * PAGE
    second = share.view()
    assert bytes(second) == b"a" * PAGE
    assert bytes(first) == b"b" * PAGE


def test_a_look_that_is_over_leaves_no_trace_in_the_next(ends):
    arena, reader = ends
    share = reader.share(put(arena, b"a" * PAGE), PAGE)
    for _ in range(3):
        view = share.view()
        assert bytes(view) == b"a" * PAGE
        view[:] = b"b" * PAGE
        del view


def test_a_share_is_freed_once_when_it_and_all_looks_are_gone(ends):
    arena, reader = ends
    offset = put(arena, bytes(PAGE))
    share = reader.share(offset, PAGE)
    looks = [share.view(), share.view()]
    del share
    looks.pop()
    assert reader.take_freed() == []
    looks.pop()
    assert reader.take_freed() == [offset]


def test_a_deposit_keeps_its_blocks_until_the_last_holder_gives_them_back(ends):
    arena, _ = ends
    deposit = arena.deposit(Payload([b"p"], [memoryview(bytes(100_000))]))
    (offset,) = [place for place in deposit.places if place != NO_BLOCK]
    arena.hold([offset, offset])
    del deposit
    arena.place([])
    assert arena.lent_bytes >= 100_000
    arena.take_back([offset])
    assert arena.lent_bytes >= 100_000
    arena.take_back([offset])
    assert arena.lent_bytes == 0


def test_a_deposit_without_room_is_a_copy():
    arena, reader = open_both(PAGE)
    data = bytearray(b"a" * 100_000)
    deposit = arena.deposit(Payload([b"p"], [memoryview(data)]))
    data[:] = b"b" * 100_000
    assert deposit.places == [NO_BLOCK, NO_BLOCK]
    assert bytes(deposit.buffers[0]) == b"a" * 100_000
    arena.close()
    reader.close()


# --- the model ----------------------------------------------------------------------------------


class Lending(RuleBasedStateMachine):
    """An arena in use: views are kept, sliced and dropped in any order, and never overwritten."""

    def __init__(self):
        super().__init__()
        self.arena, self.reader = open_both()
        self.seen: list[tuple[memoryview, bytes]] = []
        self.number = 0

    def teardown(self):
        self.check()
        self.seen.clear()
        self.take_back()
        assert self.arena.lent_bytes == 0
        self.arena.close()
        self.reader.close()

    @rule(length=st.integers(1, 20 * PAGE), cut=st.integers(0, 100))
    def send(self, length, cut):
        self.number += 1
        data = bytes([self.number % 256]) * length
        offset = put(self.arena, data)
        if offset != NO_BLOCK:
            self.seen.append((self.reader.view(offset, length)[cut:], data[cut:]))

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def drop(self, data):
        self.seen.pop(data.draw(st.integers(0, len(self.seen) - 1)))

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), value=st.integers(0, 255))
    def write(self, data, value):
        at = data.draw(st.integers(0, len(self.seen) - 1))
        view, content = self.seen[at]
        view[:] = bytes([value]) * len(content)
        self.seen[at] = (view, bytes([value]) * len(content))

    @rule()
    def take_back(self):
        self.arena.take_back(self.reader.take_freed())

    @rule()
    def check(self):
        assert all(bytes(view) == content for view, content in self.seen)


TestLending = Lending.TestCase
TestLending.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_process_lets_go_of_what_it_cannot_use():
    import os

    arena, reader = open_both()
    put(arena, bytes(PAGE))
    fd = arena.segment.fd
    pid = os.fork()
    if not pid:
        try:
            os.fstat(fd)
        except OSError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    arena.close()
    reader.close()
