"""Runs inside a snapshot of the program: times its own function in other ways, within a budget.

Which ways is told by `poolwise.doctor.choose`, which diagnoses the records so far. Each is timed on
the same tasks as the call as it was, in turns with it, and told as a multiple of that: what the
machine does meanwhile cancels out.
"""

import json
import os
import sys
from time import perf_counter, process_time

from . import runners

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .calls import Call, Task

ROUNDS = 3
"""Limit of how often each way is timed; the least time counts."""

SHARE = 6
"""The sample is so large that the call as it was takes this part of the budget."""


def run(call: "Call", options: "dict[str, Any]", directory: str) -> "dict[str, Any]":
    """All experiments on one call."""
    if call.is_one_by_one:
        call.runner.api = "apply"
    trial = Trial(call, options)
    trial.size_sample()
    plan, chooser = _choose(options["path"], directory, call, len(trial.tasks))
    trial.end = perf_counter() + options["seconds"]
    return {
        "pids": [chooser],
        "items": len(trial.tasks),
        "of_items": call.count,
        "experiments": trial.run(plan),
        "skipped": trial.skipped,
    }


CHOOSE = """
import sys
sys.path.insert(0, sys.argv[1])
from poolwise.doctor.choose import main
main(sys.argv[2:])
"""


def _choose(path: str, directory: str, call: "Call", sample: int) -> "tuple[list[list[Any]], int]":
    """Ask a fresh interpreter, which may load what the program has not, for what to try.

    Returns kinds and values of experiments, and that interpreter's pid.
    """
    import subprocess

    file, line, _ = call.place
    facts = [directory, file, str(line), str(sample), str(call.pool)]
    command = [sys.executable, "-c", CHOOSE, path, *facts]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("POOLWISE_DOCTOR")}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe) as process:  # noqa: S603
        answer, errors = process.communicate(timeout=20)
    if process.returncode:
        last = errors.decode(errors="replace").strip().rpartition("\n")[2]
        message = f"the records so far could not be diagnosed ({last})"
        raise RuntimeError(message)
    plan: list[list[Any]] = json.loads(answer)
    return plan, process.pid


class Trial:
    """One call, tried in several ways."""

    def __init__(self, call: "Call", options: "dict[str, Any]") -> None:
        self.runner = call.runner
        self.count = call.count
        self.path = options["path"]
        self.seconds = options["seconds"]
        self.end = 0.0
        self.workers = self.runner.workers
        self.took_s = (call.ended - call.began) / 1e9
        self.all_tasks = call.tasks
        self.tasks = call.tasks
        self.skipped: list[str] = []
        self.errors: list[BaseException] = []
        self.most_errors = 0

    def size_sample(self) -> None:
        """Sample the tasks that the call does in its part of the budget, evenly spread.

        A call that was only over with its pool did not take as long as it seems: what a first
        sample takes is a better measure.
        """
        wanted_s = self.seconds / SHARE
        most = round(self.count * min(1.0, wanted_s / max(self.took_s, 1e-9)))
        self.tasks = _spread(self.all_tasks, max(2 * self.workers, most))
        if len(self.tasks) < len(self.all_tasks):
            took_s = self.as_is(None)
            most = round(len(self.tasks) * wanted_s / max(took_s, 1e-9))
            self.tasks = _spread(self.all_tasks, max(len(self.tasks), most))

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
            if 0 not in times:
                break  # nothing to compare with
        named = {each.partition(":")[0] for each in self.skipped}
        for number, (kind, value) in enumerate(ways):
            if number not in times and _name(kind, value) not in named:
                self.skipped.append(_name(kind, value))
        base_s = min(times.get(0, [0.0]))
        if not base_s:
            return []
        return [
            {"kind": kind, "value": value, "seconds": min(times[number]),
             "ratio": min(times[number]) / base_s, "rounds": len(times[number])}
            for number, (kind, value) in enumerate(ways) if number in times
        ]  # fmt: skip

    def _time(self, kind: str, value: "Any", times: "dict[int, list[float]]", number: int) -> None:
        self.errors.clear()
        try:
            seconds = WAYS[kind](self, value)
        except Exception as error:
            self._skip(kind, value, error)
            return
        if number == 0:
            self.most_errors = max(self.most_errors, len(self.errors))
        if len(self.errors) > self.most_errors:
            self._skip(kind, value, self.errors[0])  # it may have been fast because tasks failed
        else:
            times.setdefault(number, []).append(seconds)

    def _skip(self, kind: str, value: "Any", error: BaseException) -> None:
        told = f"{_name(kind, value)}: {error!r}"[:200]
        if told not in self.skipped:
            self.skipped.append(told)

    # -- the ways

    def as_is(self, _: "Any") -> float:
        """The call as it was, on the sample."""
        return self.runner.time(self.tasks, self.errors)

    def serial(self, _: "Any") -> float:
        """A plain loop, as far as its part of the budget lasts; then as if it had gone on."""
        self._initialise()
        most_s = (self.end - perf_counter()) / 4
        done, began = 0, perf_counter()
        for task in _spread(self.tasks, 256):
            self._do(task)
            done += 1
            if perf_counter() - began > most_s:
                break
        return (perf_counter() - began) / done * len(self.tasks)

    def chunks(self, value: int) -> float:
        """Other chunks: as large, as long as there are a few a worker; else as many."""
        scale = len(self.tasks) / max(1, self.count)
        is_enough = len(self.tasks) >= 4 * self.workers * value
        chunk = value if is_enough else max(1, round(value * scale))
        return self.runner.time(self.tasks, self.errors, chunk=chunk)

    def with_workers(self, value: int) -> float:
        """Other workers."""
        return self.runner.time(self.tasks, self.errors, workers=value)

    def threads(self, value: int) -> float:
        """Threads."""
        from concurrent.futures import ThreadPoolExecutor

        self._initialise()
        with ThreadPoolExecutor(value) as executor:
            began = perf_counter()
            futures = [executor.submit(self._do, task) for task in self.tasks]
            for future in futures:
                future.result()
            return perf_counter() - began

    def shared(self, _: "Any") -> float:
        """Puts down once in each worker what all tasks have in common."""
        tasks, begin = runners.put_down(self.tasks, self.runner.begin)
        return self.runner.time(tasks, self.errors, begin=begin)

    def together(self, _: "Any") -> float:
        """All tasks handed out before the first result is waited for."""
        return self.runner.time(self.tasks, self.errors, is_together=True)

    def ours(self, _: "Any") -> float:
        """`poolwise.Pool`, which chooses its chunks itself."""
        function, items, is_star = runners.as_map(self.tasks)
        with self._poolwise().Pool(self.workers, *self.runner.begin) as pool:
            pool.map(abs, range(2 * self.workers))
            began = perf_counter()
            (pool.starmap if is_star else pool.map)(function, items)
            return perf_counter() - began

    def _poolwise(self) -> "Any":
        """The library as a program uses it: to this package it is a peer, not a part."""
        if self.path not in sys.path:
            sys.path.append(self.path)
        from importlib import import_module

        return import_module("poolwise")

    def pickled(self, _: "Any") -> float:
        """Packing and unpacking all messages, once each, without a pool."""
        from multiprocessing.reduction import ForkingPickler

        function, items, _ = runners.as_map(self.tasks)
        some = items[: self.runner.chunk_of(self.tasks)]
        began = process_time()
        repeats, enough_s, enough = 0, 0.02, 200  # either is long enough to time
        while process_time() - began < enough_s and repeats < enough:
            ForkingPickler.loads(ForkingPickler.dumps((function, some)))
            repeats += 1
        return (process_time() - began) / repeats * len(items) / len(some)

    # -- how

    def _initialise(self) -> None:
        """Run the initializer in this process, once."""
        initializer, initargs = self.runner.begin
        if initializer is not None and not getattr(self, "is_initialised", False):
            initializer(*initargs)
        self.is_initialised = True

    def _do(self, task: "Task") -> None:
        try:
            runners.call(task)
        except Exception as error:
            self.errors.append(error)


WAYS: "dict[str, Callable[[Trial, Any], float]]" = {
    "as-is": Trial.as_is,
    "serial": Trial.serial,
    "chunksize": Trial.chunks,
    "workers": Trial.with_workers,
    "threads": Trial.threads,
    "share": Trial.shared,
    "together": Trial.together,
    "poolwise": Trial.ours,
    "pickle": Trial.pickled,
}


def _name(kind: str, value: "Any") -> str:
    return f"{kind} {value or ''}".strip()


def _spread(tasks: "list[Task]", most: int) -> "list[Task]":
    if len(tasks) <= most:
        return tasks
    return [tasks[at * len(tasks) // most] for at in range(most)]
