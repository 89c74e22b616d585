"""`poolwise.map` against the best fixed choice that a sweep finds, on 16 workloads.

    python -m benchmarks.choosing [--quick] [--busy] [NAME...]

Fixed choices: a loop, 8 and 32 threads, asyncio, and processes with the best of some chunk sizes;
each in turn with ours, in one process, so that all meet the same machine. `--busy` measures
beside two programs that compute. A ratio below 1 says that ours took longer than the best; last
comes what ours chose, with a note if no way of that kind was within a tenth of the best.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import hashlib
import http.server
import itertools
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import poolwise

BLOCK = os.urandom(1 << 20)
ARRAYS = [np.random.default_rng(0).random(1_000_000) for _ in range(2)]
SQUARE = np.random.default_rng(1).random((500, 500))
LINE = json.dumps({"name": "x" * 30, "values": list(range(20)), "nested": {"a": [1.5] * 10}})
CHUNKS = [1, 20, 500]
THREADS = [8, 32]


def tiny(x: int) -> int:
    return x + 1


def medium(x: int) -> int:
    total = 0
    for at in range(2_000):
        total += at ^ x
    return total


def heavy(x: int) -> int:
    return sum(medium(x + at) for at in range(250))


def very_long(x: int) -> int:
    return sum(heavy(x + at) for at in range(10))


def released(x: Any) -> Any:
    return float(np.sqrt(ARRAYS[x % 2]).sum())


def blas(x: Any) -> Any:
    return float((SQUARE @ SQUARE)[0, 0]) + x


def nap(x: Any) -> Any:
    time.sleep(0.01)
    return x


def fetch(url: Any) -> Any:
    with urllib.request.urlopen(url) as answer:
        return len(answer.read())


def read(path: Any) -> Any:
    return len(Path(path).read_bytes())


def squeeze(x: Any) -> Any:
    return len(zlib.compress(BLOCK[: 200_000 + x]))


def hashed(x: Any) -> Any:
    return hashlib.sha256(BLOCK).hexdigest(), x


def parse(line: Any) -> Any:
    return len(json.loads(line)["values"])


def mixed(x: int) -> int:
    time.sleep(0.003)
    return sum(medium(x) for _ in range(25))


def summed(array: Any) -> Any:
    return float(array.sum())


async def awaited(x: Any) -> Any:
    await asyncio.sleep(0.01)
    return x


@dataclass
class Workload:
    """A function and its items.

    :param least: items in a quick run.
    """

    function: Callable[[Any], Any]
    items: Callable[[int], Any]
    count: int
    least: int
    is_lazy: bool = False
    fixed: list[str] = field(default_factory=lambda: ["loop", "threads", "processes"])


def workloads(server: str, folder: str) -> dict[str, Workload]:
    """All sixteen."""
    paths = [str(path) for path in Path(folder).iterdir()]
    return {
        "tiny": Workload(tiny, range, 1_000_000, 200_000, fixed=["loop"]),
        "medium": Workload(medium, range, 20_000, 5_000),
        "heavy": Workload(heavy, range, 60, 20),
        "three long": Workload(very_long, range, 3, 3),
        "numpy": Workload(released, range, 600, 200),
        "BLAS": Workload(blas, range, 200, 60),
        "sleep": Workload(nap, range, 400, 100),
        "HTTP": Workload(fetch, lambda n: [server] * n, 600, 150),
        "files": Workload(
            read, lambda n: list(itertools.islice(itertools.cycle(paths), n)), 5000, 1500
        ),
        "zlib": Workload(squeeze, range, 120, 40),
        "hashing": Workload(hashed, range, 800, 250),
        "JSON lines": Workload(parse, lambda n: [LINE] * n, 100_000, 30_000),
        "CPU and I/O": Workload(mixed, range, 300, 80),
        "big arrays": Workload(summed, lambda n: [ARRAYS[x % 2] for x in range(n)], 400, 100),
        "coroutine": Workload(awaited, range, 1000, 300, fixed=["asyncio"]),
        "endless": Workload(medium, lambda _: itertools.count(), 1000, 1000, is_lazy=True),
    }


# -- the fixed choices


def as_loop(load: Workload, items: Any, count: int) -> None:
    if load.is_lazy:
        list(itertools.islice(map(load.function, items), count))
    else:
        [load.function(x) for x in items]


def as_threads(load: Workload, items: Any, count: int, workers: int) -> None:
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(load.function, bounded(load, items, count)))


def as_processes(load: Workload, items: Any, count: int, chunk: int) -> None:
    with multiprocessing.Pool(poolwise.cpu_count()) as pool:
        pool.map(load.function, bounded(load, items, count), chunksize=chunk)


def as_tasks(load: Workload, items: Any, _: int) -> None:
    async def gather() -> None:
        await asyncio.gather(*(load.function(x) for x in items))

    asyncio.run(gather())


def bounded(load: Workload, items: Any, count: int) -> Any:
    return itertools.islice(items, count) if load.is_lazy else items


def fixed_choices(load: Workload) -> dict[str, Callable[[Any, int], None]]:
    """What the sweep tries for this workload, by name."""
    found: dict[str, Callable[[Any, int], None]] = {}
    if "loop" in load.fixed:
        found["serial"] = lambda items, count: as_loop(load, items, count)
    if "threads" in load.fixed:
        for n in THREADS:
            found[f"threads {n}"] = lambda items, count, n=n: as_threads(load, items, count, n)
    if "asyncio" in load.fixed:
        found["asyncio"] = lambda items, count: as_tasks(load, items, count)
    if "processes" in load.fixed:
        for n in CHUNKS:
            found[f"processes /{n}"] = lambda items, count, n=n: as_processes(load, items, count, n)
    return found


def as_ours(load: Workload, items: Any, count: int) -> str:
    if not load.is_lazy:
        return poolwise.map(load.function, items).plan.choice
    with poolwise.imap(load.function, items) as values:
        list(itertools.islice(values, count))
        return values.plan.choice


# -- measuring


def measure(load: Workload, count: int, rounds: int) -> tuple[dict[str, float], list[str]]:
    """The median time of each way, in turns; and what ours chose each time."""
    times: dict[str, list[float]] = {}
    kinds: list[str] = []
    ways: dict[str, Callable[[Any, int], Any]] = dict(fixed_choices(load))
    ways["ours"] = lambda items, count: kinds.append(as_ours(load, items, count))
    for _ in range(rounds):
        for name, run in ways.items():
            begun = time.perf_counter()
            run(load.items(count), count)
            times.setdefault(name, []).append(time.perf_counter() - begun)
    return {name: statistics.median(taken) for name, taken in times.items()}, kinds


def report(name: str, times: dict[str, float], kinds: list[str]) -> bool:
    """Print a line; True if ours is within a tenth of the best, or 40 ms where all is short."""
    ours = times.pop("ours")
    best = min(times, key=lambda way: times[way])
    good = {way.split()[0] for way in times if times[way] <= 1.1 * times[best]}
    chosen = max(set(kinds), key=kinds.count)
    is_close = ours <= (1.1 * times[best] if times[best] > 0.3 else times[best] + 0.04)
    verdict = "ok" if is_close else "SLOW"
    print(
        f"{name:12} ours {ours:7.3f} s  best {times[best]:7.3f} s ({best:14})  "
        f"{times[best] / ours:5.2f}x  serial {times.get('serial', 0):7.3f} s  "
        f"{chosen}{'' if chosen in good else ' (other kind)'}  {verdict}",
        flush=True,
    )
    return is_close


@contextmanager
def busy_neighbours(count: int) -> Iterator[None]:
    """So many programs that compute, until the block ends."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


class Slow(http.server.BaseHTTPRequestHandler):
    """Answers after 5 ms."""

    def do_GET(self) -> None:
        time.sleep(0.005)
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """With room for as many connections as the sweep opens at once."""

    request_queue_size = 256


@contextmanager
def serving() -> Iterator[str]:
    """A local server in a process of its own; its address."""
    server = Server(("127.0.0.1", 0), Slow)
    process = multiprocessing.get_context("fork").Process(target=server.serve_forever, daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        process.kill()
        process.join()
        server.server_close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="workloads; all by default")
    parser.add_argument("--quick", action="store_true", help="less of everything, two rounds")
    parser.add_argument("--busy", action="store_true", help="beside two programs that compute")
    chosen = parser.parse_args()
    with (
        serving() as server,
        tempfile.TemporaryDirectory() as folder,
        busy_neighbours(2 if chosen.busy else 0),
    ):
        for at in range(200):
            Path(folder, str(at)).write_bytes(BLOCK[: 20_000 + at])
        loads = workloads(server, folder)
        names = chosen.names or list(loads)
        close = 0
        for name in names:
            load = loads[name]
            count, rounds = (load.least, 2) if chosen.quick else (load.count, 5)
            close += report(name, *measure(load, count, rounds))
    print(
        f"{close} of {len(names)} within a tenth of the best (or 40 ms); threads alive: "
        f"{threading.active_count()}"
    )


if __name__ == "__main__":
    main()
