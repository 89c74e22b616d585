"""Probes of `multiprocessing.Pool` (and `ThreadPool`): its making, its calls, its two threads."""

from _thread import _local
from itertools import chain

from .. import recorder
from ..clocks import now
from ..gate import Gate
from ..seams import attempt, hide, plain, replace, watch_end
from . import sites, workers
from .calls import count_threads
from .parents import Results, Sends

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Method = Callable[..., Any]

_here = _local()
"""State of each thread: `job`, the number of the job it made last."""


def attach(module: "Any") -> None:
    """Probe `multiprocessing.pool`."""
    pool = module.Pool
    workers.watch_loop(module, "worker")
    replace(pool, "_setup_queues", _make_setup)
    replace(module.ThreadPool, "_setup_queues", _make_setup)
    replace(pool, "__init__", _make_init)
    replace(module.ApplyResult, "__init__", _make_numbered)
    replace(module.IMapIterator, "__init__", _make_numbered)
    replace(pool, "_handle_results", lambda original: watch_end(original, _note_thread))
    pool._handle_results = staticmethod(pool._handle_results)
    replace(pool, "_map_async", _make_map)
    replace(pool, "apply_async", _make_apply)
    for name in ("imap", "imap_unordered"):
        replace(pool, name, _make_imap)
    for name in ("close", "terminate", "join"):
        replace(pool, name, _make_end)


# -- the pool's life


def _make_init(original: "Method") -> "Method":
    def __init__(self: "Any", *args: "Any", **options: "Any") -> None:
        began = now()
        self._poolwise_pool = sites.new_pool()
        self._poolwise_counts = lambda: (0, 0)
        self._poolwise_gate = Gate()
        try:
            original(self, *args, **options)
        except BaseException as error:
            hide(error)
            raise
        if hasattr(self, "_inqueue"):  # else `poolwise run` has made it one of ours
            attempt("Pool.__init__", lambda: _note_pool(self, began))

    return __init__


def _note_pool(pool: "Any", began: int) -> None:
    is_threads = not hasattr(pool._inqueue, "_writer")
    initializer = pool._initializer
    recorder.event(
        "pool",
        id=pool._poolwise_pool,
        kind="ThreadPool" if is_threads else "multiprocessing.Pool",
        slots=pool._processes,
        began=began,
        ended=now(),
        method=None if is_threads else pool._ctx.get_start_method(),
        initializer=sites.describe_function(initializer)["function"] if initializer else None,
        max_tasks=pool._maxtasksperchild,
        place=sites.place(),
        threads=count_threads(),
    )


def _make_setup(original: "Method") -> "Method":
    def _setup_queues(self: "Any") -> None:
        original(self)
        attempt("Pool._setup_queues", lambda: _probe_queues(self))

    return _setup_queues


def _probe_queues(pool: "Any") -> None:
    number = pool._poolwise_pool
    if hasattr(pool._inqueue, "_writer"):
        pool._inqueue._poolwise_pool = pool._outqueue._poolwise_pool = number
    else:
        workers.THREAD_POOLS[id(pool._inqueue)] = number
    sends = Sends(number, getattr(pool._inqueue, "_writer", None))
    results = Results(number, getattr(pool._outqueue, "_reader", None))
    pool._quick_put = _make_put(plain(pool._quick_put), sends)
    pool._quick_get = _make_get(plain(pool._quick_get), results)
    pool._poolwise_counts = lambda: (sends.count, results.count)


def _make_put(original: "Method", sends: Sends) -> "Method":
    def put(task: "Any") -> None:
        is_seen = False
        if task is not None:
            if sends.skip:
                sends.skip -= 1
            else:
                is_seen = sends.take()
        try:
            original(task)
        except BaseException as error:
            hide(error)
            raise
        if is_seen:
            sends.sent(task)

    return put


def _note_thread(error: BaseException, args: "Any") -> None:
    """The thread that collects results has died: nobody notices, and no result comes any more."""
    number = getattr(args[0], "_poolwise_pool", 0)
    place = sites.place_of(error)
    recorder.event("thread died", pool=number, error=type(error).__name__, place=place)


def _note_unread(error: BaseException, _: "Any", pool: int) -> None:
    recorder.event("unread", pool=pool, error=type(error).__name__, place=sites.place_of(error))


def _make_get(read: "Method", results: Results) -> "Method":
    original = watch_end(read, lambda error, args: _note_unread(error, args, results.pool))

    def get() -> "Any":
        if results.skip:
            results.skip -= 1
            return original()
        results.begin()
        result = original()
        if result is not None:
            results.came(result[0], result[1] or 0)
        return result

    return get


def _make_end(original: "Method") -> "Method":
    name = original.__name__

    def end(self: "Any") -> None:
        began = now()
        try:
            original(self)
        except BaseException as error:
            hide(error)
            raise
        number = getattr(self, "_poolwise_pool", 0)
        counts: tuple[int, ...] = getattr(self, "_poolwise_counts", tuple)()
        recorder.event("end", pool=number, how=name, began=began, ended=now(), counts=counts)

    return end


# -- its calls


def _make_numbered(original: "Method") -> "Method":
    def __init__(self: "Any", *args: "Any", **options: "Any") -> None:
        original(self, *args, **options)
        _here.job = self._job
        for name in ("_callback", "_error_callback"):
            callback = getattr(self, name, None)
            if callback is not None:
                setattr(self, name, watch_end(callback, _make_note(self)))

    return __init__


def _make_note(result: "Any") -> "Callable[[BaseException, Any], None]":
    """Note that a callback raised: its result is never set, and the thread may die."""

    def note(error: BaseException, _: "Any") -> None:
        number = getattr(result._pool, "_poolwise_pool", 0)
        place = sites.place_of(error)
        recorder.event("callback raised", pool=number, error=type(error).__name__, place=place)

    return note


def _make_map(original: "Method") -> "Method":
    def _map_async(  # noqa: PLR0913 - the original's signature
        self: "Any",
        func: "Any",
        iterable: "Any",
        mapper: "Any",
        chunksize: "int | None" = None,
        callback: "Any" = None,
        error_callback: "Any" = None,
    ) -> "Any":
        began, kind = now(), type(iterable).__name__
        has_length = hasattr(iterable, "__len__")
        end = _End()
        if not has_length:
            iterable = chain(iterable, end)
        try:
            result = original(self, func, iterable, mapper, chunksize, callback, error_callback)
        except BaseException as error:
            hide(error)
            raise
        call = began, -1 if has_length else end.at - began, len(result._value)
        size = getattr(result, "_chunksize", 0)
        attempt("Pool.map", lambda: _note_call(self, "map", func, kind, call, chunksize, size))
        return result

    return _map_async


class _End:
    """An empty iterator that stands behind the input: when it is asked, the input has ended."""

    at = 0

    def __iter__(self) -> "_End":
        return self

    def __next__(self) -> "Any":
        self.at = now()
        raise StopIteration


def _make_imap(original: "Method") -> "Method":
    name = original.__name__

    def imap(self: "Any", func: "Any", iterable: "Any", chunksize: int = 1) -> "Any":
        began, kind = now(), type(iterable).__name__
        try:
            result = original(self, func, iterable, chunksize)
        except BaseException as error:
            hide(error)
            raise
        items = len(iterable) if hasattr(iterable, "__len__") else -1
        call = began, -1, items
        attempt("Pool.imap", lambda: _note_call(self, name, func, kind, call, chunksize, chunksize))
        return result

    return imap


def _make_apply(original: "Method") -> "Method":
    def apply_async(self: "Any", func: "Any", *args: "Any", **options: "Any") -> "Any":
        began = now()
        try:
            result = original(self, func, *args, **options)
        except BaseException as error:
            hide(error)
            raise
        gate = self._poolwise_gate
        if began < gate.until:
            gate.seen += 1
        elif gate.opens(began):
            call = began, -1, 1
            attempt(
                "Pool.apply", lambda: _note_call(self, "apply_async", func, None, call, None, 1)
            )
            gate.spend(now() - began)
        return result

    return apply_async


def _note_call(  # noqa: PLR0913 - the facts of a call
    pool: "Any",
    api: str,
    function: "Any",
    kind: "str | None",
    call: "tuple[int, int, int]",
    asked: "int | None",
    chunksize: int,
) -> None:
    """Record which line made the job that this thread made last."""
    number = pool._poolwise_pool
    site = sites.find(number, api, function, kind)
    began, listing, items = call
    facts = (began, now(), items, chunksize, -1 if asked is None else asked, listing)
    recorder.reserve(recorder.CALL, number, _here.job, site, *facts)
