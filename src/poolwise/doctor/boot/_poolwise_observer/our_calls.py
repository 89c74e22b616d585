"""The lines that give work to our own pools: what their ledger does not say of them."""

from . import recorder, sites
from .seams import attempt, hide, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Method = Callable[..., Any]

_known: "dict[Any, Any]" = {}
"""What was noted already -> its code object, which so keeps its number."""


def attach(module: "Any") -> None:
    """Probe `poolwise.core.engine`, `poolwise.pool` or `poolwise.executor`."""
    if hasattr(module, "Engine"):
        replace(module.Engine, "post", _make_post)
        replace(module.Engine, "leave", _make_post)
    if hasattr(module, "Pool"):
        _watch(module.Pool, "apply")
        _watch(module.Pool, "apply_async")
    if hasattr(module, "ProcessPoolExecutor"):
        _watch(module.ProcessPoolExecutor, "submit")


def _make_post(original: "Method") -> "Method":
    def post(self: "Any", event: "Any") -> "Any":
        if type(event).__name__ == "JobPosted" and not event.job.has_calls:
            attempt("own call", lambda: _note(event.job.function.call, event.job.site, ""))
        try:
            return original(self, event)
        except BaseException as error:
            hide(error)
            raise

    return post


ENOUGH = 1000
"""After so many calls without a new function nobody looks any more: a look takes 0.5 us of some 7
that a call of nothing takes."""


def _watch(owner: "Any", name: str) -> None:
    """Note who makes single calls by this method, until nothing new comes."""
    replace(owner, name, lambda original: _make_submit(owner, original))


def _make_submit(owner: "Any", original: "Method") -> "Method":
    old = 0

    def submit(self: "Any", *args: "Any", **options: "Any") -> "Any":
        nonlocal old
        old += 1
        function = args[0] if args else options.get("func")
        if (id(getattr(function, "__code__", None)), None) not in _known:
            attempt("own call", lambda: _note(function, None, original.__name__))
            old = 0
        elif old > ENOUGH:
            setattr(owner, original.__name__, original)
        try:
            return original(self, *args, **options)
        except BaseException as error:
            hide(error)
            raise

    return submit


def _note(function: "Any", site: "str | None", door: str) -> None:
    """Note the line that calls, once for each function; of single calls the first line.

    `door`: the method that was called, if we stand in front of it.
    """
    code = getattr(sites.unwrap(function), "__code__", type(function))
    if (id(code), site) in _known:
        return
    _known[id(code), site] = code
    from poolwise.core.book import name_of  # it is loaded: one of our pools is at work

    place, api = sites.place_and_api()
    facts = sites.describe_function(function)
    recorder.event(
        "own call", name=name_of(function), site=site, api=api or door, place=place, **facts
    )
