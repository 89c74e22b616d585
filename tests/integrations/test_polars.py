"""polars' map_groups and map_elements in workers: the same frames and series."""

from __future__ import annotations

import pytest

import poolwise

pl = pytest.importorskip("polars")

from poolwise.integrations.polars import map_elements, map_groups  # noqa: E402


@pytest.fixture(scope="module")
def pool():
    with poolwise.Pool(2, context="forkserver") as pool:
        yield pool


FRAME = pl.DataFrame({"key": ["x", "y", "x", "z"], "number": [1, 2, 3, 4]})


def total(group, factor=1):
    return group.select(pl.col("key").first(), pl.col("number").sum() * factor)


def test_groups(pool):
    grouped = FRAME.group_by("key", maintain_order=True)
    assert map_groups(grouped, total, pool=pool).equals(grouped.map_groups(total))
    assert map_groups(grouped, total, 3, pool=pool)["number"].to_list() == [12, 6, 12]


def fail(group):
    raise ValueError(len(group))


def test_the_group_is_named(pool):
    with pytest.raises(ValueError, match="2") as caught:
        map_groups(FRAME.group_by("key", maintain_order=True), fail, pool=pool)
    assert caught.value.__notes__ == ["in the group ('x',)"]


def text(value):
    return f"<{value}>"


def whole(value):
    return 12 // value


@pytest.mark.parametrize("skip_nulls", [True, False])
def test_elements(pool, skip_nulls):
    series = pl.Series("n", [1, None, 3] * 50)
    made = map_elements(series, text, pl.String, skip_nulls=skip_nulls, pool=pool)
    expected = series.map_elements(text, pl.String, skip_nulls=skip_nulls)
    assert made.equals(expected, check_names=True)


def test_the_row_is_named(pool):
    with pytest.raises(ZeroDivisionError) as caught:
        map_elements(pl.Series([3, None, 0]), whole, pl.Int64, pool=pool)
    assert caught.value.__notes__ == ["in the row 2"]
    assert map_elements(pl.Series([], dtype=pl.Int64), whole, pl.Int64, pool=pool).len() == 0


def test_a_pool_of_its_own():
    series = pl.Series([3, 4])
    assert map_elements(series, whole, pl.Int64).to_list() == [4, 3]
