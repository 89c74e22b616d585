"""How often the time that is said to be left is true, over shapes of cost: in simulated time.

``python -m benchmarks.time_left`` lets eight workers take items from a queue, asks five times on
the way how long it will still take, and prints how often the truth was within what was said (give
or take 15 %), how wide that was (the median of upper end / lower end), and how often the time at
the overall rate, as most progress bars say it, was true. Nothing in it depends on the machine.

No estimate can know of a jump that is still to come, or of rare items that cost most of the time.
"""

from __future__ import annotations

import heapq
import math
import random
import statistics
from bisect import bisect_right
from typing import TYPE_CHECKING

from poolwise.report.live.estimate import Estimator, TimeLeft

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ITEMS, WORKERS, SEEDS = 2_000, 8, 60
ASKED_AT = (0.1, 0.25, 0.5, 0.75, 0.9)
TOLERANCE = 0.15

SHAPES: dict[str, Callable[[float, random.Random], float]] = {
    "constant": lambda _x, _draw: 1,
    "exponential": lambda _x, draw: draw.expovariate(1),
    "lognormal, sigma 1": lambda _x, draw: draw.lognormvariate(0, 1),
    "lognormal, sigma 2": lambda _x, draw: draw.lognormvariate(0, 2),
    "1 % cost 50 times": lambda _x, draw: 50 if draw.random() < 0.01 else 1,
    "ascending": lambda x, _draw: 0.1 + 2 * x,
    "ascending, exponential": lambda x, draw: (0.1 + 2 * x) * draw.expovariate(1),
    "descending": lambda x, _draw: 2.1 - 2 * x,
    "e to the power of 3 x": lambda x, _draw: math.exp(3 * x),
    "three times after half": lambda x, _draw: 1 if x < 0.5 else 3,
    "a third after half": lambda x, _draw: 3 if x < 0.5 else 1,
}


def main() -> None:
    print(f"{'shape':<26}{'true':>8}{'width':>8}{'overall rate true':>20}")
    for name, cost in SHAPES.items():
        asked = [answer for seed in range(SEEDS) for answer in ask(cost, random.Random(seed))]
        said = [is_true(left.low_s, left.high_s, true_s) for left, _, true_s in asked]
        plain = [is_true(plain_s, plain_s, true_s) for _, plain_s, true_s in asked]
        width = statistics.median(left.high_s / max(left.low_s, 1e-9) for left, _, _ in asked)
        shares = statistics.fmean(said), statistics.fmean(plain)
        print(f"{name:<26}{shares[0]:>8.0%}{width:>8.2f}{shares[1]:>20.0%}")


def is_true(low_s: float, high_s: float, true_s: float) -> bool:
    return low_s * (1 - TOLERANCE) <= true_s <= high_s * (1 + TOLERANCE)


def ask(
    cost: Callable[[float, random.Random], float], draw: random.Random
) -> Iterator[tuple[TimeLeft, float, float]]:
    """What was said, what the overall rate says, and what was true."""
    ends = list_ends(cost, draw)
    estimator, looks = Estimator(), 400
    for look in range(1, looks):
        now = ends[-1] * look / looks
        done = bisect_right(ends, now)
        estimator.note(done, now)
        if look / looks in ASKED_AT:
            left = estimator.time_left(ITEMS, now)
            if left is not None:
                yield left, (ITEMS - done) * now / done, ends[-1] - now


def list_ends(cost: Callable[[float, random.Random], float], draw: random.Random) -> list[float]:
    """When each item ends, if the worker that is free first takes the next."""
    free, ends = [0.0] * WORKERS, []
    for item in range(ITEMS):
        ends.append(heapq.heappop(free) + cost(item / ITEMS, draw))
        heapq.heappush(free, ends[-1])
    return sorted(ends)


if __name__ == "__main__":
    main()
