"""pandas' apply and map in workers: the same values, index and dtypes as pandas by itself."""

from __future__ import annotations

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import poolwise

pd = pytest.importorskip("pandas")
np = pytest.importorskip("numpy")

from poolwise.integrations.pandas import apply, group_apply, map_values  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _pool():
    with poolwise.Pool(2) as pool:
        OPTIONS.update(kind="processes", pool=pool)
        yield


OPTIONS: dict = {}

frames = st.builds(
    lambda rows, index: pd.DataFrame(
        {
            "key": pd.Series([row[0] for row in rows], dtype=object),
            "kind": pd.Categorical([row[1] for row in rows], categories=["a", "b", "c"]),
            "number": pd.Series([row[2] for row in rows], dtype="int64"),
            "share": pd.Series([row[3] for row in rows], dtype="float64"),
            "day": pd.to_datetime(pd.Series([row[4] for row in rows], dtype="int64"), unit="D"),
        }
    ).set_axis(pd.Index([index + 2 * at for at in range(len(rows))]), axis=0),
    st.lists(
        st.tuples(
            st.sampled_from(["x", "y", "z", None]),
            st.sampled_from(["a", "b"]),
            st.integers(-5, 5),
            st.floats(-1, 1) | st.just(float("nan")),
            st.integers(0, 9),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 3),
)


def same(expected, made):
    assert type(made) is type(expected)
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(made, expected)
    elif isinstance(expected, pd.Series):
        pd.testing.assert_series_equal(made, expected)
    else:
        assert made == expected


def both(plain, made):
    """Both do the same: value or error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = plain()
        except Exception as error:
            with pytest.raises(type(error)):
                made()
        else:
            same(expected, made())


def as_sum(group):
    return group["number"].sum()


def as_name(group):
    return group.name


def as_row(group):
    return pd.Series({"n": len(group), "mean": group["share"].mean()})


def as_frame(group):
    return group.assign(centred=group["share"] - group["share"].mean())


def as_part(group):
    return group[group["number"] > 0]


def as_nothing(group):
    return None if group["number"].sum() > 0 else len(group)


def as_list(group):
    return group["number"].tolist()


@given(
    frame=frames,
    function=st.sampled_from([as_sum, as_name, as_row, as_frame, as_part, as_nothing, as_list]),
    by=st.sampled_from(["key", "kind", ["key", "kind"]]),
    rules=st.fixed_dictionaries(
        {},
        optional={
            "sort": st.booleans(),
            "dropna": st.booleans(),
            "as_index": st.booleans(),
            "group_keys": st.booleans(),
            "observed": st.booleans(),
        },
    ),
)
@settings(max_examples=40)
def test_groups_of_frames(frame, function, by, rules):
    both(
        lambda: frame.groupby(by, **rules).apply(function),
        lambda: group_apply(frame.groupby(by, **rules), function, options=OPTIONS),
    )


@given(frame=frames, function=st.sampled_from([len, as_name, "sum", list]))
@settings(max_examples=30)
def test_groups_of_series(frame, function):
    grouped = frame.groupby("key")["number"]
    both(lambda: grouped.apply(function), lambda: group_apply(grouped, function, options=OPTIONS))


def row_sum(row):
    return row["number"] + row["share"]


def row_text(row):
    return f"{row.name}: {row['key']}"


def row_row(row):
    return pd.Series({"n": row["number"], "key": row["key"]})


def row_list(row):
    return [row["number"], row["share"]]


def row_some(row):
    return row["day"] if row["number"] > 0 else None


@given(
    frame=frames,
    function=st.sampled_from([row_sum, row_text, row_row, row_list, row_some]),
    result_type=st.sampled_from([None, "expand", "reduce", "broadcast"]),
)
@settings(max_examples=40)
def test_rows(frame, function, result_type):
    both(
        lambda: frame.apply(function, axis=1, result_type=result_type),
        lambda: apply(frame, function, axis=1, result_type=result_type, options=OPTIONS),
    )


def column_max(column):
    return column.max()


def column_name(column):
    return column.name


def column_rank(column):
    return column.rank()


@given(frame=frames, raw=st.booleans(), axis=st.sampled_from([0, 1]))
@settings(max_examples=30)
def test_columns_and_raw_rows(frame, raw, axis):
    numbers = frame[["number", "share"]]
    functions = (np.sum, np.sort) if raw else (column_max, column_name, column_rank)
    for function in functions:
        both(
            lambda: numbers.apply(function, axis=axis, raw=raw),  # noqa: B023
            lambda: apply(numbers, function, axis=axis, raw=raw, options=OPTIONS),  # noqa: B023
        )


def half(value):
    return value / 2


def text(value):
    return f"<{value}>"


def kind(value):
    return type(value).__name__


def some(value):
    return None if value == value else 1  # noqa: PLR0124 - true of all but nan


@given(
    frame=frames,
    column=st.sampled_from(["key", "kind", "number", "share", "day"]),
    function=st.sampled_from([half, text, kind, some, np.sqrt, {"x": 1}]),
    na_action=st.sampled_from([None, "ignore"]),
)
@settings(max_examples=40)
def test_values(frame, column, function, na_action):
    series = frame[column]
    both(
        lambda: series.map(function, na_action),
        lambda: map_values(series, function, na_action, options=OPTIONS),
    )
    if callable(function):
        both(lambda: series.apply(function), lambda: apply(series, function, options=OPTIONS))


# -- arguments, errors, choice


def scaled(group, factor, *, shift=0):
    return group["number"].sum() * factor + shift


def test_arguments_reach_the_function():
    frame = pd.DataFrame({"key": [1, 1, 2], "number": [1, 2, 3]})
    made = group_apply(frame.groupby("key"), scaled, 10, shift=1, options=OPTIONS)
    same(frame.groupby("key").apply(scaled, 10, shift=1, **QUIET), made)
    rows = apply(frame, lambda row, factor: row["number"] * factor, axis=1, args=(3,))
    assert rows.tolist() == [3, 6, 9]


QUIET = {"include_groups": False} if pd.__version__.startswith("2.") else {}


@pytest.mark.skipif(pd.__version__ >= "4", reason="include_groups may be gone")
def test_include_groups():
    frame = pd.DataFrame({"key": [1, 1, 2], "number": [1, 2, 3]})
    made = group_apply(frame.groupby("key"), list, include_groups=False, options=OPTIONS)
    same(frame.groupby("key").apply(list, include_groups=False), made)


def divide(value):
    return 1 / (value["number"] if hasattr(value, "columns") or hasattr(value, "index") else value)


def fail_on(value, bad):
    if bad in list(value):
        raise ValueError(bad)


def notes_of(call):
    with pytest.raises((ValueError, ZeroDivisionError)) as caught:
        call()
    return caught.value.__notes__


def test_errors_name_the_place():
    frame = pd.DataFrame({"key": list("xxy"), "number": [2, 1, 0]}, index=["one", "two", "three"])
    groups = frame.groupby("key")["number"]
    assert notes_of(lambda: group_apply(groups, fail_on, 0, options=OPTIONS)) == [
        "in the group 'y'"
    ]
    row = ["in the row 'three'"]
    assert notes_of(lambda: apply(frame, fail_on, 1, args=(0,), options=OPTIONS)) == row
    numbers = frame["number"]
    assert notes_of(lambda: map_values(numbers, divide, options=OPTIONS)) == row
    missing = pd.Series([1, None, 0], index=["one", "two", "three"])
    assert notes_of(lambda: map_values(missing, lambda v: 1 // int(v), "ignore")) == row
    column = ["in the column 'number'"]
    assert notes_of(lambda: apply(frame, fail_on, args=(0,), options=OPTIONS)) == column


def test_each_value_is_handed_over_once(tmp_path):
    def note(value):
        with (tmp_path / "seen").open("a") as file:
            file.write(f"{value}\n")
        return value

    series = pd.Series(range(100))
    assert map_values(series, note, options=OPTIONS).equals(series)
    seen = sorted(map(int, (tmp_path / "seen").read_text().split()))
    assert seen == list(range(100))


def test_what_is_cheap_is_done_without_workers():
    assert apply(pd.Series(range(10)), str).tolist() == [str(i) for i in range(10)]


def test_nothing_in_gives_what_pandas_gives():
    empty = pd.DataFrame({"key": [], "number": []})
    same(empty.apply(len, axis=1), apply(empty, len, axis=1, options=OPTIONS))
    same(empty["key"].map(len), map_values(empty["key"], len, options=OPTIONS))
