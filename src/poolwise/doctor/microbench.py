"""Times one call of a program again, with other chunk sizes and numbers of workers, in place.

The program runs as it does otherwise, up to the call: there its function, its input and the pool's
initializer are taken, a sample is timed in every setting, and the program ends. Everything that the
function relies on (shared memory, open files, globals) is there as in the real run.

`poolwise checklist` writes a small file that calls `bench`, to be kept beside the program.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing.pool
import os
import runpy
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from types import FrameType
from typing import Any

from poolwise.report import figures

_FILE = '''\
"""Times {function}() as {name}:{line} calls it. Written by `poolwise checklist`.

    python {own_name} [the program's arguments]

Run it again when the data or the machine changes; edit the numbers below as you like. The program
runs up to the call, so that all is there that the function needs, and ends after the benchmark.
"""

import os

from poolwise.doctor.microbench import Plan, bench

if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    plan = Plan(
        function={function!r},
        line={line},
        api={api!r},
        chunksizes={chunksizes},
        workers={workers},
        sample={sample},
    )
    bench(os.path.join(here, {path!r}), plan)
'''


@dataclass(frozen=True)
class Plan:
    """The experiments: the call at a line of a program, in these settings, on so many items."""

    function: str
    line: int
    api: str
    chunksizes: Sequence[int]
    workers: Sequence[int]
    sample: int


@dataclass(frozen=True)
class _Call:
    """A call that was caught, and how its pool's workers begin."""

    function: Callable[..., Any]
    items: Sequence[Any]
    is_starred: bool
    initializer: Callable[..., Any] | None
    arguments: tuple[Any, ...]


def write_file(path: str, program: str, plan: Plan) -> None:
    """Write the benchmark of a call to a file, which names the program relative to itself."""
    text = _FILE.format(
        function=plan.function,
        name=os.path.basename(program),
        own_name=os.path.basename(path),
        path=os.path.relpath(program, os.path.dirname(os.path.abspath(path))),
        line=plan.line,
        api=plan.api,
        chunksizes=list(plan.chunksizes),
        workers=list(plan.workers),
        sample=plan.sample,
    )
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def bench(program: str, plan: Plan) -> None:
    """Run the program up to the call, time that in every setting, and end.

    :raises SystemExit: the program ended without coming to the call.
    """
    for owner in (multiprocessing.pool.Pool, concurrent.futures.ProcessPoolExecutor):
        original = getattr(owner, plan.api, None)
        if original is not None:
            setattr(owner, plan.api, _catch(original, program, plan))
    sys.argv[0] = program
    sys.path[0] = os.path.dirname(program)
    runpy.run_path(program, run_name="__main__")
    sys.exit(f"the program did not come to {plan.api}() at line {plan.line}: has it changed?")


def _catch(original: Callable[..., Any], program: str, plan: Plan) -> Callable[..., Any]:
    """The method, but for the call that is to be timed: after that the program ends."""

    def call(pool: Any, function: Any, *inputs: Any, **options: Any) -> Any:
        frame = sys._getframe(1)  # noqa: SLF001 - who calls is the question
        if not _is_there(frame, program, plan.line):
            return original(pool, function, *inputs, **options)
        _time_all(_describe(pool, function, inputs, plan), plan)
        sys.stdout.flush()
        os._exit(0)  # the rest of the program belongs to a run that is not finished

    return call


def _is_there(frame: FrameType, program: str, line: int) -> bool:
    file = frame.f_code.co_filename
    is_file = os.path.exists(file) and os.path.samefile(file, program)
    lines = 8  # a call may have moved so far in its file, or take so many
    return is_file and abs(frame.f_lineno - line) <= lines


def _describe(pool: Any, function: Any, inputs: tuple[Any, ...], plan: Plan) -> _Call:
    is_starred = plan.api == "starmap" or len(inputs) > 1
    given = zip(*inputs, strict=False) if len(inputs) > 1 else inputs[0]
    items = list(islice(given, plan.sample))
    return _Call(function, items, is_starred, pool._initializer, pool._initargs)  # noqa: SLF001


def _time_all(call: _Call, plan: Plan) -> None:
    print(f"{plan.function}() on {len(call.items):,} items, best of {_ROUNDS} rounds")  # noqa: T201
    for count in plan.workers:
        most = max(1, len(call.items) // count)
        for size in [size for size in plan.chunksizes if size <= most]:
            best_s = _time_pool(call, count, size)
            setting = f"  workers {count:>3}  chunksize {size:>6,}"
            print(f"{setting}  {figures.seconds(best_s):>9}", flush=True)  # noqa: T201
    print(f"  plain loop{'':<22}{figures.seconds(_time_loop(call)):>9}")  # noqa: T201


_ROUNDS = 3


def _time_pool(call: _Call, count: int, size: int) -> float:
    """The best of some rounds in one warm pool, in seconds."""
    with multiprocessing.pool.Pool(count, call.initializer, call.arguments) as pool:
        run = pool.starmap if call.is_starred else pool.map
        best_s = float("inf")
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            run(call.function, call.items, chunksize=size)
            best_s = min(best_s, time.perf_counter() - began)
        return best_s


def _time_loop(call: _Call) -> float:
    """Time a plain loop in this process, in seconds. An initializer is run as in a worker."""
    if call.initializer is not None:
        call.initializer(*call.arguments)
    began = time.perf_counter()
    for item in call.items:
        if call.is_starred:
            call.function(*item)
        else:
            call.function(item)
    return time.perf_counter() - began
