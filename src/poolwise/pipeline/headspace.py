"""Headspace of a stage by experiment: the same run with the stage's results ready at hand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from poolwise.pipeline.report import PipeReport
from poolwise.pipeline.spec import Spec
from poolwise.pipeline.steps import FLAT_MAP
from poolwise.record import record

if TYPE_CHECKING:
    from poolwise.pipeline.pipe import Pipe


@record
class Headspace:
    """Headspace of a stage: how many times faster the run would be if it cost nothing.

    :param predicted: by the bottleneck law, from the first run's report.
    :param measured: the time of the runs as they are, over that of the runs without the stage.
    """

    stage: str
    items: int
    predicted: float | None
    measured: float
    seconds: float
    seconds_without: float


def measure(pipe: Pipe, name: str, items: int | None, rounds: int = 3) -> Headspace:
    """Run the pipe with the stage, and with its results in its place.

    :param rounds: runs each way, in turns; the medians are compared.

    :raises TypeError: its source cannot be read several times.
    :raises ValueError: there is no such stage, or it runs no function.
    """
    specs, source = pipe.specs, pipe.source
    at = _find(specs, name)
    if not isinstance(source.items, (list, tuple, range)):
        message = (
            "headspace is measured by running the pipe several times, so its source must be a "
            f"list, not {type(source.items).__name__}"
        )
        raise TypeError(message)
    sample = source.items[:items]
    first, given = pipe.over(sample, specs), pipe.over(sample, specs[:at]).run()
    made = pipe.over(given, specs[at : at + 1]).run()
    instead = Spec(name, FLAT_MAP, _Ready(len(given), made), "thread", 1, 1)
    predicted = _timed(first) and PipeReport.of(first.latest()).headspace.get(name)
    times: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        times[0].append(_timed(pipe.over(sample, specs)))
        instead.call.begin()  # type: ignore[union-attr] # a _Ready
        times[1].append(_timed(pipe.over(sample, (*specs[:at], instead, *specs[at + 1 :]))))
    seconds, without = (statistics.median(each) for each in times)
    return Headspace(name, len(sample), predicted, seconds / without, seconds, without)


def _find(specs: tuple[Spec, ...], name: str) -> int:
    found = [at for at, spec in enumerate(specs) if spec.name == name and spec.batch is None]
    if len(found) != 1:
        names = ", ".join(repr(spec.name) for spec in specs if spec.batch is None)
        message = f"this pipe has {len(found)} stages named {name!r}; there are {names}"
        raise ValueError(message)
    return found[0]


def _timed(pipe: Pipe) -> float:
    begun_s = time.perf_counter()
    pipe.run(sink=lambda _: None)
    return time.perf_counter() - begun_s


class _Ready:
    """A stage that has its results already, and gives each item an even share of them."""

    def __init__(self, items: int, results: list[Any]) -> None:
        self._items = max(1, items)
        self._results = results
        self._count = 0

    def begin(self) -> None:
        """Start with the first result again."""
        self._count = 0

    def __call__(self, _: Any) -> Iterator[Any]:
        at, self._count = self._count, self._count + 1
        count = len(self._results)
        return iter(self._results[at * count // self._items : (at + 1) * count // self._items])
