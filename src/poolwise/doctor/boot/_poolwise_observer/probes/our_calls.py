"""The lines that give work to our own pools: what their ledger does not say of them."""

from .. import recorder
from ..seams import attempt, hide, replace
from . import sites, tasks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Method = Callable[..., Any]

_known: "dict[Any, Any]" = {}
"""Functions already noted -> the code object, which so keeps its number."""


def attach(module: "Any") -> None:
    """Probe `poolwise.core.engine`, `poolwise.pool` or `poolwise.executor`."""
    if hasattr(module, "Engine"):
        replace(module.Engine, "post", _make_post)
        replace(module.Engine, "enqueue", _make_post)
    if hasattr(module, "Pool"):
        _watch(module.Pool, "apply")
        _watch(module.Pool, "apply_async")
    if hasattr(module, "ProcessPoolExecutor"):
        _watch(module.ProcessPoolExecutor, "submit")


def _make_post(original: "Method") -> "Method":
    def post(self: "Any", event: "Any") -> "Any":
        if type(event).__name__ == "JobPosted" and not event.job.has_calls:
            attempt("own call", lambda: _note_job(self, event.job))
        try:
            return original(self, event)
        except BaseException as error:
            hide(error)
            raise

    return post


ENOUGH = 1000
"""Calls without a new function after which no more are looked at: a look takes 0.5 us of some 7
that a call of nothing takes."""


def _watch(owner: "Any", name: str) -> None:
    """Note who makes single calls by this method, until nothing new comes."""
    replace(owner, name, lambda original: _make_submit(owner, original))


def _make_submit(owner: "Any", original: "Method") -> "Method":
    old = 0

    def submit(self: "Any", *args: "Any", **options: "Any") -> "Any":
        nonlocal old
        old, known = old + 1, len(_known)
        if old > ENOUGH:
            setattr(owner, original.__name__, original)
        elif args:
            attempt("own call", lambda: _note_call(self._engine, original.__name__, *args))
            if len(_known) > known:
                old = 0
        try:
            return original(self, *args, **options)
        except BaseException as error:
            hide(error)
            raise

    return submit


_sampler = tasks.Sampler()

SAMPLED = 12
"""Items of a call that are looked into."""


def _note_call(engine: "Any", door: str, function: "Any", *given: "Any") -> None:
    """Note a single call, and weigh its parts as those of a standard pool's messages are."""
    _note(function, None, door)
    if door != "submit":  # the standard pool takes arguments as one
        given = tuple(given[0]) if given else ()
    item = given[0] if len(given) == 1 else given
    _sampler.look_into(function, item, **_where(engine, function, None))


def _note_job(engine: "Any", job: "Any") -> None:
    function, items = job.function.call, getattr(job.source, "_items", None)
    if not _note(function, job.site, "") or not isinstance(items, list | tuple) or not items:
        return
    where = _where(engine, function, job.site)
    for index in _find_common(items):
        for item in items[:: -(-len(items) // SAMPLED)]:
            tasks.sample(f"arg[{index}]", item[index], where)


def _find_common(items: "Any") -> "list[int]":
    """Positions at which the first and the last item hold the same object."""
    first, last = items[0], items[-1]
    if len(items) < SAMPLED or type(first) is not tuple or type(last) is not tuple:
        return []
    pairs = enumerate(zip(first, last))  # noqa: B905 - the shorter one ends it
    return [index for index, (one, other) in pairs if one is other]


def _where(engine: "Any", function: "Any", site: "str | None") -> "dict[str, Any]":
    from poolwise.core.job import name_of  # it is loaded: one of our pools is at work

    return {"pool": engine._poolwise_made[0], "own": (name_of(function), site)}


def _note(function: "Any", site: "str | None", door: str) -> bool:
    """Note the line that calls, once for each function; of single calls the first line.

    `door`: the method that was called, if we stand in front of it. Tells if it was new.
    """
    code = getattr(sites.unwrap(function), "__code__", type(function))
    if (id(code), site) in _known:
        return False
    _known[id(code), site] = code
    from poolwise.core.job import name_of  # it is loaded: one of our pools is at work

    place, api = sites.place_and_api()
    facts = {**sites.describe_function(function), "api": api or door, "place": place}
    recorder.event("own call", name=name_of(function), site=site, **facts)
    return True
