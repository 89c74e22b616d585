"""The benchmark of a machine: what processes, messages, pickles, copies and CPUs cost on it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import platform
import shutil
import sys
import threading
from array import array
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from time import perf_counter, thread_time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from poolwise.bench.readings import Name, Probe, Reading
from poolwise.bench.sharing import Sharing, measure_sharing
from poolwise.pool import Pool
from poolwise.quantities import say_bytes
from poolwise.system import cgroups, figures
from poolwise.system.cpus import cpu_count
from poolwise.system.limits import machine_bytes

if TYPE_CHECKING:
    from typing_extensions import Self

Measured = Iterator[tuple[Name, float]]


def nothing(_: Any = None) -> None:
    """Do what costs nothing, so that all of its time is the pool's."""


def burn(loops: int) -> int:
    """Compute in plain Python; the sum keeps it from being nothing."""
    total = 0
    for number in range(loops):
        total += number & 7
    return total


class Pools:
    """Pools that stay from round to round: what is warm in a program that runs for a while."""

    def __init__(self) -> None:
        self.one = Pool(1)
        self.threads = Pool(1, backend="threads")
        self.all = Pool(cpu_count())
        self.loops = _loops_for(0.05)

    def __enter__(self) -> Self:
        for pool in (self.one, self.threads, self.all):
            pool.map(nothing, range(1000))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: object, traceback: TracebackType | None
    ) -> None:
        for pool in (self.one, self.threads, self.all):
            pool.terminate()
            pool.join()


def _loops_for(seconds: float) -> int:
    """Number of loops that take so long here: the least of some tries, of CPU time."""
    tries = 20_000
    return max(1, round(tries * seconds / min(_timed_cpu(tries) for _ in range(5))))


def _timed_cpu(loops: int) -> float:
    begun_s = thread_time()
    burn(loops)
    return max(1e-9, thread_time() - begun_s)


def _timed(act: Callable[[], object], times: int = 1) -> float:
    """Seconds that one of so many repetitions takes."""
    begun_s = perf_counter()
    for _ in range(times):
        act()
    return (perf_counter() - begun_s) / times


# -- probes


def time_starts(_: Pools) -> Measured:
    """Until a new worker answers, by start method; and a thread."""
    for method in multiprocessing.get_all_start_methods():
        begun_s = perf_counter()
        with Pool(1, context=method) as pool:
            pool.apply(nothing)
            yield Name(f"start.{method}", f"worker process, {method}"), perf_counter() - begun_s
    yield Name("start.thread", "thread"), _timed(_run_thread, 20)


def _run_thread() -> None:
    thread = threading.Thread(target=nothing)
    thread.start()
    thread.join()


def time_calls(pools: Pools) -> Measured:
    """Round trips, and what chunks and items cost, from outside and from the pool's account."""
    yield (
        Name("call.process", "round trip of an empty call"),
        _timed(partial(pools.one.apply, nothing), 100),
    )
    yield (
        Name("call.thread", "the same to a thread"),
        _timed(partial(pools.threads.apply, nothing), 100),
    )
    yield Name("chunk.process", "a chunk: the parent's time"), _parent_s_a_chunk(pools.one)
    yield Name("chunk.thread", "the same with threads"), _parent_s_a_chunk(pools.threads)
    items = range(50_000)
    yield (
        Name("item.process", "an item of a long map"),
        (_timed(partial(pools.one.map, nothing, items)) / len(items)),
    )


def _parent_s_a_chunk(pool: Pool) -> float:
    before = pool.report()
    for _ in range(20):
        pool.map(nothing, range(4))
    after = pool.report()
    steps = ("send", "decide", "receive")
    spent_s = sum(after.parent[step] - before.parent[step] for step in steps)
    return max(1e-9, spent_s / max(1, after.chunks - before.chunks))


def time_standard_pool(_: Pools) -> Measured:
    """Tiny work in the standard library's pool, one item a message and many."""
    with multiprocessing.Pool(1) as pool:
        pool.apply(nothing)
        for size, count in ((1, 1000), (500, 50_000)):
            run = partial(pool.map, nothing, range(count), chunksize=size)
            name = Name(f"standard.{size}", f"an item, chunksize={size}")
            yield name, _timed(run) / count


def time_pickles(_: Pools) -> Measured:
    """Bytes a second into a pickle and out of it, by type."""
    for kind, value in make_values().items():
        pickled = pickle.dumps(value, 5)
        for verb, act in (
            ("pickle", partial(pickle.dumps, value, 5)),
            ("unpickle", partial(pickle.loads, pickled)),
        ):
            rate = len(pickled) / max(1e-9, _timed(act, 3))
            yield Name(f"{verb}.{kind}", f"{verb} {kind}", "bytes/s"), rate


def make_values() -> dict[str, Any]:
    """Values of the usual types, each of some hundred kilobytes; numpy where it is there."""
    values: dict[str, Any] = {
        "ints": [number * 1_000_003 for number in range(50_000)],
        "strings": [f"a string of some length, {number}" for number in range(10_000)],
        "dicts": [{"id": number, "name": f"n{number}", "x": number / 7} for number in range(5000)],
        "arrays": array("d", bytes(1 << 20)),
    }
    if find_spec("numpy") is not None:
        import numpy as np

        values["arrays"] = np.zeros(1 << 17)
    return values


def time_messages(pools: Pools) -> Measured:
    """An argument by size: in the pipe, in shared memory, and as a bare copy."""
    for found in measure_sharing(1, 20, pools.one):
        size = f"{found.size_bytes >> 10} KiB"
        yield Name(f"pipe.{found.size_bytes}", f"{size} in the pipe"), found.pickled_s
        yield Name(f"arena.{found.size_bytes}", f"{size} in shared memory"), found.shared_s
        yield Name(f"memcpy.{found.size_bytes}", f"{size} copied"), _time_copy(found.size_bytes)


def _time_copy(size_bytes: int) -> float:
    source, target = bytearray(size_bytes), bytearray(size_bytes)

    def copy() -> None:
        target[:] = source

    copy()
    return _timed(copy, 20)


def time_cores(pools: Pools) -> Measured:
    """CPUs' worth of a busy loop on 1, 2, 4, ... and all workers at once."""
    alone_s = 0.0
    for count in list_counts(cpu_count()):
        spent_s = _timed(partial(pools.all.map, burn, [pools.loops] * count, 1))
        alone_s = alone_s or spent_s
        words = f"{count} busy {'worker' if count == 1 else 'workers'}"
        if count > 1:
            yield Name(f"cores.{count}", words, "cpus"), count * alone_s / spent_s
        else:
            yield Name("loop", "a busy loop of plain Python, alone"), spent_s


def list_counts(most: int) -> list[int]:
    """1, 2, 4, ... and the most."""
    return sorted({1 << power for power in range(most.bit_length()) if 1 << power <= most} | {most})


SECTIONS: Mapping[str, Probe] = {
    "Until it works": time_starts,
    "Calls and chunks": time_calls,
    "multiprocessing.Pool": time_standard_pool,
    "Pickles": time_pickles,
    "A call with an argument": time_messages,
    "CPUs that scale": time_cores,
}


# -- what the figures are for


def find_sharing(readings: list[Reading]) -> list[Sharing]:
    """Both ways by size, for :func:`poolwise.bench.sharing.find_threshold`."""
    values = {reading.name.key: reading.value for reading in readings}
    sizes = [int(key.partition(".")[2]) for key in values if key.startswith("pipe.")]
    return [Sharing(size, values[f"pipe.{size}"], values[f"arena.{size}"]) for size in sizes]


def make_figures(readings: list[Reading]) -> figures.Figures:
    """Figures that choices and predictions go by."""
    values = {reading.name.key: reading.value for reading in readings}
    starts = {
        # The first start of a forkserver's worker is that of the server as well.
        each.name.key.removeprefix("start."): each.values[0]
        if each.name.key == "start.forkserver"
        else each.value
        for each in readings
        if each.name.key.startswith("start.") and each.name.key != "start.thread"
    }
    sharing = sorted(find_sharing(readings), key=lambda each: each.size_bytes)
    least, most = sharing[0], sharing[-1]
    copied = (most.shared_s - least.shared_s) / max(1, most.size_bytes - least.size_bytes)
    return figures.Figures(
        starts,
        thread_start_s=values["start.thread"],
        copy_s_per_byte=copied if copied > 0 else figures.Figures({}).copy_s_per_byte,
        chunk_s=values["chunk.process"],
        thread_chunk_s=values["chunk.thread"],
        item_s=values["item.process"],
        source="bench",
    )


# -- facts


def list_facts() -> dict[str, str]:
    """The machine, the interpreter and their limits, in words."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} CPUs",
        "CPUs for this process": _say_cpus(),
        "CPU quota": ", ".join(f"{each.cpus:g} CPUs" for each in cgroups.quotas()) or "none",
        "memory": _say_memory(),
        "/dev/shm": _say_shared_memory(),  # noqa: S108 - the name of a fact
        "BLAS and OpenMP": say_native_threads(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.platform(terse=True),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [line.partition(":")[2] for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0].strip() if names else platform.processor() or platform.machine()


def _say_cpus() -> str:
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = f"{len(affinity(0))} by affinity" if affinity else "no affinity on this system"
    return f"{cpu_count()} workers by default ({allowed})"


def _say_memory() -> str:
    least = min(cgroups.memory_limits(), key=lambda each: each.limit_bytes, default=None)
    limit = f", {say_bytes(least.limit_bytes)} for its control group" if least else ""
    return f"{say_bytes(machine_bytes())}{limit}"


def _say_shared_memory() -> str:
    try:
        usage = shutil.disk_usage("/dev/shm")  # noqa: S108 - how full it is
    except OSError:
        return "there is none"
    return f"{say_bytes(usage.free)} free of {say_bytes(usage.total)}"


def say_native_threads() -> str:
    """Threads of BLAS and OpenMP, as threadpoolctl finds them once numpy is loaded."""
    if find_spec("threadpoolctl") is None:
        return "not known: threadpoolctl is not installed"
    if find_spec("numpy") is not None:
        import numpy  # noqa: F401, ICN001 - its libraries are to be looked at
    import threadpoolctl

    found = threadpoolctl.threadpool_info()
    said = [f"{pool.get('internal_api')} {pool.get('num_threads')} threads" for pool in found]
    return ", ".join(said) or "no library of native threads is loaded"


def say_other_load() -> str:
    """The load of the machine before the measurement, if that is much."""
    if not hasattr(os, "getloadavg") or sys.platform == "win32":
        return ""
    load = os.getloadavg()[0]
    return f"load {load:.1f}" if load > cpu_count() / 2 else ""
