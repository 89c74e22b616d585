"""`--verify`: after a call of the program, a snapshot of the process tries what would be faster.

Only loaded when asked for, because the program's function runs again. A call is a line of the
program, a sample of the tasks it gave to a pool, and how they were run; `doors.py` tells of them. A
call that returns when all is done (`Pool.map`) is tried at once, others when their pool ends, or
the program. The program waits meanwhile, and that time is taken out of the account.
"""

import json
import os
import sys
from _thread import allocate_lock
from itertools import islice

from .. import recorder
from ..clocks import now
from ..probes import sites
from ..seams import attempt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .runners import Runner

    Task = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
    Key = tuple[Any, ...]

VARIABLE = "POOLWISE_DOCTOR_VERIFY"
"""JSON: `parent` (who must have started this process), `seconds`, `path` (where poolwise is)."""

MOST_TASKS = 4096
"""Limit of the tasks that are kept of a call, evenly spread."""

MOST_BYTES = 64 << 20
"""Limit of what is kept until a pool's end, estimated at a glance."""

MOST_CALLS = 3
"""Lines of the program that are tried, the first ones that took long enough."""

LEAST_NS = 20_000_000
"""A line whose calls took less in all is not worth an experiment."""

ONE_BY_ONE = 0.95
"""Share of tasks given after the one before was done that means the program waits for each."""

options: "dict[str, Any]" = {}

_waiting: "dict[Key, Call]" = {}
_tried: "set[Key]" = set()
_spent: "dict[Key, int]" = {}
_told: "dict[Key, str]" = {}
_one_at_a_time = allocate_lock()


class Call:
    """The wish of one line of the program: tasks of one function, and the way to run them."""

    def __init__(self, key: "Key", api: str, pool: int, runner: "Runner") -> None:
        self.key = key
        self.place: tuple[str, int, str] = key[0]
        self.api = api
        self.pool = pool
        self.runner = runner
        self.tasks: list[Task] = []
        self.count = 0
        self.began = now()
        self.ended = 0
        self.most_bytes = MOST_BYTES
        self._step = 1
        self._bytes = 0
        self._weighed: set[int] = set()
        self._last: Callable[[], Any] | None = None
        self._alone = 0

    def add(self, function: "Any", args: "tuple[Any, ...]", keywords: "dict[str, Any]") -> None:
        """One task more. Of all tasks an evenly spread part is kept."""
        if self.count % self._step == 0:
            self.tasks.append((function, args, keywords))
            self._bytes += self._weigh_task(args, keywords)
            while len(self.tasks) > MOST_TASKS or (self.tasks and self._bytes > self.most_bytes):
                self._thin()
        self.count += 1

    def _weigh_task(self, args: "tuple[Any, ...]", keywords: "dict[str, Any]") -> int:
        return 64 + sum(_weigh(each, self._weighed) for each in (*args, *keywords.values()))

    def _thin(self) -> None:
        del self.tasks[1::2]
        self._step *= 2
        self._weighed.clear()
        self._bytes = sum(self._weigh_task(args, more) for _, args, more in self.tasks)
        if len(self.tasks) == 1 and self._bytes > self.most_bytes:
            self.tasks.clear()

    def watch(self, function: "Any", iterable: "Any", *, is_star: bool = False) -> "Any":
        """An input that gives the same; what comes out of it is kept as it passes.

        Only what can be read again and again is looked into before, and stays itself.
        """
        if not hasattr(iterable, "__len__"):
            return self._pass_on(function, iterable, is_star=is_star)
        module = type(iterable).__module__
        is_indexed = type(iterable) in _INDEXED or module in _INDEXED_FROM
        if not is_indexed and type(iterable) not in _READ and not module.startswith(_READ_FROM):
            return Sized(self._pass_on(function, iterable, is_star=is_star), len(iterable))
        size = len(iterable)
        step = max(1, -(-size // MOST_TASKS))
        some: Any = islice(iterable, 0, None, step) if module != "mmap" else ()
        if is_indexed:
            some = (iterable[at] for at in range(0, size, step))
        for each in some:
            self.add(function, tuple(each) if is_star else (each,), {})
        self.count = size
        return iterable

    def _pass_on(self, function: "Any", iterable: "Any", *, is_star: bool) -> "Iterator[Any]":
        def add(item: "Any") -> None:
            self.add(function, tuple(item) if is_star else (item,), {})

        for each in iterable:
            attempt("verify", lambda: add(each))  # noqa: B023 - called at once
            yield each

    def submit(self, function: "Any", args: "tuple[Any, ...]", keywords: "dict[str, Any]") -> None:
        """One task more, given by itself."""
        last = self._last and self._last()
        if self._last is not None:
            is_done = getattr(last, "done", None) or getattr(last, "ready", None)
            self._alone += last is None or (is_done is not None and is_done())
        self.add(function, args, keywords)

    def follow(self, result: "Any") -> None:
        """Note what tells when the task is done that was given last."""
        from weakref import ref

        self._last = ref(result)

    @property
    def is_one_by_one(self) -> bool:
        """True if the program waited for each task before it gave the next."""
        many = self.count - 1
        return self.api == "apply" or (many > 0 and self._alone >= ONE_BY_ONE * many)


_INDEXED = (list, tuple, range, str, bytes, bytearray)
_INDEXED_FROM = ("numpy", "array", "torch")
_READ = (set, frozenset, dict)
_READ_FROM = ("collections", "pandas.", "polars.", "pyarrow.", "mmap")
"""Inputs that are the same each time they are read. Of a mapped file nothing is read."""


class Sized:
    """An iterator that knows how much it is going to give."""

    def __init__(self, iterator: "Iterator[Any]", size: int) -> None:
        self._iterator = iterator
        self._size = size

    def __iter__(self) -> "Iterator[Any]":
        return self._iterator

    def __len__(self) -> int:
        return self._size


def attach(module: "Any") -> None:
    """Remember what this module's pools are given, if this process is the program's first."""
    if not options:
        options.update(json.loads(os.environ[VARIABLE]), pid=os.getpid())
        os.environ.pop(VARIABLE)  # other processes of the program are left alone
    if options["parent"] != os.getppid() or not hasattr(os, "fork"):
        return
    from . import doors

    if doors.attach(module):
        threading = sys.modules["threading"]
        # Those that were registered last come first: before executors are shut down.
        threading._register_atexit(lambda: attempt("verify", finish))


# -- what doors tell


def begin(
    pool: int, api: str, function: "Any", make: "Callable[[str], Runner]", *, is_kept: bool = True
) -> "Call | None":
    """A call of the line that is calling, with what it is made of; None if it is not wanted.

    `is_kept`: it waits for the end of its pool, so that what it keeps has to be bounded.
    """
    key, outer_api = _find_key(function)
    if key is None or key in _tried or not _is_the_program():
        return None
    other = _waiting.get(key)
    if other is not None and other.pool != pool:
        return None  # the same line has another pool open, and one of them is enough
    api = "apply" if outer_api == "apply" else api  # which is made of another method
    call = Call(key, api, pool, make(api))
    if len(_tried) >= MOST_CALLS:
        call.most_bytes = 0  # its time will tell whether it would have been worth it, no more
    elif not is_kept:
        call.most_bytes = sys.maxsize
    return call


def wait(call: "Call | None") -> None:
    """Keep a call to be tried when its pool ends."""
    if call is not None:
        _waiting[call.key] = call


def gather(pool: int, api: str, function: "Any", make: "Callable[[str], Runner]") -> "Call | None":
    """The call that single tasks of this function, from this line, belong to."""
    key, _ = _find_key(function)
    call = _waiting.get(key) if key is not None else None
    if call is not None:
        return call if call.pool == pool else None
    call = begin(pool, api, function, make)
    wait(call)
    return call


def end_pool(pool: int) -> None:
    """Try what a pool was given, at its end."""
    for call in [each for each in _waiting.values() if each.pool == pool]:
        del _waiting[call.key]
        try_out(call)


def finish() -> None:
    """The program is at its end: what still waits is tried, unless its pool is at work."""
    if not _is_the_program():
        return
    for call in list(_waiting.values()):
        del _waiting[call.key]
        if call.runner.is_busy():
            _decline(call, "its pool was still at work when the program ended")
        else:
            try_out(call)


def try_out(call: "Call | None") -> None:
    """Experiment with a call that is done, if it is worth that; say why, if not."""
    if call is None or not _is_the_program() or _is_interrupted():
        return
    call.ended = now()
    spent = _spent[call.key] = _spent.get(call.key, 0) + call.ended - call.began
    if call.key in _tried or not call.count:
        return
    if spent < LEAST_NS:
        _decline(call, f"it took less than {LEAST_NS // 1_000_000} ms")
    elif len(_tried) >= MOST_CALLS:
        _decline(call, f"{MOST_CALLS} other lines were tried before")
    elif not call.tasks:
        _decline(call, "its items were too large to be kept, or can only be read once")
    elif call.runner.make is None:
        _decline(call, call.runner.why)
    elif not _one_at_a_time.acquire(blocking=False):
        _decline(call, "another call was being tried")
    else:
        try:
            _tried.add(call.key)
            _try_safely(call)
        finally:
            _one_at_a_time.release()


def _decline(call: Call, why: str) -> None:
    if _told.get(call.key) != why:
        _told[call.key] = why
        recorder.event("untried", pool=call.pool, place=call.place, api=call.api, why=why)


def _try_safely(call: Call) -> None:
    """Experiment, if that leaves the program as it is."""
    from . import live

    reach = live.Reach(call)
    why = reach.why_not()
    if why is not None:
        _decline(call, why)
        return
    kept = reach.keep()
    try:
        _experiment(call)
    finally:
        reach.put_back(kept)


def _experiment(call: Call) -> None:
    from . import snapshot

    began = now()
    told, cpu_s, pids = snapshot.run(call, options)
    recorder.event(
        "verify",
        pool=call.pool,
        place=call.place,
        api=call.api,
        began=began,
        ended=now(),
        cpu_s=cpu_s,
        pids=pids,
        **told,
    )


def _find_key(function: "Any") -> "tuple[Key | None, str]":
    """Line and function, and what of the pool's library was called; None if it is not the program.

    A function is told by its code, so that lambdas and partials that are made anew are the same.
    """
    place, api = sites.place_and_api()
    inner = sites.unwrap(sites.inside_of(function))
    if place is None or type(inner).__module__.partition(".")[0] == "joblib":
        return None, api
    inner = getattr(inner, "__func__", inner)
    return (place, id(getattr(inner, "__code__", type(inner)))), api


def _is_the_program() -> bool:
    """True if this is the program's first process, not one that was forked from it."""
    return bool(options["pid"] == os.getpid())


def _is_interrupted() -> bool:
    """True if the program is about to end by Ctrl-C."""
    last = getattr(sys, "last_type", None)
    return KeyboardInterrupt in (sys.exc_info()[0], last)


_LOOKED_INTO = 64
"""Elements of a container that are weighed; the others are as heavy."""

_ARRAYS = ("numpy", "torch", "pyarrow.lib")
"""Modules of classes that know how many bytes they hold."""

_HEAVY_BYTES = 4096
"""Objects from this size on may be common to many tasks, and weigh only once."""


def _weigh(value: "Any", weighed: "set[int]", depth: int = 3) -> int:
    """About how many bytes this keeps alive, without a call of anything of the program's."""
    kind = type(value)
    if kind in (bytes, bytearray, str):
        size = len(value)
    elif kind.__module__ in _ARRAYS:
        size = int(getattr(value, "nbytes", 0))
    elif kind.__module__.startswith("pandas."):
        size = 8 * int(getattr(value, "size", 0))
    elif kind in (dict, list, tuple, set, frozenset):
        size = _weigh_all(value, weighed, depth)
    elif kind.__dictoffset__ and not isinstance(value, type | type(sys)):
        size = _weigh_all(object.__getattribute__(value, "__dict__"), weighed, depth)
    else:
        size = 64
    if size < _HEAVY_BYTES:
        return size
    if id(value) in weighed:
        return 64
    weighed.add(id(value))
    return size


def _weigh_all(value: "Any", weighed: "set[int]", depth: int) -> int:
    size = 64 + 8 * len(value)
    if not depth or not value or id(value) in weighed:
        return size
    elements = value.values() if type(value) is dict else value
    some = sum(_weigh(each, weighed, depth - 1) for each in islice(elements, _LOOKED_INTO))
    return int(size + some * len(value) / min(len(value), _LOOKED_INTO))
