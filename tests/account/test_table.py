"""Rows of whole numbers, kept in one array."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from poolwise.account.table import Table

numbers = st.integers(-(2**63), 2**63 - 1)


@given(st.integers(1, 5).flatmap(lambda width: st.lists(st.tuples(*[numbers] * width))))
def test_rows_are_read_as_they_were_written(rows):
    table = Table(rows)
    assert len(table) == len(rows)
    assert [tuple(row) for row in table] == rows
    assert [tuple(row) for row in Table(table)] == rows


def test_a_row_may_follow():
    table = Table([])
    assert list(table) == []
    table.append((1, 2))
    assert [tuple(row) for row in table] == [(1, 2)]
