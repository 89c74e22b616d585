"""polars' ``map_groups`` and ``map_elements``, with the user's function run in our workers.

What polars can express by itself it does in threads of its own, faster than any function of
Python: these are for the functions that it cannot. Workers are not forked, because polars' threads
do not survive a fork.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import polars as pl

from poolwise.integrations.blocks import add_note, slice_rows
from poolwise.pool import Pool


def map_groups(
    grouped: Any,
    function: Callable[..., pl.DataFrame],
    *args: Any,
    pool: Pool | None = None,
    **kwargs: Any,
) -> pl.DataFrame:
    """``grouped.map_groups(function)``, of what ``frame.group_by(...)`` gives.

    :param args: and ``kwargs``, for the function after the frame of a group.
    :param pool: whose workers do it, not forked; else those of a pool for this call.
    :raises Exception: what the function raised first, with a note that names the group.
    """
    call = partial(_on_group, function, args, kwargs)
    with _workers(pool) as workers:
        whole: pl.DataFrame = pl.concat(workers.starmap(call, list(grouped)))
    return whole


def map_elements(
    series: pl.Series,
    function: Callable[[Any], Any],
    return_dtype: Any = None,
    *,
    skip_nulls: bool = True,
    pool: Pool | None = None,
) -> pl.Series:
    """``series.map_elements(function, return_dtype)``; see :func:`map_groups`."""
    with _workers(pool) as workers:
        slices = slice_rows(len(series), len(workers._pool))  # noqa: SLF001
        blocks = [(rows.start, series[rows]) for rows in slices]
        found = workers.starmap(partial(_on_block, function, skip_nulls), blocks)
    results = iter([value for block in found for value in block])
    mapped: pl.Series = series.map_elements(
        lambda _: next(results), return_dtype, skip_nulls=skip_nulls
    )
    return mapped


@contextmanager
def _workers(pool: Pool | None) -> Iterator[Pool]:
    if pool is not None:
        yield pool
        return
    with Pool(context="forkserver" if os.name == "posix" else "spawn") as made:
        yield made


def _on_group(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    key: Any,
    group: pl.DataFrame,
) -> Any:
    try:
        return function(group, *args, **kwargs)
    except Exception as error:
        add_note(error, f"in the group {key!r}")
        raise


def _on_block(
    function: Callable[[Any], Any],
    skip_nulls: bool,
    start: int,
    block: pl.Series,
) -> list[Any]:
    results = []
    for at, value in enumerate(block):
        if value is None and skip_nulls:
            continue
        try:
            results.append(function(value))
        except Exception as error:
            add_note(error, f"in the row {start + at}")
            raise
    return results
