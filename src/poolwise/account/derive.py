"""Formulas of a ledger: distributions, efficiency, speed-up and its ceiling. Only numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from poolwise.account.ledger import Distribution, Factor, Laws
from poolwise.account.states import FACTORS, STATES
from poolwise.worker.stopwatch import edge_ns, step_of


def make_distribution(
    histogram: Mapping[int, int], total_s: float, longest_s: float, *, is_exact: bool = False
) -> Distribution | None:
    """Task times from a histogram (step -> items); None when there are none.

    Within a step times are taken as its geometric middle, so quantiles and the standard deviation
    are right to 5 %. The mean is exact: ``total_s`` over the number of items.
    """
    count = sum(histogram.values())
    if not count:
        return None
    steps = sorted(histogram.items())
    middles = [edge_ns(step) * edge_ns(1) ** 0.5 / 1e9 for step, _ in steps]
    mean_s = sum(m * n for m, (_, n) in zip(middles, steps, strict=True)) / count
    spread = sum(n * (m - mean_s) ** 2 for m, (_, n) in zip(middles, steps, strict=True)) / count
    stdev_s = math.sqrt(spread)
    p10_s, p50_s, p90_s, p99_s = (
        _quantile(steps, middles, count, share) for share in (0.1, 0.5, 0.9, 0.99)
    )
    bars = tuple((edge_ns(step) / 1e9, edge_ns(step + 1) / 1e9, n) for step, n in steps)
    return Distribution(
        count=count,
        total_s=total_s,
        mean_s=total_s / count,
        stdev_s=stdev_s,
        variation=stdev_s / mean_s if mean_s else 0.0,
        p10_s=p10_s,
        p50_s=p50_s,
        p90_s=p90_s,
        p99_s=p99_s,
        max_s=longest_s or middles[-1],
        histogram=bars,
        is_exact=is_exact,
    )


def distribute(times_s: Sequence[float]) -> Distribution | None:
    """Distribution of times that were each measured; None when there are none."""
    steps = Counter(step_of(time_s * 1e9) for time_s in times_s)
    return make_distribution(steps, sum(times_s), max(times_s, default=0.0), is_exact=True)


def _quantile(
    steps: Sequence[tuple[int, int]], middles: Sequence[float], count: int, share: float
) -> float:
    seen = 0
    for middle, (_, number) in zip(middles, steps, strict=True):
        seen += number
        if seen >= share * count:
            return middle
    return middles[-1]


def fit_line(n: float, x: float, y: float, xx: float, xy: float) -> tuple[float, float] | None:
    """Slope and intercept of the least squares line through ``n`` points, from their sums.

    For chunks, with x their items and y their time: what an item costs, and what a chunk costs
    besides. None where x never changed, or with fewer than 3 points.
    """
    spread = n * xx - x * x
    least = 3  # two points fit any line
    if n < least or spread <= 1e-9 * max(1.0, n * xx):
        return None
    slope = (n * xy - x * y) / spread
    return slope, (y - slope * x) / n


def split_efficiency(
    states: Mapping[str, float], names: Iterable[str] = FACTORS
) -> tuple[Factor, ...]:
    """The efficiency chain: losses are taken off one after the other.

    With a0 all worker-seconds and a(i+1) what is left after loss i, factor i is a(i+1)/a(i). So
    efficiency = product of the factors = 1 - sum of the lost shares, without residual.

    :param states: worker-seconds by state, over all workers.
    :param names: the factors wanted, in order.
    """
    total_s = sum(states.values())
    factors, left_s = [], total_s
    for name in names:
        lost_s = sum(value for state, value in states.items() if STATES[state].factor == name)
        lost_s = max(0.0, lost_s)
        rest_s = max(0.0, left_s - lost_s)
        value = rest_s / left_s if left_s > 0 else 1.0
        factors.append(Factor(name, value, lost_s, lost_s / total_s if total_s > 0 else 0.0))
        left_s = rest_s
    return tuple(factors)


def amdahl(serial_fraction: float, workers: float) -> float:
    """The speed-up with ``workers`` when this part of the work cannot be shared.

    S(N) = 1 / (s + (1 - s) / N). Amdahl, AFIPS Spring Joint Computer Conference 1967.
    """
    return 1.0 / (serial_fraction + (1.0 - serial_fraction) / workers)


def make_laws(
    useful_s: float, open_s: float, workers: int, parent_busy_s: float | None, longest_s: float
) -> Laws:
    """Efficiency, speed-up and ceiling of one run.

    :param useful_s: worker-seconds inside the function, on CPU or blocked: a plain loop's time.
    :param open_s: wall time in which a call was open.
    :param parent_busy_s: the part of it in which the parent moved work, pickled, decided; None:
        nobody knows, and so there is no ceiling.
    :param longest_s: the longest single task.

    No number of workers can finish before the parent has moved everything, nor before the longest
    task is done: ceiling = useful / max(parent busy, longest). That is Amdahl's law for a parent
    that works beside its workers.
    """
    if open_s <= 0 or useful_s <= 0:
        return Laws(0.0, 0.0, None, 0.0)
    speedup = useful_s / open_s
    bound_s = 0.0 if parent_busy_s is None else max(parent_busy_s, longest_s)
    return Laws(
        efficiency=speedup / workers,
        speedup=speedup,
        ceiling=useful_s / bound_s if bound_s > 0 else None,
        serial_fraction=None if parent_busy_s is None else min(1.0, parent_busy_s / open_s),
    )
