"""Makes a `verify.Call` of calls of each kind of pool, and finds out when they are over.

Each door replaces methods by ones that tell of the call and do what the original does.
"""

from ..probes import calls
from ..seams import attempt, hide, replace
from . import calls as verify
from .runners import Runner, of_executor, of_joblib, of_own, of_pool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Method = Callable[..., Any]
    Make = Callable[[Any, str, Any], Runner]


def attach(module: "Any") -> bool:
    """Watch the calls of this module's pools; tell if it has any."""
    door = _DOORS.get(module.__name__)
    if door is not None:
        door(module)
    return door is not None


def _attach_pool(module: "Any") -> None:
    pool = module.Pool
    for name in ("map", "starmap"):
        replace(pool, name, lambda original: _make_call(original, of_pool, is_done=True))
    for name in ("map_async", "starmap_async", "imap", "imap_unordered"):
        replace(pool, name, lambda original: _make_call(original, of_pool))
    replace(pool, "apply_async", lambda original: _make_single(original, of_pool))
    for name in ("terminate", "join"):
        replace(pool, name, _make_end)


def _attach_executor(module: "Any") -> None:
    for name in ("ProcessPoolExecutor", "ThreadPoolExecutor"):
        executor = getattr(module, name, None)
        if executor is not None and executor.__module__ == module.__name__:
            replace(executor, "map", lambda original: _make_executor_map(original, of_executor))
            replace(executor, "submit", lambda original: _make_single(original, of_executor))
            replace(executor, "shutdown", _make_end)


def _attach_joblib(module: "Any") -> None:
    replace(module.Parallel, "__call__", _make_parallel)


def _attach_own_pool(module: "Any") -> None:
    pool = module.Pool
    replace(pool, "__init__", _make_init)
    names = ("map", "starmap", "map_async", "starmap_async", "imap", "imap_unordered",
             "istarmap", "istarmap_unordered")  # fmt: skip
    for name in names:
        replace(pool, name, lambda original: _make_call(original, of_own))
    for name in ("apply", "apply_async"):
        replace(pool, name, lambda original: _make_single(original, of_own))
    for name in ("terminate", "join"):
        replace(pool, name, _make_end)


def _attach_own_executor(module: "Any") -> None:
    executor = module.ProcessPoolExecutor
    replace(executor, "__init__", _make_init)
    replace(executor, "map", lambda original: _make_executor_map(original, of_own))
    replace(executor, "submit", lambda original: _make_single(original, of_own))
    replace(executor, "shutdown", _make_end)


_DOORS: "dict[str, Callable[[Any], None]]" = {
    "multiprocessing.pool": _attach_pool,
    "multiprocess.pool": _attach_pool,
    "concurrent.futures.process": _attach_executor,
    "concurrent.futures.thread": _attach_executor,
    "loky.process_executor": _attach_executor,
    "joblib.externals.loky.process_executor": _attach_executor,
    "joblib.parallel": _attach_joblib,
    "poolwise.pool": _attach_own_pool,
    "poolwise.executor": _attach_own_executor,
}


# -- what the methods become


def _make_call(original: "Method", make: "Make", *, is_done: bool = False) -> "Method":
    is_star = "starmap" in original.__name__

    def call(
        self: "Any",
        func: "Any",
        iterable: "Any",
        chunksize: "int | None" = None,
        *rest: "Any",
        **more: "Any",
    ) -> "Any":
        told = _begin(self, original.__name__, func, make, chunksize, is_kept=not is_done)
        watched = _watch(told, func, iterable, is_star=is_star)
        given = () if chunksize is None and not rest else (chunksize,)
        try:
            result = original(self, func, watched, *given, *rest, **more)
        except BaseException as error:
            hide(error)
            raise
        if is_done:
            attempt("verify", lambda: verify.try_out(told))
        else:
            verify.wait(told)
        return result

    return call


def _make_executor_map(original: "Method", make: "Make") -> "Method":
    def map(self: "Any", fn: "Any", *iterables: "Any", **more: "Any") -> "Any":  # noqa: A001
        told = _begin(self, "map", fn, make, more.get("chunksize"))
        if len(iterables) == 1:
            iterables = (_watch(told, fn, iterables[0]),)
        elif told is not None:
            iterables = _watch_columns(told, fn, iterables)
        try:
            result = original(self, fn, *iterables, **more)
        except BaseException as error:
            hide(error)
            raise
        verify.wait(told)
        return result

    return map


def _make_single(original: "Method", make: "Make") -> "Method":
    name = original.__name__

    def single(self: "Any", func: "Any", /, *args: "Any", **keywords: "Any") -> "Any":
        told: list[verify.Call] = []

        def tell() -> None:
            call = verify.gather(_number(self), name, func, lambda api: make(self, api, None))
            if call is not None:
                given = (args, keywords) if name == "submit" else _arguments(*args, **keywords)
                call.submit(func, *given)
                told.append(call)

        if not calls.is_inside_map():
            attempt("verify", tell)
        try:
            result = original(self, func, *args, **keywords)
        except BaseException as error:
            hide(error)
            raise
        if told and name != "apply":
            attempt("verify", lambda: told[0].follow(result))
        return result

    return single


def _make_parallel(original: "Method") -> "Method":
    def __call__(self: "Any", iterable: "Any") -> "Any":
        told: list[verify.Call | None] = [None]
        watched = _watch_parallel(self, iterable, told)
        try:
            result = original(self, watched)
        except BaseException as error:
            hide(error)
            raise
        if type(result) is list:
            attempt("verify", lambda: verify.try_out(told[0]))
        else:
            verify.wait(told[0])
        return result

    return __call__


def _make_init(original: "Method") -> "Method":
    def __init__(self: "Any", *args: "Any", **more: "Any") -> None:
        self._poolwise_given = args, more
        try:
            original(self, *args, **more)
        except BaseException as error:
            hide(error)
            raise

    return __init__


def _make_end(original: "Method") -> "Method":
    def end(self: "Any", *args: "Any", **more: "Any") -> None:
        try:
            original(self, *args, **more)
        except BaseException as error:
            hide(error)
            raise
        if more.get("wait", args[0] if args else True):
            attempt("verify", lambda: verify.end_pool(_number(self)))

    return end


# -- what they tell


def _begin(  # noqa: PLR0913 - the facts of a call
    pool: "Any", api: str, function: "Any", make: "Make", chunk: "Any", *, is_kept: bool = True
) -> "verify.Call | None":
    told: list[verify.Call | None] = [None]

    def begin() -> None:
        told[0] = verify.begin(
            _number(pool), api, function, lambda api: make(pool, api, chunk), is_kept=is_kept
        )

    attempt("verify", begin)
    return told[0]


def _watch(
    told: "verify.Call | None", function: "Any", iterable: "Any", *, is_star: bool = False
) -> "Any":
    """The input, or one that gives the same and tells what it gave."""
    watched = [iterable]

    def watch() -> None:
        if told is not None:
            watched[0] = told.watch(function, iterable, is_star=is_star)

    attempt("verify", watch)
    return watched[0]


def _watch_columns(told: "verify.Call", function: "Any", iterables: "Any") -> "Any":
    """Inputs that are read side by side, one of each at a time."""
    if all(hasattr(each, "__len__") for each in iterables):
        told.watch(function, list(zip(*iterables)), is_star=True)  # noqa: B905 - as the original
        return iterables
    row: list[Any] = []
    last = len(iterables) - 1

    def pass_on(number: int, iterable: "Any") -> "Iterator[Any]":
        for each in iterable:
            if number == 0:
                row.clear()
            row.append(each)
            if number == last:
                told.add(function, tuple(row), {})
            yield each

    return tuple(pass_on(number, each) for number, each in enumerate(iterables))


def _watch_parallel(parallel: "Any", iterable: "Any", told: "list[verify.Call | None]") -> "Any":
    """Pass joblib's calls through and note them; the first one tells the function."""

    def add(task: "Any") -> None:
        function, args, keywords = task
        if told[0] is None:
            told[0] = verify.begin(0, "Parallel", function, lambda _: of_joblib(parallel))
        if told[0] is not None:
            told[0].add(function, tuple(args), keywords)

    def pass_on() -> "Iterator[Any]":
        for task in iterable:
            attempt("verify", lambda: add(task))  # noqa: B023 - called at once
            yield task

    is_sized = hasattr(iterable, "__len__")
    return verify.Sized(pass_on(), len(iterable)) if is_sized else pass_on()


def _number(pool: "Any") -> int:
    made: tuple[int, ...] | None = getattr(getattr(pool, "_engine", None), "_poolwise_made", None)
    return made[0] if made else int(getattr(pool, "_poolwise_pool", 0))


def _arguments(args: "Any" = (), kwds: "Any" = None, *_: "Any", **__: "Any") -> "tuple[Any, Any]":
    """The arguments that `apply_async` was given for the function."""
    return tuple(args), kwds or {}
