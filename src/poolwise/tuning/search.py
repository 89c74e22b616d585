"""Search for the best setting: kinds first, then the number of workers, then chunk sizes.

Each step begins from the best so far, as one would do by hand. No clock, no pool: a race runs the
trials.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from poolwise.choose.limits import LIMITS
from poolwise.tuning.effort import EFFORT
from poolwise.tuning.race import Race, Setting

LADDER = (1, 5, 20, 100, 500, 2500, 12500)
"""Chunk sizes to try: the steps of people who look for one by hand."""

OURS = "poolwise.map"
STANDARD = "multiprocessing.Pool"
"""Not to be chosen, but to compare with: our own choice, and a pool of chunks of one size."""

_ORDER = ("serial", "asyncio", "threads", "processes")
"""From the simplest on: of settings that are as fast, the first is taken."""


@dataclass(frozen=True)
class Space:
    """Ways to run a call that can be tried.

    :param kinds: that may be chosen.
    :param cpus: the middle of the numbers of workers.
    :param items: of the sample.
    :param length: of the whole call.
    :param is_waiting: items wait, so that more workers than CPUs are worth a trial.
    :param has_standard: the standard pool can run the function as well.
    """

    kinds: Collection[str]
    cpus: int
    items: int
    length: int
    is_waiting: bool = False
    has_standard: bool = False

    def list_kinds(self) -> list[Setting]:
        """One setting of each kind."""
        counts = {
            "serial": 1,
            "threads": EFFORT.threads if self.is_waiting else self.cpus,
            "processes": self.cpus,
            "asyncio": EFFORT.coroutines,
        }
        return [self._sized(kind, count) for kind, count in counts.items() if kind in self.kinds]

    def _sized(self, kind: str, workers: int) -> Setting:
        most = LIMITS.most_coroutines if kind == "asyncio" else LIMITS.most_threads
        return Setting(kind, max(1, min(workers, self.items, most)))

    def list_neighbours(self, best: Setting) -> list[Setting]:
        """One step up and down in workers; where items wait, a step is a factor."""
        if best.kind == "serial":
            return []
        counts = [best.workers - 1, best.workers + 1]
        if best.kind == "asyncio" or (best.kind == "threads" and self.is_waiting):
            counts = [best.workers // 4, 4 * best.workers]
        elif self.is_waiting:
            counts.append(2 * best.workers)
        least = 2 if best.kind == "threads" else 1  # one thread is the loop
        found = {self._sized(best.kind, count) for count in counts if count >= least}
        return sorted(found - {best}, key=lambda setting: setting.workers)

    def list_chunks(self, base: Setting) -> list[Setting]:
        """Chunk sizes that such a sample can tell something of.

        A part of the whole call has fewer chunks of a size than the whole, and so less balance:
        there must be some for each worker.
        """
        share = -(-self.items // base.workers)
        most = share if self.items == self.length else share // 4
        sizes = [size for size in LADDER if size <= max(1, most)]
        return [Setting(base.kind, base.workers, size) for size in sizes]


@dataclass
class Found:
    """Outcome of a search.

    :param chosen: the setting.
    :param base: that of the curve of chunk sizes, with self-sized chunks; None: no curve.
    :param curve: the settings on it.
    :param standard: the same of the standard pool.
    """

    chosen: Setting
    base: Setting | None = None
    curve: list[Setting] = field(default_factory=list)
    standard: list[Setting] = field(default_factory=list)


def search(
    space: Space, race: Race, spend: Callable[[float], float], prior: Setting | None = None
) -> Found:
    """Find the best setting by trials.

    :param spend: the time on the race's clock at which this part of the budget is spent.
    :param prior: a setting to try beside the others.
    """
    ends = map(spend, EFFORT.shares)
    race.end_s = spend(1.0)
    race.enter([*space.list_kinds(), *([prior] if prior else []), Setting(OURS)])
    race.run(1)  # whatever it takes: without it there is nothing to choose from
    race.end_s = next(ends)
    race.run(EFFORT.rounds - 1)
    race.end_s = next(ends)
    _climb(space, race)
    race.end_s = next(ends)
    found = _try_chunks(space, race)
    race.end_s = next(ends)
    return _conclude(found, race, [prior] if prior else [])


def _own(race: Race) -> list[Setting]:
    """Settings that may be chosen, and have come through."""
    return [each for each in race.times if each.kind in _ORDER and race.times[each]]


def _best(race: Race) -> Setting:
    return race.best(_own(race)) or Setting("serial")


def _climb(space: Space, race: Race) -> None:
    """Try neighbours of the best number of workers, as long as it gets better."""
    best = _best(race)
    while neighbours := [each for each in space.list_neighbours(best) if each not in race.times]:
        race.enter(neighbours)
        race.run(EFFORT.rounds)
        best = _best(race)
        if not space.is_waiting and best.kind != "asyncio":
            return  # for CPUs, one step says it


def _try_chunks(space: Space, race: Race) -> Found:
    best = _best(race)
    base = _base_of_curve(best, race)
    if base is None:
        return Found(best)
    found = Found(best, base, space.list_chunks(base))
    if len(found.curve) == 1:  # too few items: the pool's own chunks are no larger
        return Found(best)
    if base.kind == "processes" and space.has_standard:
        found.standard = [Setting(STANDARD, base.workers, each.chunksize) for each in found.curve]
    race.stopped.pop(base, None)
    race.enter([*found.curve, *found.standard])
    race.run(EFFORT.rounds)
    return found


def _base_of_curve(best: Setting, race: Race) -> Setting | None:
    """Pool to draw the curve of: the best, or, where none is best, that of processes."""
    pools = [each for each in _own(race) if each.kind in {"processes", "threads"}]
    if best in pools:
        return best
    return race.best([each for each in pools if each.kind == "processes"] or pools)


def _conclude(found: Found, race: Race, saved: list[Setting]) -> Found:
    """Compare the best with what it is measured by, and take the simplest that is as good.

    While others may be as good there are more turns: on a busy machine few say little.
    """
    yardsticks = [Setting("serial"), Setting(OURS), *saved]
    for _ in range(EFFORT.last_rounds):
        best = _best(race)
        rivals = _rivals_of(best, race)
        known = [
            each for each in dict.fromkeys([best, *rivals, *yardsticks]) if race.times.get(each)
        ]
        race.run(EFFORT.rounds, known)
        if all(_is_settled(each, best, race) for each in rivals):
            break
    best = _best(race)
    found.chosen = min([best, *_as_good_as(best, race)], key=_simplicity)
    return found


def _rivals_of(best: Setting, race: Race) -> list[Setting]:
    """Settings that may still turn out to be as fast, the likeliest first; a few of them."""
    ratios = {each: race.ratio(each, best) for each in _own(race) if each in race.running}
    found = [
        (1.0 if ratio is None else ratio.value, at, each)
        for at, (each, ratio) in enumerate(ratios.items())
        if each != best and not race.is_slower(each, best)
    ]
    return [each for _, _, each in sorted(found)[: EFFORT.rivals]]


def _is_settled(rival: Setting, best: Setting, race: Race) -> bool:
    """True if it is known to be slower, or about as fast."""
    ratio = race.ratio(rival, best)
    is_close = ratio is not None and ratio.high is not None and ratio.high < EFFORT.as_fast**2
    return is_close or race.is_slower(rival, best)


def _as_good_as(best: Setting, race: Race) -> list[Setting]:
    """Settings that were seen to be about as fast, in rounds enough to say so."""
    return [
        each
        for each in _own(race)
        if (ratio := race.ratio(each, best)) is not None
        and ratio.low is not None
        and ratio.value <= EFFORT.as_fast
        and not race.is_slower(each, best)
    ]


def _simplicity(setting: Setting) -> tuple[int, bool, int]:
    return _ORDER.index(setting.kind), setting.chunksize is not None, setting.workers


def list_all(space: Space) -> Iterable[Setting]:
    """Every setting that the search might try: what an exhaustive sweep runs."""
    for middle in space.list_kinds():
        for setting in [middle, *space.list_neighbours(middle)]:
            yield setting
            if setting.kind in {"processes", "threads"}:
                yield from space.list_chunks(setting)
