"""Our own pools keep a ledger: at a pool's end its account is copied into the records."""

import math

from .. import recorder
from ..clocks import now
from ..seams import attempt, hide, replace
from . import our_calls, sites
from .calls import count_threads

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
    our_calls.attach(module)


def _make_init(original: "Method") -> "Method":
    def __init__(self: "Any", *args: "Any", **options: "Any") -> None:
        began, threads = now(), count_threads()
        try:
            original(self, *args, **options)
        except BaseException as error:
            hide(error)
            raise
        number, place = sites.new_pool(), sites.place()
        self._poolwise_made = number, began, now(), place, threads
        recorder.event("own pool", id=number, place=place)

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
    number, made, ready, place, threads = engine._poolwise_made
    report = _plain(engine.report().to_dict())
    times = {"began": made, "ready": ready, "ending": began, "ended": now()}
    initializer = getattr(engine._backend, "_initializer", None)
    context = getattr(engine._backend, "context", None)
    recorder.event(
        "ledger",
        id=number,
        place=place,
        report=report,
        threads=threads,
        method=context and context.get_start_method(),
        initializer=initializer and sites.describe_function(initializer)["function"],
        max_tasks=engine.state._tasks_per_lane,
        **times,
    )


def _plain(value: "Any") -> "Any":
    """Replace numbers that have no literal by None."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
