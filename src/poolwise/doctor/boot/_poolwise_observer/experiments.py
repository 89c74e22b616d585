"""Runs inside a snapshot of the program: times its own function in other ways, within a budget.

Which ways is told by `poolwise.doctor.choose`, which diagnoses the records so far. Each is timed on
the same items as the call as it was, in turns with it, and told as a multiple of that: what the
machine does meanwhile cancels out.
"""

import json
import os
import sys
from time import perf_counter, process_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .verify import Batch, Item

ROUNDS = 3
"""At most so often each way is timed; the least time counts."""

SHARE = 6
"""The sample is so large that the call as it was takes this part of the budget."""


def run(pool: "Any", batch: "Batch", options: "dict[str, Any]", directory: str) -> "dict[str, Any]":
    """All experiments on one call."""
    trial = Trial(pool, batch, options)
    plan, chooser = _choose(options["path"], directory, batch, len(trial.items))
    trial.end = perf_counter() + options["seconds"]
    return {
        "pids": [chooser],
        "items": len(trial.items),
        "of_items": batch.count,
        "experiments": trial.run(plan),
        "skipped": trial.skipped,
    }


CHOOSE = """
import sys
sys.path.insert(0, sys.argv[1])
from poolwise.doctor.choose import main
main(sys.argv[2:])
"""


def _choose(
    path: str, directory: str, batch: "Batch", sample: int
) -> "tuple[list[list[Any]], int]":
    """Ask a fresh interpreter, which may load what the program has not, for what to try.

    Returns kinds and values of experiments, and that interpreter's pid.
    """
    import subprocess

    place = batch.place or ("", 0, "")
    command = [sys.executable, "-c", CHOOSE, path, directory, place[0], str(place[1]), str(sample)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("POOLWISE_DOCTOR")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:  # noqa: S603
        answer, _ = process.communicate(timeout=20)
    plan: list[list[Any]] = json.loads(answer)
    return plan, process.pid


class Trial:
    """One call, tried in several ways."""

    def __init__(self, pool: "Any", batch: "Batch", options: "dict[str, Any]") -> None:
        self.pool = pool
        self.batch = batch
        self.path = options["path"]
        self.end = 0.0
        self.workers = getattr(pool, "_processes", 0) or getattr(pool, "_max_workers", 1)
        self.items = _sample(batch, options["seconds"] / SHARE, self.workers)
        self.chunk = batch.chunksize or self._default_chunk()
        self.skipped: list[str] = []

    def _default_chunk(self) -> int:
        """As the standard pool chooses: four chunks a worker; an executor's is one item."""
        if not hasattr(self.pool, "_processes") or self.batch.api.startswith(("imap", "apply")):
            return 1
        return -(-len(self.items) // (4 * self.workers))

    def run(self, plan: "list[list[Any]]") -> "list[dict[str, Any]]":
        """Time each way of the plan, in turns with the call as it was, while there is time."""
        ways = [["as-is", None], *plan]
        times: dict[int, list[float]] = {}
        for turn in range(ROUNDS):
            for number, (kind, value) in enumerate(ways):
                expected_s = min(times.get(number, times.get(0, [0.0])))
                if perf_counter() + expected_s > self.end or (turn and number not in times):
                    continue
                self._time(kind, value, times, number)
        for number, (kind, value) in enumerate(ways):
            if number not in times:
                self.skipped.append(f"{kind} {value or ''}".strip())
        base_s = min(times.get(0, [0.0]))
        if not base_s:
            return []
        return [
            {"kind": kind, "value": value, "seconds": min(times[number]),
             "ratio": min(times[number]) / base_s, "rounds": len(times[number])}
            for number, (kind, value) in enumerate(ways) if number in times
        ]  # fmt: skip

    def _time(self, kind: str, value: "Any", times: "dict[int, list[float]]", number: int) -> None:
        try:
            seconds = WAYS[kind](self, value)
        except Exception as error:
            self.skipped.append(f"{kind}: {error!r}"[:200])
        else:
            times.setdefault(number, []).append(seconds)

    # -- the ways

    def as_is(self, _: "Any") -> float:
        """The call as it was, on the sample."""
        return self._in_pool(self.workers, self.chunk)

    def serial(self, _: "Any") -> float:
        """A plain loop, as far as its part of the budget lasts; then as if it had gone on."""
        self._initialise()
        most_s, function = (self.end - perf_counter()) / 4, self.batch.function
        done, began = 0, perf_counter()
        for args, keywords in _spread(self.items, 256):
            function(*args, **keywords)
            done += 1
            if perf_counter() - began > most_s:
                break
        return (perf_counter() - began) / done * len(self.items)

    def chunks(self, value: int) -> float:
        """Other chunks: as large, as long as there are a few a worker; else as many."""
        scale = len(self.items) / max(1, self.batch.count)
        is_enough = len(self.items) >= 4 * self.workers * value
        return self._in_pool(self.workers, value if is_enough else max(1, round(value * scale)))

    def with_workers(self, value: int) -> float:
        """Other workers."""
        return self._in_pool(value, self.chunk)

    def threads(self, value: int) -> float:
        """Threads."""
        from concurrent.futures import ThreadPoolExecutor

        self._initialise()
        function = self.batch.function
        with ThreadPoolExecutor(value) as executor:
            began = perf_counter()
            futures = [executor.submit(function, *args, **more) for args, more in self.items]
            for future in futures:
                future.result()
            return perf_counter() - began

    def shared(self, _: "Any") -> float:
        """What `functools.partial` holds, put down once."""
        from functools import partial

        poolwise = self._poolwise()
        function = self.batch.function
        if not isinstance(function, partial):
            message = "the repeated argument is not bound to the function"
            raise TypeError(message)
        args = [poolwise.share(each) for each in function.args]
        keywords = {name: poolwise.share(each) for name, each in function.keywords.items()}
        bound = partial(function.func, *args, **keywords)
        return self._in_pool(self.workers, self.chunk, bound)

    def ours(self, _: "Any") -> float:
        """`poolwise.Pool`, which chooses its chunks itself."""
        initializer, initargs = _initializer(self.pool)
        with self._poolwise().Pool(self.workers, initializer, initargs) as pool:
            pool.map(abs, range(2 * self.workers))
            return _timed(lambda: _map(pool, self.batch.function, self.items, None))

    def _poolwise(self) -> "Any":
        """The library as a program uses it: to this package it is a peer, not a part."""
        if self.path not in sys.path:
            sys.path.append(self.path)
        from importlib import import_module

        return import_module("poolwise")

    def pickled(self, _: "Any") -> float:
        """Packing and unpacking all messages, once each, without a pool."""
        from multiprocessing.reduction import ForkingPickler

        function, some = self.batch.function, self.items[: self.chunk]
        began = process_time()
        repeats = 0
        while process_time() - began < 0.02 and repeats < 200:  # noqa: PLR2004 - long enough to time
            ForkingPickler.loads(ForkingPickler.dumps((function, some)))
            repeats += 1
        return (process_time() - began) / repeats * len(self.items) / len(some)

    # -- how

    def _initialise(self) -> None:
        """What workers do first, in this process, once."""
        initializer, initargs = _initializer(self.pool)
        if initializer is not None and not getattr(self, "is_initialised", False):
            initializer(*initargs)
        self.is_initialised = True

    def _in_pool(self, workers: int, chunk: int, function: "Any" = None) -> float:
        function = function or self.batch.function
        initializer, initargs = _initializer(self.pool)
        if hasattr(self.pool, "_max_workers"):
            return self._in_executor(workers, chunk, function)
        from multiprocessing.pool import ThreadPool

        is_threads = isinstance(self.pool, ThreadPool)
        make = ThreadPool if is_threads else self.pool._ctx.Pool
        with make(workers, initializer, initargs) as pool:
            pool.map(abs, range(2 * workers), 1)
            if self.batch.api.startswith("imap"):
                return _timed(lambda: _imap(pool, function, self.items, chunk))
            return _timed(lambda: _map(pool, function, self.items, chunk))

    def _in_executor(self, workers: int, chunk: int, function: "Any") -> float:
        initializer, initargs = _initializer(self.pool)
        options = {"initializer": initializer, "initargs": initargs}
        context = getattr(self.pool, "_mp_context", None)
        if context is not None:
            options["mp_context"] = context
        with type(self.pool)(workers, **options) as executor:
            list(executor.map(abs, range(2 * workers)))
            if chunk == 1 or context is None:
                return _timed(lambda: _submit(executor, function, self.items))
            calls = [(function, args, keywords) for args, keywords in self.items]
            return _timed(lambda: list(executor.map(_call, calls, chunksize=chunk)))


WAYS: "dict[str, Callable[[Trial, Any], float]]" = {
    "as-is": Trial.as_is,
    "serial": Trial.serial,
    "chunksize": Trial.chunks,
    "workers": Trial.with_workers,
    "threads": Trial.threads,
    "share": Trial.shared,
    "poolwise": Trial.ours,
    "pickle": Trial.pickled,
}


def _sample(batch: "Batch", seconds: float, workers: int) -> "list[Item]":
    """As many items as the call, as it was, does in so many seconds; evenly spread."""
    took_s = (batch.ended - batch.began) / 1e9
    share = min(1.0, seconds / max(took_s, 1e-9))
    most = max(2 * workers, round(batch.count * share))
    return _spread(batch.items, most)


def _spread(items: "list[Item]", most: int) -> "list[Item]":
    if len(items) <= most:
        return items
    return [items[at * len(items) // most] for at in range(most)]


def _initializer(pool: "Any") -> "tuple[Any, Any]":
    return getattr(pool, "_initializer", None), getattr(pool, "_initargs", ())


def _timed(work: "Callable[[], object]") -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def _is_plain(items: "list[Item]") -> bool:
    return all(len(args) == 1 and not keywords for args, keywords in items)


def _map(pool: "Any", function: "Any", items: "list[Item]", chunk: "int | None") -> None:
    if _is_plain(items):
        pool.map(function, [args[0] for args, _ in items], chunk)
    elif any(keywords for _, keywords in items):
        pool.map(_call, [(function, args, keywords) for args, keywords in items], chunk)
    else:
        pool.starmap(function, [args for args, _ in items], chunk)


def _imap(pool: "Any", function: "Any", items: "list[Item]", chunk: int) -> None:
    for _ in pool.imap(function, [args[0] for args, _ in items], chunk):
        pass


def _submit(executor: "Any", function: "Any", items: "list[Item]") -> None:
    futures = [executor.submit(function, *args, **keywords) for args, keywords in items]
    for future in futures:
        future.result()


def _call(call: "tuple[Any, Any, Any]") -> "Any":
    function, args, keywords = call
    return function(*args, **keywords)
