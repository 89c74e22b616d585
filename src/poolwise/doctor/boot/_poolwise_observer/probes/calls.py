"""Calls that give work to an executor: which line made them, and when."""

import sys
from _thread import _local
from itertools import count

from .. import recorder
from ..clocks import now
from ..seams import hide, replace
from . import sites

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Method = Callable[..., Any]

    Origin = tuple[int, int, int, int]  # site, call, when submitted, number

UNKNOWN_ORIGIN = (0, 0, 0, 0)


class _Here(_local):
    """State of each thread: the line, and the number of the `map`, that it submits for."""

    site = 0
    call = 0


_here = _Here()
_next_call = count(1).__next__
_next_item = count(1).__next__


def watch_calls(module: "Any", executor: "Any") -> None:
    """Probe how work gets into an executor class of this module."""
    module._WorkItem = _make_work_item(module._WorkItem)
    replace(executor, "submit", _make_submit)
    replace(executor, "map", _make_map)
    replace(executor, "shutdown", _make_shutdown)


def is_inside_map() -> bool:
    """True if this thread's submissions are those of an executor's `map`."""
    return _here.call != 0


def count_threads() -> int:
    """Threads of this process that Python knows."""
    threading = sys.modules.get("threading")
    return threading.active_count() if threading else 1


def _make_work_item(original: "Any") -> "Any":
    class _WorkItem(original):  # type: ignore[misc]
        def __init__(self, *args: "Any", **options: "Any") -> None:
            original.__init__(self, *args, **options)
            self.poolwise_origin = _here.site, _here.call, now(), _next_item()

    _WorkItem.__module__ = original.__module__
    _WorkItem.__qualname__ = original.__qualname__
    return _WorkItem


def _make_shutdown(original: "Method") -> "Method":
    def shutdown(self: "Any", *args: "Any", **options: "Any") -> None:
        began = now()
        try:
            original(self, *args, **options)
        except BaseException as error:
            hide(error)
            raise
        number = getattr(self, "_poolwise_pool", 0)
        counts: tuple[int, ...] = getattr(self, "_poolwise_counts", tuple)()
        recorder.event("end", pool=number, how="shutdown", began=began, ended=now(), counts=counts)

    return shutdown


def _make_submit(original: "Method") -> "Method":
    def submit(self: "Any", fn: "Any", /, *args: "Any", **options: "Any") -> "Any":
        is_first = not _here.site
        if is_first:
            _here.site = _find_site(self, "submit", fn)
        try:
            return original(self, fn, *args, **options)
        except BaseException as error:
            hide(error)
            raise
        finally:
            if is_first:
                _here.site = 0

    return submit


def _make_map(original: "Method") -> "Method":
    def map(self: "Any", fn: "Any", *iterables: "Any", **options: "Any") -> "Any":  # noqa: A001
        began = now()
        kind = type(iterables[0]).__name__ if iterables else None
        sizes = [len(each) for each in iterables if hasattr(each, "__len__")]
        chunksize = options.get("chunksize", 1)
        site = _here.site = _find_site(self, "map", fn, kind)
        call = _here.call = _next_call()
        try:
            return original(self, fn, *iterables, **options)
        except BaseException as error:
            hide(error)
            raise
        finally:
            _here.site = _here.call = 0
            items = min(sizes) if sizes and len(sizes) == len(iterables) else -1
            pool, asked = getattr(self, "_poolwise_pool", 0), options.get("chunksize", -1)
            facts = (began, now(), items, chunksize, asked, -1)
            recorder.reserve(recorder.CALL, pool, call, site, *facts)

    return map


def _find_site(executor: "Any", api: str, function: "Any", kind: "str | None" = None) -> int:
    try:
        return sites.find(getattr(executor, "_poolwise_pool", 0), api, function, kind)
    except Exception as error:
        recorder.trouble("site", error)
        return 0
