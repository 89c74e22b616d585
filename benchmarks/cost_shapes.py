"""Twelve ways in which costs are spread over the items, with nothing set.

Efficiency is the lower bound, max(sum of costs / workers, largest cost), over the makespan. The
bound is run, not computed: two bare processes that hold their share of the items already, cut with
the costs known (longest first), turn the same loops side by side in the same round. So whatever
else the machine does, and what the cores take from each other, cancels.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import maps, peers
from benchmarks.harness import units
from benchmarks.harness.check import assert_same
from benchmarks.harness.model import WORKERS, Claim, Entrant, Target, wall_time
from benchmarks.tasks import burn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_LOOPS_PER_US = "POOLWISE_BENCH_LOOPS_PER_US"
_SEED = 20_261_124
BARE = "lower bound"


def lognormal(random_: random.Random, mean_us: float, sigma: float) -> float:
    """A cost of that mean: exp(mu + sigma^2 / 2)."""
    return mean_us * random_.lognormvariate(-sigma * sigma / 2, sigma)


def shapes() -> dict[str, list[float]]:
    """Name -> cost of each item, us. Near one second in all, the first but for its many items."""
    draw = random.Random(_SEED)
    ramp = [0.2 * i for i in range(3000)]
    fast, slow = [10.0] * 8000, [1000.0] * 800
    return {
        "constant 1 us": [1.0] * 100_000,
        "constant 20 us": [20.0] * 40_000,
        "constant 1 ms": [1000.0] * 900,
        "exponential, 200 us": [draw.expovariate(1 / 200) for _ in range(4500)],
        "lognormal sigma 2, 200 us": [lognormal(draw, 200, 2) for _ in range(4500)],
        "ascending to 600 us": ramp,
        "descending from 600 us": ramp[::-1],
        "10 us, then 1 ms": fast + slow,
        "1 ms, then 10 us": slow + fast,
        "100 us, 1 % of 10 ms": [10_000.0 if draw.random() < 0.01 else 100.0 for _ in range(4500)],
        "64 lognormal jobs": [lognormal(draw, 1e6 / 64, 1) for _ in range(64)],
        "100 x 10 ms": [10_000.0] * 100,
    }


_AT_LEAST_100_US = [
    "constant 1 ms",
    "exponential, 200 us",
    "lognormal sigma 2, 200 us",
    "ascending to 600 us",
    "descending from 600 us",
    "100 us, 1 % of 10 ms",
    "64 lognormal jobs",
    "100 x 10 ms",
]


def loops_of(name: str) -> list[int]:
    rate = float(os.environ[_LOOPS_PER_US])
    return [round(cost * rate) for cost in shapes()[name]]


def calibrate() -> dict[str, str]:
    """Loops per microsecond: the best of many short runs, so that other load does not show."""
    loops = 100_000

    def once() -> float:
        start = time.thread_time()
        burn(loops)
        return time.thread_time() - start

    return {_LOOPS_PER_US: str(loops / min(once() for _ in range(50)) / 1e6)}


def shares_of(loops: Sequence[int]) -> list[list[int]]:
    """Longest first to whoever has least."""
    shares: list[list[int]] = [[] for _ in range(WORKERS)]
    totals = [0] * WORKERS
    for cost in sorted(loops, reverse=True):
        least = totals.index(min(totals))
        shares[least].append(cost)
        totals[least] += cost
    return shares


def serve_share(connection: Any) -> None:
    while (share := connection.recv()) is not None:
        connection.send("ready")
        connection.recv()
        for loops in share:
            burn(loops)
        connection.send("done")


@contextmanager
def bare_processes() -> Iterator[Any]:
    pipes = [multiprocessing.Pipe() for _ in range(WORKERS)]
    processes = [multiprocessing.Process(target=serve_share, args=(far,)) for _, far in pipes]
    for process in processes:
        process.start()
    ends = [near for near, _ in pipes]
    yield ends
    for end in ends:
        end.send(None)
    for process in processes:
        process.join()


def hand_out_shares(ends: Any, loops: Sequence[int]) -> None:
    for end, share in zip(ends, shares_of(loops), strict=True):
        end.send(share)
        end.recv()


def run_shares(ends: Any, loops: Sequence[int]) -> Sequence[int]:
    for end in ends:
        end.send("go")
    for end in ends:
        end.recv()
    return loops


def by_tuned_pool(pool: Any, loops: Sequence[int]) -> Any:
    """What a careful user sets: 64 chunks for each worker."""
    return pool.map(burn, loops, chunksize=max(1, len(loops) // (64 * WORKERS)))


def case_of(name: str) -> Callable[[], list[int]]:
    return partial(loops_of, name)


CLAIM = Claim(
    title="efficiency over twelve cost shapes at the defaults; ! marks where a peer is ahead",
    cases={name: case_of(name) for name in shapes()},
    measure=wall_time,
    unit=units.SECONDS,
    check=assert_same,
    reference=BARE,
    calibrate=calibrate,
    is_grid=True,
    rounds=5,
    entrants=[
        *maps.all_at_defaults(burn),
        Entrant("mp.Pool, chunksize=N/128", by_tuned_pool, peers.mp_pool),
        Entrant(BARE, run_shares, bare_processes, hand_out_shares),
    ],
    targets=[
        Target(BARE, 0.92, _AT_LEAST_100_US),
        Target("mp.Pool"),
        Target("mpire"),
        Target("joblib"),
    ],
)
