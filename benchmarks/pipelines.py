"""Pipes: the hybrid of the article against its hand-written form, items, memory, the loop's lag.

    python -m benchmarks.pipelines [--sweep] [--quick]

``--sweep``: self-tuned pipes against all combinations of kinds and widths, and nothing else.

Each comparison runs both in turns, and prints the medians with the smallest and largest. Wall times
say little on a machine that others use, so the parent's CPU time stands beside what is short.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import poolwise
from benchmarks.pipeline_sweep import sweep
from poolwise import pipe as make_pipe  # loaded before the clock runs, as the others are

LATENCY_S = 0.05
BODY = bytes(range(256)) * 200
ROUNDS = 5


# -- the hybrid of the article


class Handler(BaseHTTPRequestHandler):
    """Answers after a while."""

    def do_GET(self) -> None:
        time.sleep(LATENCY_S)
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    request_queue_size = 256


def serve() -> None:
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


def fetch(port: int) -> bytes:
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/")
    body = connection.getresponse().read()
    connection.close()
    return body


def cpu_heavy(data: bytes) -> int:
    return sum(b for b in data) % 997


def hybrid_by_hand(port: int, count: int) -> list[int]:
    with ThreadPoolExecutor(max_workers=20) as tpool, ProcessPoolExecutor() as ppool:
        fetched = list(tpool.map(fetch, [port] * count))
        return list(ppool.map(cpu_heavy, fetched))


def hybrid_as_pipe(port: int, count: int) -> list[int]:
    found: list[int] = make_pipe([port] * count).map(fetch).map(cpu_heavy).run()
    return found


HYBRIDS: dict[str, Callable[[int, int], list[int]]] = {
    "by hand": hybrid_by_hand,
    "pipe": hybrid_as_pipe,
}


def measure_hybrid(count: int, rounds: int) -> None:
    """Each run is a process of its own, for its peak memory."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.pipelines", "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        port = server.stdout.readline().decode().strip()
        seconds: dict[str, list[float]] = {way: [] for way in HYBRIDS}
        memory: dict[str, list[float]] = {way: [] for way in HYBRIDS}
        for _ in range(rounds):
            for way in HYBRIDS:
                command = [sys.executable, "-m", "benchmarks.pipelines", way, port, str(count)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                passed, above = map(float, done.stdout.split())
                seconds[way].append(passed)
                memory[way].append(above)
        server.stdin.close()
    print(f"hybrid of {count} fetches (50 ms each), then CPU work on each body:")
    for way in HYBRIDS:
        print(f"  {way:8} {say(seconds[way])} s, {say(memory[way])} MB above the start")
    gain = statistics.median(seconds["by hand"]) / statistics.median(seconds["pipe"])
    share = statistics.median(memory["pipe"]) / statistics.median(memory["by hand"])
    print(f"  the pipe is {gain:.2f} times as fast, and takes {share:.2f} of the memory")


def run_hybrid(way: str, port: int, count: int) -> None:
    base = peak_mb()
    begun = time.perf_counter()
    found = HYBRIDS[way](port, count)
    passed = time.perf_counter() - begun
    assert found == [cpu_heavy(BODY)] * count
    print(passed, peak_mb() - base)


# -- the cost of an item


def add_one(x: int) -> int:
    return x + 1


def measure_items(count: int, rounds: int) -> None:
    print(f"three trivial stages, {count} items, start included, an item:")
    cases = {
        "thread, thread, thread": ["thread"] * 3,
        "thread, process, thread": ["thread", "process", "thread"],
        "auto, auto, auto": ["auto"] * 3,
    }
    walls: dict[str, list[float]] = {name: [] for name in cases}
    cpus: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, kinds in cases.items():
            pipe = make_pipe(list(range(count)))
            for kind in kinds:
                pipe = pipe.map(add_one, kind=kind)
            cpu, begun = time.process_time(), time.perf_counter()
            found = pipe.run()
            walls[name].append((time.perf_counter() - begun) / count * 1e6)
            cpus[name].append((time.process_time() - cpu) / count * 1e6)
            assert found == list(range(3, count + 3))
    for name in cases:
        print(f"  {name:24} {say(walls[name])} us, CPU of this process {say(cpus[name])} us")


# -- memory


def make_item(_: int) -> bytes:
    return bytes(10_000)


def measure_memory(count: int) -> None:
    base = peak_mb()
    pipe = make_pipe(range(count)).map(make_item, kind="thread")
    pipe = pipe.map(bytes.upper, kind="thread").map(bytes.lower, kind="thread")
    passed = sum(1 for _ in pipe)
    assert passed == count
    print(f"{count} items of 10 kB through three stages: {peak_mb() - base:.0f} MB above the start")


# -- the loop


def burn(_: int) -> int:
    return sum(range(2000))


def make_array(_: int) -> bytes:
    return os.urandom(4 << 20)


async def watch(lags: list[float]) -> None:
    while True:
        begun = time.perf_counter()
        await asyncio.sleep(0.001)
        lags.append(time.perf_counter() - begun - 0.001)


async def lag_of_ours(tasks: int, arrays: int) -> None:
    async with poolwise.aio.Pool(2) as pool:
        found = await asyncio.gather(
            pool.map(burn, range(tasks)), pool.map(make_array, range(arrays))
        )
    assert len(found[0]) == tasks


async def lag_of_standard(tasks: int, arrays: int) -> None:
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2) as pool:
        calls = [loop.run_in_executor(pool, burn, x) for x in range(tasks)]
        calls += [loop.run_in_executor(pool, make_array, x) for x in range(arrays)]
        await asyncio.gather(*calls)


async def idle(_: int, __: int) -> None:
    await asyncio.sleep(1.0)


async def lag(work: Callable[[int, int], Any], tasks: int, arrays: int) -> tuple[float, float]:
    lags: list[float] = []
    watcher = asyncio.create_task(watch(lags))
    begun = time.perf_counter()
    await work(tasks, arrays)
    passed = time.perf_counter() - begun
    watcher.cancel()
    lags.sort()
    return lags[int(len(lags) * 0.99)] * 1e3, passed


def measure_lag(tasks: int, arrays: int, rounds: int) -> None:
    print(f"event loop while {tasks} CPU tasks run and {arrays} results of 4 MB arrive, lag P99:")
    ways = {
        "nothing runs": idle,
        "poolwise.aio.Pool": lag_of_ours,
        "ProcessPoolExecutor": lag_of_standard,
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            found[name].append(asyncio.run(lag(work, tasks, arrays)))
    for name, pairs in found.items():
        lags, seconds = zip(*pairs, strict=True)
        print(f"  {name:20} {say(lags)} ms, took {say(seconds)} s")


async def nap(_: int) -> None:
    await asyncio.sleep(0.05)


async def run_naps(count: int) -> float:
    async with poolwise.aio.Pool(2) as pool:
        begun = time.perf_counter()
        await pool.map(nap, range(count))
        return time.perf_counter() - begun


def say(numbers: Any) -> str:
    """The median, and the range."""
    middle = statistics.median(numbers)
    return f"{middle:.3g} ({min(numbers):.3g} to {max(numbers):.3g})"


def peak_mb() -> float:
    """Of this program; what ``getrusage`` says includes its parent's, from before the exec."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main(*, is_quick: bool) -> None:
    rounds = 3 if is_quick else ROUNDS
    print(f"load average at the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    measure_memory(20_000 if is_quick else 1_000_000)
    measure_items(2_000, rounds)
    measure_hybrid(100, rounds)
    if not is_quick:
        measure_hybrid(2_000, rounds)
    measure_lag(1_000 if is_quick else 10_000, 48, rounds)
    naps = [asyncio.run(run_naps(1_000)) for _ in range(rounds)]
    print(f"1000 coroutines of 50 ms in two workers: {say(naps)} s")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    elif sys.argv[1:2] and sys.argv[1] in HYBRIDS:
        run_hybrid(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    elif "--sweep" in sys.argv:
        sweep(is_quick="--quick" in sys.argv)
    else:
        main(is_quick="--quick" in sys.argv)
