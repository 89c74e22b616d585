"""Self-tuned pipes against an exhaustive sweep of kinds and widths, on ten kinds of pipelines.

    python -m benchmarks.pipelines --sweep [--quick]

For each pipeline all combinations of kinds and widths are run by name, then the pipe as it tunes
itself, then the best of the combinations again: beside it in time, since a machine that others use
changes. What is printed is the self-tuned time over that of the best.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import poolwise
from poolwise import pipe as make_pipe

Way = tuple[str, int]
"""Kind and width of a stage."""

WAITING: tuple[Way, ...] = tuple(("thread", width) for width in (1, 2, 4, 8, 16, 32, 64))
COMPUTING: tuple[Way, ...] = (("thread", 1), ("thread", 2), ("process", 1), ("process", 2))
FEW_WAITING: tuple[Way, ...] = (("thread", 4), ("thread", 16), ("thread", 64))
FEW_COMPUTING: tuple[Way, ...] = (("thread", 1), ("process", 2))


def burn(seconds: float) -> None:
    """Compute for so much CPU time, in Python."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        sum(range(100))


def compute(item: Any) -> Any:
    burn(0.004)
    return item


def compute_little(item: Any) -> Any:
    burn(0.001)
    return item


def wait(item: Any) -> Any:
    time.sleep(0.02)
    return item


def wait_long(item: Any) -> Any:
    time.sleep(0.08)
    return item


def compute_unevenly(item: int) -> int:
    burn(0.08 if item % 40 == 7 else 0.002)
    return item


def halves(count: int) -> list[bool]:
    """False in the first half, True in the second."""
    return [2 * item >= count for item in range(count)]


def drift(is_late: bool) -> bool:
    """Wait in the first half, compute in the second."""
    if is_late:
        burn(0.004)
    else:
        time.sleep(0.01)
    return is_late


def make_array(_: int) -> bytes:
    time.sleep(0.005)
    return bytes(2_000_000)


def sum_array(data: bytes) -> int:
    return sum(data[::200])


def fan_out(item: int) -> list[int]:
    time.sleep(0.02)
    return [item] * 5


def bursts(count: int) -> Iterator[int]:
    for item in range(count):
        if item % 50 == 0:
            time.sleep(0.05)
        yield item


class Pipeline(NamedTuple):
    """One of the ten: stages, whether each of them waits or computes, source and consumer."""

    stages: tuple[tuple[str, Callable[..., Any], bool], ...]
    source: Callable[[int], Any] = range
    consumer_s: float = 0.0


PIPELINES = {
    "CPU-bound": Pipeline((("map", compute, False), ("map", compute_little, False))),
    "I/O-bound": Pipeline((("map", wait, True), ("map", wait, True))),
    "mixed": Pipeline((("map", wait, True), ("map", compute, False))),
    "one slow stage": Pipeline((("map", wait, True), ("map", wait_long, True))),
    "heavy-tailed": Pipeline((("map", wait, True), ("map", compute_unevenly, False))),
    "drifting half-way": Pipeline((("map", drift, False),), halves),
    "bursty source": Pipeline((("map", wait, True), ("map", compute_little, False)), bursts),
    "slow consumer": Pipeline((("map", wait, True), ("map", compute_little, False)), range, 0.005),
    "big arrays": Pipeline((("map", make_array, True), ("map", sum_array, False))),
    "one to many": Pipeline((("flat_map", fan_out, True), ("map", compute_little, False))),
}


def run(pipeline: Pipeline, ways: tuple[Way, ...] | None, count: int) -> float:
    """Seconds of a run with these kinds and widths; None lets it tune itself."""
    pipe = make_pipe(pipeline.source(count))
    for at, (verb, function, _) in enumerate(pipeline.stages):
        options = {} if ways is None else dict(zip(("kind", "workers"), ways[at], strict=True))
        pipe = getattr(pipe, verb)(function, **options)
    begun_s = time.perf_counter()
    pipe.run(sink=lambda _: time.sleep(pipeline.consumer_s) if pipeline.consumer_s else None)
    return time.perf_counter() - begun_s


def sweep(*, is_quick: bool) -> None:
    """Print for each pipeline the best combination, and the self-tuned pipe beside it."""
    waiting, computing = (FEW_WAITING, FEW_COMPUTING) if is_quick else (WAITING, COMPUTING)
    count, rounds = (200, 3) if is_quick else (1000, 5)
    print(f"self-tuned against the sweep, {count} items, {poolwise.cpu_count()} CPUs:")
    for name, pipeline in PIPELINES.items():
        choices = [waiting if waits else computing for _, _, waits in pipeline.stages]
        found = {ways: run(pipeline, ways, count) for ways in itertools.product(*choices)}
        best = min(found, key=lambda ways: found[ways])
        pairs = [(run(pipeline, None, count), run(pipeline, best, count)) for _ in range(rounds)]
        own_s, best_s = (statistics.median(times) for times in zip(*pairs, strict=True))
        said = ", ".join(f"{kind} x{width}" for kind, width in best)
        print(
            f"  {name:18} {own_s:6.2f} s, best of {len(found):2} {best_s:6.2f} s ({said}): "
            f"{own_s / best_s:.2f} times it",
            flush=True,
        )
