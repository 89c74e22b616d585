"""How many items travel together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwise.core.batching import ChunkLimits, ChunkSizer, should_give_back

US, MS = 1_000, 1_000_000


def make_sizer(lanes=2, *, item_ns=None, known=10**6, unit=1, **limits):
    """A sizer that knows what an item costs, from many, if ``item_ns`` says so."""
    sizer = ChunkSizer(lanes, unit=unit, limits=ChunkLimits(**limits))
    if item_ns is not None:
        sizer.observe(known, known * item_ns)
    return sizer


def deal_out(sizer, items, lanes, item_ns):
    """The sizes of a whole map, each chunk answered for before the next is dealt."""
    sizes, left = [], items
    while left:
        size = min(left, sizer.size(left, lanes))
        sizer.observe(size, size * item_ns)
        sizes.append(size)
        left -= size
    return sizes


def test_nothing_known_is_one_item():
    assert make_sizer().size(10_000, 2) == 1


def test_each_lane_gets_half_an_even_share_then_half_of_the_rest():
    sizer = make_sizer(4, item_ns=MS, least_ns=0, parent_ns=0, most_ns=10**12)
    assert deal_out(sizer, 1600, 4, MS)[:12] == [200] * 4 + [100] * 4 + [50] * 4


@pytest.mark.parametrize("lanes", [1, 2, 8, 64])
def test_the_end_is_no_long_tail_of_ever_smaller_chunks(lanes):
    sizes = deal_out(make_sizer(lanes, item_ns=20 * US), 200_000, lanes, 20 * US)
    assert sizes == sorted(sizes, reverse=True)
    floor_items = max(600, lanes * 140) / 20
    assert sum(size < floor_items for size in sizes) <= 2 * lanes


def test_sizes_grow_with_what_is_known():
    sizer = make_sizer(2)
    sizes = []
    for _ in range(4):
        sizes.append(sizer.size(10**6, 2))
        sizer.observe(sizes[-1], sizes[-1] * US)
    assert sizes == [1, 4, 20, 100]


@given(st.integers(1, 10**6), st.integers(1, 64), st.integers(1, 10**9), st.integers(1, 10**4))
def test_a_chunk_is_at_least_one_item_and_not_longer_than_the_limit(left, lanes, item_ns, known):
    sizer = make_sizer(lanes, item_ns=item_ns, known=known)
    size = sizer.size(left, lanes)
    assert 1 <= size <= max(1, left)
    assert size == 1 or (size - 1) * item_ns <= ChunkLimits().most_ns


@given(st.integers(2, 64), st.integers(1, 1000 * US))
def test_a_chunk_lasts_long_enough_for_the_parent_to_serve_all_lanes(lanes, item_ns):
    limits = ChunkLimits()
    sizer = make_sizer(lanes, item_ns=item_ns, known=10**9)
    longest_ns = min(lanes * limits.parent_ns / limits.parent_share, limits.most_ns)
    assert sizer.size(10**9, lanes) * item_ns >= longest_ns


def test_no_chunk_takes_more_than_an_even_share():
    assert make_sizer(4, item_ns=1).size(100, 4) == 25


def test_few_cheap_items_do_not_vouch_for_all_the_rest():
    sizer = make_sizer(64, item_ns=10, known=64)
    assert sizer.size(12_800, 64) == 100  # half an even share, as if the floor were not


def test_big_messages_are_cut():
    sizer = ChunkSizer(2)
    sizer.observe(1000, 1000 * US, nbytes=1000 * 100_000)
    assert sizer.size(10**6, 2) == 11


def test_a_stream_of_unknown_length_is_cut_by_time_alone():
    assert make_sizer(2, item_ns=MS).size(None, 2) == 40


def test_the_larger_of_the_recent_and_the_overall_cost_counts():
    sizer = make_sizer(2, item_ns=US, known=1000)
    for _ in range(8):
        sizer.observe(10, 10 * MS)
    assert sizer.item_ns > 50 * US
    for _ in range(30):
        sizer.observe(1000, 1000 * US)
    assert sizer.item_ns == pytest.approx(4 * US, rel=0.3)


@given(st.integers(1, 1000), st.integers(1, 10**5), st.integers(1, 10**7))
def test_an_explicit_chunksize_is_the_unit(unit, left, item_ns):
    assert make_sizer(2, item_ns=item_ns, unit=unit).size(left, 2) % unit == 0


def test_a_lane_is_fed_ahead_only_while_its_work_is_short():
    sizer = make_sizer(2, item_ns=100 * US)
    assert sizer.wants_another(5, 0)
    assert not sizer.wants_another(50, 0)
    assert sizer.wants_another(50, 4_500 * US)
    assert not make_sizer(2).wants_another(1, 10**9)


@pytest.mark.parametrize(
    ("running_ns", "left", "item_ns", "is_asked"),
    [
        (0, 0, MS, False),  # nothing to give
        (10**12, 0, MS, False),
        (0, 3, MS, False),  # too little to give
        (0, 100, MS, True),
        (99 * MS, 100, MS, True),  # should have been done: nobody knows how long it takes
        (60 * MS, 3, MS, True),
        (0, 5, None, False),
        (60 * MS, 5, None, True),
    ],
)
def test_a_lane_is_asked_back_when_it_is_worth_the_messages(running_ns, left, item_ns, is_asked):
    assert should_give_back(running_ns, left, item_ns) == is_asked
