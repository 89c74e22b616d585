"""Curves of a call's time by chunk size and workers: predicted with a band, measured as dots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from poolwise.doctor.evidence.features import Evidence, Experiment, Pool, Site, Trial
from poolwise.doctor.evidence.groups import group_pools
from poolwise.doctor.gather.trials import find_trial, lasted_s, say_sample
from poolwise.doctor.predict.calls import Model, calibrate
from poolwise.doctor.predict.scaling import widest
from poolwise.report import blocks as b

_MOST_POINTS = 18

_NAMES = {
    "as-is": "as it was",
    "serial": "a plain loop",
    "chunksize": "chunksize={}",
    "workers": "{} workers",
    "threads": "{} threads",
    "share": "repeated argument put down once",
    "together": "all handed out, then collected",
    "poolwise": "poolwise.Pool",
    "pickle": "packing and unpacking alone",
}


MOST_POOLS = 8
"""Calls of so many pools are simulated: those with most worker time."""


class Models(Mapping[int, "list[Model | None]"]):
    """Id of a pool -> the models of its calls, in their order; None where there is none.

    They are made when they are asked for: to calibrate one takes longer than to ask it.
    """

    def __init__(self, seen: Evidence) -> None:
        self._seen = seen
        self._pools = {pool.id: pool for pool in seen.pools}
        groups = sorted(group_pools(seen.pools), key=lambda group: -group.worker_seconds)
        self._simulated = {group.pool.id for group in groups[:MOST_POOLS]}

    def __getitem__(self, number: int) -> list[Model | None]:
        pool = self._pools[number]
        if number not in self._simulated:
            return [None] * len(pool.sites)
        return [calibrate(site, pool, self._seen) for site in pool.sites]

    def __iter__(self) -> Iterator[int]:
        return iter(self._pools)

    def __len__(self) -> int:
        return len(self._pools)


def draw_predictions(pool: Pool, models: Models, seen: Evidence) -> Iterator[b.Block]:
    """The curves of each call that there is a model of, and all that experiments found."""
    for site, model in zip(pool.sites, models[pool.id], strict=True):
        trial = find_trial(site, pool, seen)
        if model is not None:
            yield from _draw_curves(site, model, trial)
        if trial is not None and trial.experiments:
            yield list_experiments(trial, lasted_s(site, pool))


def list_experiments(trial: Trial, now_s: float) -> b.Table:
    """Table of what was tried on one call, which took `now_s`."""
    columns = [b.Column("tried"), b.Column("on the sample", "s"), b.Column("for the whole", "s"),
               b.Column("of what it was", "share"), b.Column("times", "count")]  # fmt: skip
    rows: list[list[b.Cell]] = [
        [name_of(each), each.seconds, each.ratio * now_s, each.ratio, each.rounds]
        for each in sorted(trial.experiments, key=lambda each: each.ratio)
    ]
    return b.Table(columns, rows, f"Measured at {trial.place}, on {say_sample(trial)}")


def name_of(experiment: Experiment) -> str:
    """The name of an experiment, in words."""
    return _NAMES.get(experiment.kind, experiment.kind).format(experiment.value)


def _draw_curves(site: Site, model: Model, trial: Trial | None) -> Iterator[b.Block]:
    share = max(1, -(-model.load.items // model.workers))
    if share > 1:
        sizes = _ladder(share, model.chunk)
        line = _line(sizes, lambda size: model.pool_s(chunk=size), model.width)
        yield _curve(f"{site.place}: by chunk size", "items a message", line, model.chunk,
                     model, _dots(trial, "chunksize", model))  # fmt: skip
    counts = _ladder(widest(model), model.workers)
    line = _line(counts, lambda count: model.pool_s(workers=count), lambda _: model.width())
    yield _curve(f"{site.place}: by workers", "workers", line, model.workers,
                 model, _dots(trial, "workers", model))  # fmt: skip


def _ladder(most: int, known: int) -> list[int]:
    """1, 2, 4, ... up to the most, and the value there is."""
    steps = {1 << power for power in range(most.bit_length()) if 1 << power <= most}
    ladder = sorted(steps | {most, known})
    return ladder[: _MOST_POINTS - 1] + ladder[_MOST_POINTS - 1 :][-1:]


def _line(
    values: Sequence[int], ask: Callable[[int], float], width: Callable[[int], float]
) -> b.Line:
    times = [ask(value) for value in values]
    widths = [width(value) for value in values]
    low = [each * (1 - wide) for each, wide in zip(times, widths, strict=True)]
    high = [each * (1 + wide) for each, wide in zip(times, widths, strict=True)]
    return b.Line("predicted", [float(value) for value in values], times, low, high)


def _curve(  # noqa: PLR0913 - what a curve shows
    title: str, name: str, line: b.Line, now: int, model: Model, dots: list[b.Dots]
) -> b.Curve:
    x, y = b.Axis(name, "count", is_log=True), b.Axis("seconds", "s", is_log=True)
    return b.Curve(x, y, [line], title, dots, (float(now), model.now_s))


def _dots(trial: Trial | None, kind: str, model: Model) -> list[b.Dots]:
    """The measurements, in seconds of the whole call."""
    found = [each for each in trial.experiments if each.kind == kind] if trial else []
    if not found:
        return []
    found = sorted(found, key=lambda each: each.value or 0)
    x = [float(each.value or 0) for each in found]
    return [b.Dots("measured", x, [each.ratio * model.now_s for each in found])]
