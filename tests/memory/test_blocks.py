"""Bookkeeping of an arena: blocks never overlap, and memory that is not wanted is handed back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from poolwise.memory.blocks import KEPT_BYTES, Blocks, NoSuchBlock, block_size

GRAIN = 64
LIMIT = 64 * GRAIN


@given(st.integers(0, 1 << 40))
def test_a_block_is_little_longer_than_what_it_is_for(length):
    size = block_size(length, GRAIN)
    assert size % GRAIN == 0
    assert length <= size <= max(length * 9 / 8 + GRAIN, GRAIN)


def test_the_block_used_last_is_lent_first():
    blocks = Blocks(LIMIT, GRAIN)
    first, _ = blocks.take(10)
    second, _ = blocks.take(10)
    blocks.give_back(first)
    blocks.give_back(second)
    assert blocks.take(10) == (second, False)
    assert blocks.take(10) == (first, False)


def test_used_memory_is_preferred_to_fresh_up_to_twice_the_size():
    blocks = Blocks(LIMIT, GRAIN)
    large, _ = blocks.take(4 * GRAIN)
    blocks.give_back(large)
    assert blocks.take(2 * GRAIN) == (large, False)
    blocks.give_back(large)
    assert blocks.take(GRAIN)[1] is True


def test_neighbours_are_joined_when_nothing_else_is_left():
    blocks = Blocks(LIMIT, GRAIN)
    for offset, _ in [blocks.take(GRAIN) for _ in range(64)]:
        blocks.give_back(offset)
    assert blocks.take(LIMIT) == (0, True)


def test_a_block_given_back_twice_is_refused():
    blocks = Blocks(LIMIT, GRAIN)
    offset, _ = blocks.take(1)
    blocks.give_back(offset)
    with pytest.raises(NoSuchBlock):
        blocks.give_back(offset)


def test_a_block_that_could_not_be_filled_is_forgotten():
    blocks = Blocks(LIMIT, GRAIN)
    offset, _ = blocks.take(GRAIN)
    blocks.forget(offset)
    assert (blocks.lent_bytes, blocks.reserved_bytes) == (0, 0)
    assert blocks.take(GRAIN) == (offset, True)


def test_what_is_idle_for_long_goes_by_halves_and_a_part_is_kept():
    blocks = Blocks(16 * KEPT_BYTES, GRAIN)
    held = [blocks.take(KEPT_BYTES // 4)[0] for _ in range(32)]
    for offset in held:
        blocks.give_back(offset)
    blocks.trim()
    blocks.trim()
    sizes = []
    for _ in range(6):
        blocks.trim()
        sizes.append(blocks.reserved_bytes)
    assert sizes == sorted(sizes, reverse=True)
    assert KEPT_BYTES <= sizes[-1] < 2 * KEPT_BYTES


class Lending(RuleBasedStateMachine):
    """Blocks beside a list of what is lent."""

    def __init__(self):
        super().__init__()
        self.blocks = Blocks(LIMIT, GRAIN)
        self.lent: dict[int, int] = {}

    @rule(length=st.integers(1, LIMIT + GRAIN))
    def take(self, length):
        taken = self.blocks.take(length)
        if taken is not None:
            self.lent[taken[0]] = length

    @precondition(lambda self: self.lent)
    @rule(data=st.data())
    def give_back(self, data):
        offset = data.draw(st.sampled_from(sorted(self.lent)))
        del self.lent[offset]
        self.blocks.give_back(offset)

    @precondition(lambda self: self.lent)
    @rule()
    def forget(self):
        offset, _ = self.lent.popitem()
        self.blocks.forget(offset)

    @rule()
    def trim(self):
        self.blocks.trim()

    @invariant()
    def blocks_do_not_overlap(self):
        spans = sorted((offset, offset + length) for offset, length in self.lent.items())
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
        assert all(start >= 0 and end <= LIMIT for start, end in spans)

    @invariant()
    def accounts_agree(self):
        assert len(self.blocks) == len(self.lent)
        assert sum(self.lent.values()) <= self.blocks.lent_bytes <= self.blocks.reserved_bytes
        assert self.blocks.reserved_bytes <= LIMIT

    @invariant()
    def everything_can_be_had_when_nothing_is_lent(self):
        if not self.lent:
            assert self.blocks.take(LIMIT) is not None
            self.blocks.give_back(0)


TestLending = Lending.TestCase
TestLending.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
