"""What a pool tells of other numbers of workers, because not all of its own were always busy.

While workers start, at the end of each call, and wherever items are few, fewer lanes are at work
than there are. What items cost then, and how many are done in a second, are points on the curves
that scaling laws speak of. Where these moments are too few, or items too different, there is no
answer but the reason.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from poolwise.account.derive import fit_usl

if TYPE_CHECKING:
    from poolwise.account.ledger import ChunkSpan, Laws

MOST_ERROR = 0.1
"""A standard error above this part of a value makes it no answer."""

LEAST_COUNTS = 6
"""Numbers of busy lanes for a law of three coefficients: below that a fit follows the noise."""

_LEAST_SPREAD = 1.0
"""The numbers of lanes that were busy must lie so far apart for a line through the costs."""

_AS_MANY = 0.75
"""And reach this part of all workers: a line is not drawn out beyond what was seen."""

_LEAST_SPANS = 8
_MAIN_SHARE = 0.9
_FARTHEST = 4.0
"""A best number so many times beyond what was seen is none."""

_NOT_AT_WORK = frozenset({"no_job", "tail", "input_slow", "consumer_slow"})
"""Causes of waiting for which a lane is not one of those that strive for work."""

Interval = tuple[float, float]


def complete(laws: Laws, spans: Sequence[ChunkSpan], workers: int, variation: float) -> Laws:
    """The laws with what can be said of other numbers of workers.

    :param variation: of the task times: standard deviation over mean.
    """
    spans = [span for span in spans if span.ended_s > span.begun_s]
    main = _main_spans(spans)
    inflation = find_inflation(main, spans, workers)
    best = find_best_workers(main, spans, variation)
    return replace(
        laws,
        work_inflation=inflation if isinstance(inflation, float) else None,
        inflation_why=inflation if isinstance(inflation, str) else "",
        best_workers=best if isinstance(best, float) else None,
        why=best if isinstance(best, str) else "",
    )


def find_inflation(
    main: Sequence[ChunkSpan], spans: Sequence[ChunkSpan], workers: int
) -> float | str:
    """CPU time of an item with all workers busy, over that with one alone; or why nobody knows.

    cost(n) = c (1 + k (n - 1)), n the mean number of lanes that ran meanwhile, by least squares
    over chunks, each weighed by its items; the inflation is 1 + k (N - 1). Its inverse is what the
    POP centre of excellence calls computation scaling (co-design.pop-coe.eu/metrics): what CPUs
    lose to each other in caches, memory bandwidth and clock rate.
    """
    if workers < 2 or len(main) < _LEAST_SPANS:  # noqa: PLR2004 - one lane disturbs nobody
        return "too few chunks were run to compare those that had company with those that had none"
    busy = _Busy((span.begun_s, span.ended_s) for span in spans)
    counts = [busy.mean(span.begun_s, span.ended_s) for span in main]
    if max(counts) - min(counts) < _LEAST_SPREAD or max(counts) < _AS_MANY * workers:
        return (
            f"chunks had {min(counts):.1f} to {max(counts):.1f} lanes busy while they ran: too "
            "much alike to tell what company costs"
        )
    costs = [span.cpu_s / span.items for span in main]
    line = _fit_weighted(counts, costs, [span.items for span in main])
    if line is None:
        return "all chunks had the same company"
    slope, intercept, slope_error = line
    alone = intercept + slope
    error = slope_error * (workers - 1) / alone if alone > 0 else math.inf
    if error > MOST_ERROR:
        return "what items cost differs more from item to item than with the number of busy lanes"
    inflation = 1 + slope * (workers - 1) / alone
    if inflation < 1 - 2 * error:
        return "items cost more where fewer lanes were busy: the input, not company, made the cost"
    return max(1.0, inflation)


def find_best_workers(
    main: Sequence[ChunkSpan], spans: Sequence[ChunkSpan], variation: float
) -> float | str:
    """Where the Universal Scalability Law (``derive.fit_usl``) has its peak; or why nobody knows.

    Its points: the items done in a second while exactly n lanes strove for work, for each n whose
    rate is known to 10 % (a standard error of variation / sqrt(items done)).
    """
    whole_s = sum(span.ended_s - span.begun_s for span in spans)
    if sum(span.ended_s - span.begun_s for span in main) < _MAIN_SHARE * whole_s:
        return "several functions share the time, so items a second is no rate of one thing"
    points = [
        (lanes, items / time_s)
        for lanes, (time_s, items) in _rates(spans).items()
        if items >= 1 and variation / math.sqrt(items) <= MOST_ERROR
    ]
    if len(points) < LEAST_COUNTS:
        seen = ", ".join(str(lanes) for lanes, _ in sorted(points)) or "no number"
        return (
            f"a fit of the Universal Scalability Law wants the rates of {LEAST_COUNTS} worker "
            f"counts; this run tells those of {seen}"
        )
    usl, most = fit_usl(points), max(lanes for lanes, _ in points)
    if usl is None:
        return "the rates do not follow the Universal Scalability Law"
    if usl.best_workers is None or usl.best_workers > _FARTHEST * most:
        return f"up to {most} busy lanes the rate only rises; its peak lies far beyond"
    return usl.best_workers


def _main_spans(spans: Sequence[ChunkSpan]) -> list[ChunkSpan]:
    """Those of the function that took most time."""
    spent: dict[str, float] = {}
    for span in spans:
        spent[span.function] = spent.get(span.function, 0.0) + span.ended_s - span.begun_s
    main = max(spent, key=spent.__getitem__, default=None)
    return [span for span in spans if span.function == main and span.items]


class _Busy:
    """How many of some intervals hold at a time."""

    def __init__(self, intervals: Iterable[Interval]) -> None:
        steps = _steps((begin, end, 1.0) for begin, end in intervals)
        self._times = [time_s for time_s, _ in steps]
        self._levels = list(accumulate(step for _, step in steps))
        lengths = [after - before for before, after in pairwise(self._times)]
        areas = (level * length for level, length in zip(self._levels, lengths, strict=False))
        self._areas = list(accumulate(areas, initial=0.0))

    def mean(self, begin_s: float, end_s: float) -> float:
        """The mean number between two times."""
        return (self._area_until(end_s) - self._area_until(begin_s)) / (end_s - begin_s)

    def _area_until(self, time_s: float) -> float:
        at = bisect_right(self._times, time_s) - 1
        return self._areas[at] + self._levels[at] * (time_s - self._times[at]) if at >= 0 else 0.0


def _rates(spans: Sequence[ChunkSpan]) -> dict[int, tuple[float, float]]:
    """For each number of lanes: for how long so many strove for work, and the items done then."""
    lanes = _steps((_since(span), span.sent_s, 1.0) for span in spans)
    rates = _steps(
        (span.begun_s, span.ended_s, span.items / (span.ended_s - span.begun_s)) for span in spans
    )
    steps = [(at, step, 0.0) for at, step in lanes] + [(at, 0.0, step) for at, step in rates]
    steps.sort()
    told: dict[int, tuple[float, float]] = {}
    level = rate = 0.0
    for (at, up, faster), (after, _, _) in pairwise(steps):
        level, rate = level + up, rate + faster
        count = round(level)
        if count and after > at:
            time_s, items = told.get(count, (0.0, 0.0))
            told[count] = time_s + after - at, items + rate * (after - at)
    return told


def _since(span: ChunkSpan) -> float:
    return span.arrived_s if span.cause in _NOT_AT_WORK else span.free_s


def _steps(intervals: Iterable[tuple[float, float, float]]) -> list[tuple[float, float]]:
    """(time, up or down), in order."""
    steps = []
    for begin, end, height in intervals:
        steps += [(begin, height), (end, -height)]
    return sorted(steps)


def _fit_weighted(
    xs: Sequence[float], ys: Sequence[float], weights: Sequence[float]
) -> tuple[float, float, float] | None:
    """Slope, intercept and the slope's standard error of a weighted least squares line."""
    whole = sum(weights)
    x_mean = sum(w * x for w, x in zip(weights, xs, strict=True)) / whole
    y_mean = sum(w * y for w, y in zip(weights, ys, strict=True)) / whole
    points = list(zip(xs, ys, weights, strict=True))
    spread = sum(w * (x - x_mean) ** 2 for x, _, w in points)
    if spread <= 1e-9 * whole:
        return None
    slope = sum(w * (x - x_mean) * (y - y_mean) for x, y, w in points) / spread
    intercept = y_mean - slope * x_mean
    residual = sum(w * (y - intercept - slope * x) ** 2 for x, y, w in points)
    error = math.sqrt(residual / (len(points) - 2) / spread)
    return slope, intercept, error
