from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwise.report.blocks import Span
from poolwise.report.raster import NOTHING, mix_cells, split_cells

LENGTHS = st.lists(st.tuples(st.floats(0.001, 3.0), st.integers(-1, 3)), min_size=1, max_size=60)


def lay_end_to_end(lengths):
    """Spans of these lengths and states, one after the other; state -1 is a hole."""
    now, spans = 0.0, []
    for length, state in lengths:
        if state != NOTHING:
            spans.append(Span(0, now, now + length, state))
        now += length
    return spans, now


@given(LENGTHS, st.integers(1, 200))
def test_cells_of_a_state_sum_to_its_time(lengths, cells):
    spans, end = lay_end_to_end(lengths)
    shown = Counter(mix_cells(spans, 0.0, end, cells))
    width = end / cells
    for state in {NOTHING, *range(4)}:
        time = sum(length for length, own in lengths if own == state)
        assert abs(shown[state] * width - time) <= 4 * width + 1e-6


def test_spans_as_long_as_cells_are_shown_as_they_are():
    spans = [Span(0, at * 1.0, at + 1.0, at % 3) for at in range(12)]
    assert mix_cells(spans, 0.0, 12.0, 12) == [0, 1, 2] * 4


def test_what_takes_two_fifths_of_every_cell_is_seen():
    spans = []
    for at in range(1000):
        spans += [Span(0, at + 0.0, at + 0.6, 0), Span(0, at + 0.6, at + 1.0, 1)]
    shown = mix_cells(spans, 0.0, 1000.0, 100)
    assert shown.count(1) == pytest.approx(40, abs=1)


def test_rare_short_span_is_not_lost_where_it_is_owed_most():
    spans = [Span(0, 0.0, 5.0, 0), Span(0, 5.0, 6.0, 1), Span(0, 6.0, 10.0, 0)]
    assert mix_cells(spans, 0.0, 10.0, 10).count(1) == 1


def test_window_shows_only_what_is_in_it():
    spans = [Span(0, 0.0, 5.0, 0), Span(0, 5.0, 10.0, 1)]
    assert mix_cells(spans, 6.0, 8.0, 4) == [1] * 4
    assert mix_cells(spans, 20.0, 22.0, 4) == [NOTHING] * 4
    assert mix_cells([], 0.0, 0.0, 3) == [NOTHING] * 3


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.integers(1, 200))
def test_split_cells_gives_out_all_of_them(values, cells):
    whole = sum(values)
    given_out = split_cells(values, whole, cells)
    assert sum(given_out) == (cells if whole else 0)
    for got, value in zip(given_out, values, strict=True):
        assert not whole or abs(got - value / whole * cells) < 1
