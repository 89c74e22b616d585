"""Tasks with payloads of all sizes, one in a hundred kills its worker: what is left afterwards."""

from __future__ import annotations

import gc
import os
import random
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import units
from benchmarks.harness.model import WORKERS, Claim, Entrant, Limit

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS = 10_000
SIZES = (10, 1_000, 10_000, 100_000)


def fill(length: int, array: Any, *, is_end: bool) -> Any:
    if is_end:
        os.kill(os.getpid(), signal.SIGKILL)
    array[:] = length
    return array


def make() -> list[tuple[int, bool]]:
    chance = random.Random(3)
    return [(chance.choice(SIZES), chance.random() < 0.01) for _ in range(TASKS)]


def run(_: Any, load: list[tuple[int, bool]]) -> int:
    """Run all of it in a pool of its own; answers how many tasks came out right."""
    import numpy as np

    import poolwise

    right = 0
    with poolwise.Pool(WORKERS) as pool:
        for start in range(0, len(load), 100):
            calls = [
                (pool.apply_async(fill, (length, np.zeros(length)), {"is_end": is_end}), length)
                for length, is_end in load[start : start + 100]
            ]
            for (call, length), (_, is_end) in zip(calls, load[start:], strict=False):
                try:
                    right += bool((call.get() == length).all()) and not is_end
                except poolwise.WorkerDied:
                    right += is_end
    return right


def left_bytes(run: Callable[[Any], int], load: Any) -> tuple[float, int]:
    """Shared memory still mapped, plus a page for each descriptor still open."""
    before = _held()
    right = run(load)
    gc.collect()
    return float(max(0, _held() - before)), right


def _held() -> int:
    maps = Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines()
    mapped, is_ours = 0, False
    for line in maps:
        first = line.split(maxsplit=1)[0]
        if "-" in first:
            is_ours = "memfd:poolwise" in line
        elif is_ours and first == "Rss:":
            mapped += int(line.split()[1]) * 1024
    return mapped + 4096 * len(list(Path("/proc/self/fd").iterdir()))


def check(load: list[tuple[int, bool]], right: int) -> None:
    assert right == len(load), f"{len(load) - right} tasks came out wrong"


CLAIM = Claim(
    title=f"{TASKS:,} tasks with arrays, 1 % kill their worker: what is left",
    cases={"mixed": make},
    measure=left_bytes,
    unit=units.BYTES,
    check=check,
    entrants=[Entrant("poolwise.Pool", run, warm=lambda pool, load: run(pool, load[:100]))],
    limits=[Limit(0)],
    rounds=3,
)
