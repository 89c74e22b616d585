"""Our own pools keep a ledger: at a pool's end its account is copied into the records."""

import math

from . import recorder, sites
from .clocks import now
from .seams import attempt, hide, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Method = Callable[..., Any]


def attach(module: "Any") -> None:
    """Probe `poolwise.core.engine`."""
    replace(module.Engine, "__init__", _make_init)
    replace(module.Engine, "join", _make_end)
    replace(module.Engine, "terminate", _make_end)


def _make_init(original: "Method") -> "Method":
    def __init__(self: "Any", *args: "Any", **options: "Any") -> None:
        began = now()
        try:
            original(self, *args, **options)
        except BaseException as error:
            hide(error)
            raise
        self._poolwise_made = sites.new_pool(), began, now(), sites.place()

    return __init__


def _make_end(original: "Method") -> "Method":
    def end(self: "Any", *args: "Any", **options: "Any") -> "Any":
        began = now()
        try:
            result = original(self, *args, **options)
        except BaseException as error:
            hide(error)
            raise
        attempt("ledger", lambda: _note_ledger(self, began))
        return result

    return end


def _note_ledger(engine: "Any", began: int) -> None:
    number, made, ready, place = engine._poolwise_made
    report = _plain(engine.report().to_dict())
    times = {"began": made, "ready": ready, "ending": began, "ended": now()}
    recorder.event("ledger", id=number, place=place, report=report, **times)


def _plain(value: "Any") -> "Any":
    """The same without numbers that have no literal: they become None."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
