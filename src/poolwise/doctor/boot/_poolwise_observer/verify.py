"""`--verify`: after a call of the program, a snapshot of the process tries what would be faster.

Only loaded when asked for, because the program's function runs again. Calls are remembered with
their function and items; a call that returns when all is done (`Pool.map`) is tried at once, others
when their pool ends. The program waits meanwhile, and that time is taken out of the account.
"""

import json
import os
from itertools import islice

from . import calls, recorder, sites
from .clocks import now
from .seams import attempt, hide, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Method = Callable[..., Any]
    Item = tuple[tuple[Any, ...], dict[str, Any]]

VARIABLE = "POOLWISE_DOCTOR_VERIFY"
"""JSON: `parent` (who must have started this process), `seconds`, `path` (where poolwise is)."""

MOST_ITEMS = 4096
"""Of the input of a generator, and of single submissions, so many are kept."""

MOST_CALLS = 3
"""Lines of the program that are tried, the first ones that took long enough."""

LEAST_NS = 20_000_000
"""Calls that are over sooner are not worth an experiment."""

options: "dict[str, Any]" = {}
_tried: "set[Any]" = set()


class Batch:
    """What one line of the program gave to a pool: the function, its items, when."""

    def __init__(self, api: str, function: "Any", chunksize: "int | None") -> None:
        self.api = api
        self.function = function
        self.chunksize = chunksize
        self.place = sites.place()
        self.items: list[Item] = []
        self.count = 0
        self.began = now()
        self.ended = 0

    def add(self, args: "tuple[Any, ...]", keywords: "dict[str, Any]") -> None:
        """One item more; the first ones are kept."""
        self.count += 1
        if len(self.items) < MOST_ITEMS:
            self.items.append((args, keywords))

    def watch(self, iterable: "Any", *, is_star: bool = False) -> "Any":
        """The same input; what comes out of an iterator is kept as it passes."""
        if hasattr(iterable, "__len__"):
            self.count = len(iterable)
            step = max(1, self.count // MOST_ITEMS)
            for each in islice(iterable, 0, step * MOST_ITEMS, step):
                self.items.append((tuple(each) if is_star else (each,), {}))
            return iterable
        return self._pass_on(iterable, is_star=is_star)

    def _pass_on(self, iterable: "Any", *, is_star: bool) -> "Iterator[Any]":
        for each in iterable:
            self.add(tuple(each) if is_star else (each,), {})
            yield each


def attach(module: "Any") -> None:
    """Remember what this module's pools are given, if this process is the program's first."""
    if not options:
        options.update(json.loads(os.environ[VARIABLE]))
        os.environ.pop(VARIABLE)  # other processes of the program are left alone
    if options["parent"] != os.getppid() or not hasattr(os, "fork"):
        return
    if module.__name__ == "multiprocessing.pool":
        _attach_pool(module.Pool)
    elif module.__name__ == "concurrent.futures.process":
        _attach_executor(module.ProcessPoolExecutor)
    elif module.__name__ == "concurrent.futures.thread":
        _attach_executor(module.ThreadPoolExecutor)


def _attach_pool(pool: "Any") -> None:
    for name in ("map", "starmap"):
        replace(pool, name, lambda original: _make_call(original, is_done=True))
    for name in ("map_async", "starmap_async", "imap", "imap_unordered"):
        replace(pool, name, lambda original: _make_call(original, is_done=False))
    replace(pool, "apply_async", _make_single)
    replace(pool, "terminate", lambda original: _make_end(original, is_before=True))
    replace(pool, "join", lambda original: _make_end(original, is_before=False))


def _attach_executor(executor: "Any") -> None:
    replace(executor, "map", _make_executor_map)
    replace(executor, "submit", _make_single)
    replace(executor, "shutdown", lambda original: _make_end(original, is_before=False))


def _make_call(original: "Method", *, is_done: bool) -> "Method":
    name = original.__name__

    def call(
        self: "Any",
        func: "Any",
        iterable: "Any",
        chunksize: "int | None" = None,
        *rest: "Any",
        **more: "Any",
    ) -> "Any":
        batch = Batch(name, func, chunksize)
        try:
            watched = batch.watch(iterable, is_star=name.startswith("starmap"))
            given = () if chunksize is None and not rest else (chunksize,)
            result = original(self, func, watched, *given, *rest, **more)
        except BaseException as error:
            hide(error)
            raise
        _remember(self, batch)
        if is_done:
            attempt("verify", lambda: _try(self))
        return result

    return call


def _make_executor_map(original: "Method") -> "Method":
    def map(self: "Any", fn: "Any", *iterables: "Any", **more: "Any") -> "Any":  # noqa: A001
        batch = Batch("map", fn, more.get("chunksize"))
        if len(iterables) == 1:
            iterables = (batch.watch(iterables[0]),)
        elif all(hasattr(each, "__len__") for each in iterables):
            for args in zip(*iterables):  # noqa: B905 - as the original does
                batch.add(args, {})
        try:
            result = original(self, fn, *iterables, **more)
        except BaseException as error:
            hide(error)
            raise
        _remember(self, batch)
        return result

    return map


def _make_single(original: "Method") -> "Method":
    def single(self: "Any", func: "Any", /, *args: "Any", **keywords: "Any") -> "Any":
        if not calls.is_inside_map():
            attempt(
                "verify", lambda: _remember_single(self, original.__name__, func, args, keywords)
            )
        try:
            return original(self, func, *args, **keywords)
        except BaseException as error:
            hide(error)
            raise

    return single


def _remember_single(pool: "Any", api: str, function: "Any", args: "Any", keywords: "Any") -> None:
    where = sites.place()
    batches = vars(pool).setdefault("_poolwise_batches", {})
    batch = batches.get((where, api))
    if batch is None:
        batch = batches[where, api] = Batch(api, function, 1)
    if batch.function is not function:
        return
    if api == "apply_async":
        args, keywords = _arguments(*args, **keywords)
    batch.add(args, keywords)


def _arguments(args: "Any" = (), kwds: "Any" = None, *_: "Any", **__: "Any") -> "tuple[Any, Any]":
    """What `apply_async` was given for the function."""
    return tuple(args), kwds or {}


def _remember(pool: "Any", batch: Batch) -> None:
    vars(pool).setdefault("_poolwise_batches", {})[batch.place, batch.api] = batch


def _make_end(original: "Method", *, is_before: bool) -> "Method":
    def end(self: "Any", *args: "Any", **more: "Any") -> None:
        if is_before:
            attempt("verify", lambda: _try(self))
        try:
            original(self, *args, **more)
        except BaseException as error:
            hide(error)
            raise
        if not is_before:
            attempt("verify", lambda: _try(self))

    return end


def _try(pool: "Any") -> None:
    """Experiment with everything that this pool was given and that was not tried yet."""
    batches = vars(pool).pop("_poolwise_batches", {})
    for batch in batches.values():
        key = batch.place, batch.api
        batch.ended = now()
        is_short = batch.ended - batch.began < LEAST_NS
        if options.get("is_off") or is_short or key in _tried or len(_tried) >= MOST_CALLS:
            continue
        _tried.add(key)
        if batch.items:
            _experiment(pool, batch)


def _experiment(pool: "Any", batch: Batch) -> None:
    from . import snapshot

    began = now()
    told, cpu_s, pids = snapshot.run(pool, batch, options)
    recorder.event(
        "verify",
        pool=getattr(pool, "_poolwise_pool", 0),
        place=batch.place,
        api=batch.api,
        began=began,
        ended=now(),
        cpu_s=cpu_s,
        pids=pids,
        **told,
    )
