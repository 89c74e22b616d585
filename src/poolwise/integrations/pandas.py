"""pandas' ``apply`` and ``map``, with the user's function run by :func:`poolwise.map`.

Results are put together by pandas itself: it runs its own ``apply`` once more, over values that are
there already. So index, dtypes and all special cases are pandas' own, in every version, and each
group, row or value is handed to the user's function once. What is so cheap that workers do not pay
is done in a loop, by measurement.

An exception of the function has a note with the key of the group or the label of the row.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from poolwise.choose.door import map as choose_and_map
from poolwise.integrations.blocks import add_note, slice_rows
from poolwise.system.cpus import cpu_count

if TYPE_CHECKING:
    from poolwise.choose.options import MapOptions


def group_apply(
    grouped: Any,
    function: Any,
    *args: Any,
    options: MapOptions | None = None,
    **kwargs: Any,
) -> Any:
    """``grouped.apply(function, *args, **kwargs)``, of frames and of series.

    :param options: of :func:`poolwise.map`: ``workers``, ``progress``, ``pool``, ``timeout`` ...
    :param kwargs: of the function, and ``include_groups`` where pandas knows it.
    :raises Exception: what the function raised first, with a note that names the group.
    """
    if not callable(function):
        return grouped.apply(function, *args, **kwargs)
    of_pandas = {name: kwargs.pop(name) for name in ("include_groups",) if name in kwargs}
    groups: list[tuple[Any, Any]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they come again, from the line of the user
        grouped.apply(lambda group: groups.append((group.name, group)), **of_pandas)
    call = _Call(_on_group, function, args, kwargs)
    return grouped.apply(_Replay(_run(call, groups, options)), **of_pandas)


def apply(  # noqa: PLR0913 - the signature is pandas'
    data: Any,
    function: Any,
    axis: Any = 0,
    *,
    args: tuple[Any, ...] = (),
    options: MapOptions | None = None,
    raw: bool = False,
    result_type: Any = None,
    by_row: Any = "compat",
    **kwargs: Any,
) -> Any:
    """``data.apply(function, axis, ...)``, of a frame or a series.

    :param options: as for :func:`group_apply`.
    :raises Exception: what the function raised first, with a note that names the row or column.
    """
    if isinstance(data, pd.Series):
        if _is_by_element(data, function) and by_row == "compat":
            return _by_blocks(data, "apply", {}, _Call(_on_block, function, args, kwargs), options)
        return data.apply(function, by_row=by_row, args=args, **kwargs)
    how = {"raw": raw, "result_type": result_type}
    is_special = _is_ufunc(function) or result_type == "broadcast" or by_row != "compat"
    if is_special or data.empty or not callable(function):
        return data.apply(function, axis, args=args, by_row=by_row, **how, **kwargs)
    call = _Call(_on_block, function, args, kwargs)
    if axis in {0, "index"}:
        return _by_columns(data, how, call, options)
    return _by_blocks(data, "apply", {"axis": 1, **how}, call, options)


def map_values(
    series: pd.Series[Any],
    function: Any,
    na_action: Any = None,
    *,
    options: MapOptions | None = None,
) -> Any:
    """``series.map(function, na_action)``; see :func:`apply`."""
    if not _is_by_element(series, function):
        return series.map(function, na_action)
    call = _Call(_on_block, function, (), {})
    return _by_blocks(series, "map", {"na_action": na_action}, call, options)


# -- in this process


def _is_by_element(series: Any, function: Any) -> bool:
    """True if it is called once for each element, as it is not for categories."""
    dtype = series.dtype
    is_element = not isinstance(dtype, pd.CategoricalDtype | pd.SparseDtype)
    return callable(function) and not _is_ufunc(function) and is_element and len(series) > 0


def _is_ufunc(function: Any) -> bool:
    import numpy as np

    return isinstance(function, np.ufunc)


def _by_columns(data: Any, how: dict[str, Any], call: _Call, options: MapOptions | None) -> Any:
    # Raw columns are those of one array, and so of one dtype.
    whole = pd.DataFrame(data.to_numpy(), data.index, data.columns) if how["raw"] else data
    columns = [(whole.iloc[:, [at]], 0, how) for at in range(whole.shape[1])]
    results = _chain(_run(call, columns, options))
    return data.apply(_Replay(results), 0, **how)


def _by_blocks(
    data: Any, method: str, how: dict[str, Any], call: _Call, options: MapOptions | None
) -> Any:
    """Rows of a frame or values of a series, in blocks."""
    workers = (options or {}).get("workers") or cpu_count()
    blocks = [(data.iloc[rows], method, how) for rows in slice_rows(len(data), workers)]
    replay = _Replay(_chain(_run(call, blocks, options)))
    return getattr(_skeleton(data, how), method)(replay, **how)


def _skeleton(data: Any, how: dict[str, Any]) -> Any:
    """A frame of the same rows over which pandas goes quickly: only its results count."""
    if "axis" not in how or how["raw"]:
        return data
    made = data.iloc[:, :0].copy()
    made.columns = pd.RangeIndex(0)
    made.insert(0, "", 0)
    return made


def _run(call: _Call, items: Sequence[Any], options: MapOptions | None) -> list[Any]:
    allow: Any = {"allow": ("serial", "processes"), **(options or {})}
    return choose_and_map(call, items, **allow)


def _chain(blocks: Sequence[Sequence[Any]]) -> list[Any]:
    return [value for block in blocks for value in block]


class _Replay:
    """Stands for the user's function: gives its results in the order of the calls."""

    def __init__(self, results: Sequence[Any]) -> None:
        self._results: Iterator[Any] = iter(results)

    def __call__(self, _: Any) -> Any:
        return next(self._results)


# -- in a worker


class _Call:
    """The user's function with its arguments, and how it is called on an item."""

    def __init__(
        self,
        how: Callable[..., Any],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._how = how
        self._function = function
        self._args = args
        self._kwargs = kwargs

    def __call__(self, item: Any) -> Any:
        return self._how(self.call, *item)

    def call(self, value: Any) -> Any:
        """Call the user's function."""
        return self._function(value, *self._args, **self._kwargs)


def _on_group(call: Callable[[Any], Any], name: Any, group: Any) -> Any:
    object.__setattr__(group, "name", name)  # as pandas does, which pickle forgets
    try:
        return call(group)
    except Exception as error:
        add_note(error, f"in the group {name!r}")
        raise


def _on_block(
    call: Callable[[Any], Any], block: Any, method: str | int, how: dict[str, Any]
) -> list[Any]:
    """Let pandas make the rows, columns or values of a block, and keep what the calls return."""
    results: list[Any] = []

    def keep(value: Any) -> Any:
        results.append(call(value))

    how = {name: value for name, value in how.items() if name != "result_type"}
    try:
        if method == 0:
            block.apply(keep, 0, **how)
        else:
            getattr(block, str(method))(keep, **how)
    except Exception as error:
        add_note(error, _place(block, len(results), method, how))
        raise
    return results


def _place(block: Any, at: int, method: str | int, how: dict[str, Any]) -> str:
    if method == 0:
        return f"in the column {block.columns[at]!r}"
    if how.get("na_action") is not None:
        at = int(block.notna().to_numpy().nonzero()[0][at])
    return f"in the row {block.index[at]!r}"
