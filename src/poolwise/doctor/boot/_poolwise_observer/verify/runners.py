"""Runners of a call's tasks, which run them again as they were, or a little differently.

A runner is made from the user's pool and keeps what another such pool is made with, not the pool.
The pools are made in a snapshot of the program (`experiments.py`), nowhere else.
"""

import sys
from time import perf_counter
from weakref import ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .calls import Task

    Begin = tuple[Callable[..., object] | None, tuple[Any, ...]]
    Make = Callable[[int, Begin], Any]
    Errors = list[BaseException]
    Run = Callable[[Any, str, Sequence[Task], int | None, Errors], None]

NO_BEGIN: "Begin" = (None, ())


class Runner:
    """A kind of pool, its workers and its chunks.

    `make(workers, (initializer, initargs))` is such a pool, to be used in a `with`; None if there
    is no way, and then `why` says so. `run(pool, api, tasks, chunk, errors)` gives it tasks the way
    `api` does, and waits for them; what single tasks raise goes to `errors`.
    """

    def __init__(  # noqa: PLR0913 - what a pool is made of
        self,
        owner: "Any",
        api: str,
        make: "Make | None",
        run: "Run",
        *,
        workers: int = 1,
        chunk: "int | None" = None,
        begin: "Begin" = NO_BEGIN,
        why: str = "",
    ) -> None:
        self.api = api
        self.make = make
        self.workers = workers
        self.chunk = chunk
        self.begin = begin
        self.why = why
        self._run = run
        self._owner = ref(owner)

    def is_busy(self) -> bool:
        """True if the user's pool still has something to do."""
        owner = self._owner()
        queue: Any = getattr(owner, "_work_queue", None)  # threads
        has_queued = hasattr(queue, "qsize") and queue.qsize() > 0
        return bool(
            has_queued
            or getattr(owner, "_pending_work_items", None)  # executors
            or getattr(owner, "_cache", None)  # multiprocessing.Pool
        )

    def time(  # noqa: PLR0913 - what can be other than it was
        self,
        tasks: "Sequence[Task]",
        errors: "Errors",
        workers: "int | None" = None,
        chunk: "int | None" = None,
        begin: "Begin | None" = None,
        *,
        is_together: bool = False,
    ) -> float:
        """Seconds that the tasks take in a pool whose workers are there already.

        With a chunk size, or if they are to be, tasks are handed out all together.
        """
        assert self.make is not None  # noqa: S101 - asked before
        workers = workers or self.workers
        is_together = is_together or (chunk is not None and "imap" not in self.api)
        api = "map" if is_together else self.api
        with self.make(workers, begin or self.begin) as pool:
            self._run(pool, "map", [(abs, (0,), {})] * (2 * workers), 1, errors)
            began = perf_counter()
            self._run(pool, api, tasks, chunk or self.chunk, errors)
            return perf_counter() - began

    def chunk_of(self, tasks: "Sequence[Task]") -> int:
        """The number of tasks that travel together, as far as is known before."""
        return self.chunk or -(-len(tasks) // (4 * self.workers))


# -- kinds of pools


_SINGLY = ("apply", "apply_async", "imap", "imap_unordered")
"""Methods of a standard pool that send item by item by default."""


def of_pool(pool: "Any", api: str, chunk: "int | None") -> Runner:
    """`multiprocessing.Pool` or `ThreadPool`."""
    make = _make_pool(pool)
    begin = (pool._initializer, tuple(pool._initargs))
    run = run_in_pool
    if api in _SINGLY:
        chunk = chunk or 1
    return Runner(pool, api, make, run, workers=pool._processes, chunk=chunk, begin=begin)


def _make_pool(pool: "Any") -> "Make":
    context, more = pool._ctx, (pool._maxtasksperchild,)
    if hasattr(pool._inqueue, "_writer"):
        return lambda workers, begin: context.Pool(workers, *begin, *more)
    kind = next(each for each in type(pool).__mro__ if each.__name__ == "ThreadPool")
    return lambda workers, begin: kind(workers, *begin)


def of_executor(executor: "Any", api: str, chunk: "int | None") -> Runner:
    """One of `concurrent.futures`, or of loky."""
    kinds = ("ProcessPoolExecutor", "ThreadPoolExecutor")
    make = next(each for each in type(executor).__mro__ if each.__name__ in kinds)
    names = {
        "_mp_context": "mp_context",
        "_context": "context",
        "_max_tasks_per_child": "max_tasks_per_child",
        "_env": "env",
    }
    options = {
        option: getattr(executor, name)
        for name, option in names.items()
        if getattr(executor, name, None) is not None
    }
    workers = executor._max_workers
    return Runner(
        executor,
        api,
        lambda workers, begin: make(workers, initializer=begin[0], initargs=begin[1], **options),
        run_in_executor,
        workers=workers,
        chunk=chunk or 1,
        begin=_begin_of(executor),
    )


def _begin_of(executor: "Any") -> "Begin":
    if hasattr(executor, "_initializer"):
        return executor._initializer, tuple(executor._initargs)
    context = executor._create_worker_context()  # of threads, since Python 3.14
    return context.initializer, tuple(context.initargs)


def of_own(pool: "Any", api: str, chunk: "int | None") -> Runner:
    """`poolwise.Pool` or `poolwise.ProcessPoolExecutor`, made with the same arguments."""
    kind, (args, keywords) = type(pool), pool._poolwise_given
    is_executor = hasattr(kind, "submit")
    names = (
        ("max_workers", "mp_context", "initializer", "initargs")
        if is_executor
        else ("processes", "initializer", "initargs", "maxtasksperchild", "context")
    )
    options = {**dict(zip(names, args)), **keywords}  # noqa: B905 - as many as were given
    for name in (names[0], "progress", "on_event", "worker_output"):
        options.pop(name, None)
    begin = (options.pop("initializer", None), tuple(options.pop("initargs", ())))
    return Runner(
        pool,
        api,
        lambda workers, begin: kind(workers, initializer=begin[0], initargs=begin[1], **options),
        run_in_executor if is_executor else run_in_pool,
        workers=pool._max_workers if is_executor else pool._processes,
        chunk=chunk,
        begin=begin,
    )


_BACKENDS = {
    "LokyBackend": "loky",
    "ThreadingBackend": "threading",
    "MultiprocessingBackend": "multiprocessing",
}


def of_joblib(parallel: "Any") -> Runner:
    """`joblib.Parallel`, on one of its own back ends."""
    kind, backend = type(parallel), type(parallel._backend).__name__
    why = f"joblib's {backend} is not one that can be made again"
    if backend == "SequentialBackend":
        why = "joblib ran it as a plain loop"
    kept = ("max_nbytes", "mmap_mode", "temp_folder", "prefer", "require")
    given = getattr(parallel, "_backend_kwargs", {})
    options = {name: given[name] for name in kept[:3] if name in given}
    options.update(backend=_BACKENDS.get(backend), pre_dispatch=parallel.pre_dispatch)

    def make(workers: int, begin: "Begin") -> "Any":
        if begin != NO_BEGIN:
            message = "joblib's workers have no beginning of their own"
            raise TypeError(message)
        return kind(n_jobs=workers, **options)

    size = parallel.batch_size
    return Runner(
        parallel,
        "Parallel",
        make if backend in _BACKENDS else None,
        run_in_joblib,
        workers=getattr(parallel, "_cached_effective_n_jobs", 1),
        chunk=size if type(size) is int else None,
        why=why,
    )


# -- running


def run_in_pool(
    pool: "Any", api: str, tasks: "Sequence[Task]", chunk: "int | None", errors: "Errors"
) -> None:
    """Run tasks as `multiprocessing.Pool` is asked to, and ours."""
    if api == "apply":
        for function, args, keywords in tasks:
            _collect(errors, lambda: pool.apply(function, args, keywords))  # noqa: B023 - at once
    elif api == "apply_async" and chunk in (1, None):
        for result in [pool.apply_async(*task) for task in tasks]:
            _collect(errors, result.get)
    elif "imap" in api:
        _read_stream(pool, tasks, chunk, errors)
    else:
        function, items, is_star = as_map(tasks)
        (pool.starmap if is_star else pool.map)(function, items, chunk)


def _read_stream(
    pool: "Any", tasks: "Sequence[Task]", chunk: "int | None", errors: "Errors"
) -> None:
    function, items, is_star = as_map(tasks)
    if is_star:
        function, items = call, tasks
    stream = iter(pool.imap(function, items, chunk))
    came = 0
    while _collect(errors, lambda: next(stream)):
        came += 1
    if came < len(tasks):
        raise errors[-1]  # a chunk with a failure is the last that is given


def run_in_executor(
    executor: "Any", api: str, tasks: "Sequence[Task]", chunk: "int | None", errors: "Errors"
) -> None:
    """Run tasks as executors are asked to."""
    if api == "apply":
        for function, args, keywords in tasks:
            _collect(errors, executor.submit(function, *args, **keywords).result)
    elif api != "map" and chunk in (1, None):
        futures = [executor.submit(function, *args, **more) for function, args, more in tasks]
        for future in futures:
            _collect(errors, future.result)
    else:
        function, items, is_star = as_map(tasks)
        columns = zip(*items) if is_star else [items]  # noqa: B905 - equally long
        options = {} if chunk is None else {"chunksize": chunk}
        for _ in executor.map(function, *columns, **options):
            pass


def run_in_joblib(
    parallel: "Any", _: str, tasks: "Sequence[Task]", chunk: "int | None", __: "Errors"
) -> None:
    """Run tasks as joblib is asked to: a pool that is open already takes another call."""
    if hasattr(parallel._backend, "reset_batch_stats"):
        parallel._backend.reset_batch_stats()  # how long tasks of another call took
    parallel.batch_size = chunk or "auto"
    parallel(iter(tasks))


def _collect(errors: "Errors", wait: "Callable[[], object]") -> bool:
    """Wait for a task; what it raises goes to the others. False if there is none."""
    try:
        wait()
    except StopIteration:
        return False
    except Exception as error:
        errors.append(error)
    return True


def as_map(tasks: "Sequence[Task]") -> "tuple[Any, Sequence[Any], bool]":
    """Function, items, and whether each item is a tuple of arguments, as a `map` takes them."""
    function = tasks[0][0]
    if any(each is not function or keywords for each, _, keywords in tasks):
        return call, tasks, False
    if all(len(args) == 1 for _, args, _ in tasks):
        return function, [args[0] for _, args, _ in tasks], False
    return function, [args for _, args, _ in tasks], True


def call(task: "Task") -> "Any":
    """Do a task."""
    function, args, keywords = task
    return function(*args, **keywords)


# -- what workers have before


def put_down(tasks: "Sequence[Task]", begin: "Begin") -> "tuple[list[Task], Begin]":
    """Take what tasks have in common out of them, into a beginning of each worker.

    :raises ValueError: they have nothing in common but their function.
    """
    plain = [_spread_out(task) for task in tasks]
    function, first, keywords = plain[0]
    size = len(first)
    if any(each is not function or len(args) != size for each, args, _ in plain):
        message = "the tasks are not alike"
        raise ValueError(message)
    common = {
        number: first[number]
        for number in range(size)
        if all(args[number] is first[number] for _, args, _ in plain)
    }
    named = {
        name: value
        for name, value in keywords.items()
        if all(more.get(name, more) is value for _, _, more in plain)
    }
    if (not common and not named) or len(plain) == 1:
        message = "no argument is the same object in all tasks"
        raise ValueError(message)
    rests = [
        tuple(value for number, value in enumerate(args) if number not in common)
        for _, args, _ in plain
    ]
    others = [{k: v for k, v in more.items() if k not in named} for _, _, more in plain]
    light: list[Task] = [(resume, rest, more) for rest, more in zip(rests, others)]  # noqa: B905
    return light, (_take_down, (function, size, common, named, begin))


_given: "Any" = None


def _take_down(function: "Any", size: int, common: "Any", named: "Any", begin: "Begin") -> None:
    global _given  # noqa: PLW0603 - what this worker was given before its first task
    _given = function, size, common, named
    initializer, initargs = begin
    if initializer is not None:
        initializer(*initargs)


def resume(*rest: "Any", **more: "Any") -> "Any":
    """Do a task with what was put down."""
    function, size, common, named = _given
    others = iter(rest)
    args = [common[number] if number in common else next(others) for number in range(size)]
    return function(*args, **named, **more)


def _spread_out(task: "Task") -> "Task":
    """The task with what a partial or a method holds among its arguments."""
    function: Any = task[0]
    _, args, keywords = task
    functools = sys.modules.get("functools")
    while functools is not None and type(function) is functools.partial:
        args, keywords = (*function.args, *args), {**function.keywords, **keywords}
        function = function.func
    owner = getattr(function, "__self__", None)
    inner = getattr(function, "__func__", None)
    if owner is not None and inner is not None:
        return inner, (owner, *args), keywords
    return function, args, keywords
