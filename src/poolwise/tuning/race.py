"""Trials of settings in turns, and what they say: who is slower for certain.

All that run in one round meet the same machine, so settings are compared by the ratios of their
times within a round. Pure but for the trial and the clock, which are handed in.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from poolwise.tuning.effort import EFFORT

_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20)
"""Student's t for 95 % by degrees of freedom, from one on."""


@dataclass(frozen=True)
class Setting:
    """One way to run a call.

    :param kind: one of ``poolwise.choose.model.KINDS``; else the name of something to compare with.
    :param chunksize: None lets the pool choose.
    """

    kind: str
    workers: int = 1
    chunksize: int | None = None

    @property
    def name(self) -> str:
        """Kind, and how many workers."""
        is_one = self.workers == 1 and self.kind in {"serial", "poolwise.map"}
        return self.kind if is_one else f"{self.kind} ({self.workers})"

    def __str__(self) -> str:
        chunk = "" if self.chunksize is None else f", chunksize={self.chunksize:,}"
        return f"{self.name}{chunk}"


@dataclass(frozen=True)
class Ratio:
    """Times of one setting as multiples of another's, and the interval that holds it (95 %).

    Both ends are None where it was seen in too few rounds to know.
    """

    value: float
    low: float | None
    high: float | None
    rounds: int

    @property
    def inverse(self) -> Ratio:
        """The other by the one: times as fast."""
        low, high = (None if end is None else 1 / end for end in (self.high, self.low))
        return Ratio(1 / self.value, low, high, self.rounds)

    @property
    def is_above_one(self) -> bool:
        """Slower for certain."""
        return self.low is not None and self.low > 1


def _value(ratio: Ratio | None) -> float:
    return 1.0 if ratio is None else ratio.value


def ratio_of(ratios: Collection[float]) -> Ratio | None:
    """Mean of the ratios of some rounds with its interval; None of none."""
    if not ratios:
        return None
    logs = [math.log(ratio) for ratio in ratios]
    mean, count = statistics.fmean(logs), len(logs)
    if count <= len(EFFORT.certain):
        return Ratio(math.exp(mean), None, None, count)
    spread = max(statistics.stdev(logs), EFFORT.least_spread)
    wide = _T[min(count - 1, len(_T)) - 1] * spread / math.sqrt(count)
    return Ratio(math.exp(mean), math.exp(mean - wide), math.exp(mean + wide), count)


class Race:
    """Settings that run in turns, round by round, until they are stopped.

    :param trial: runs a setting once; seconds.
    :param whole_s: from a setting and its seconds to those of the whole call, its start included.
    :param first_s: what the first trial is expected to take.
    """

    def __init__(
        self,
        trial: Callable[[Setting], float],
        clock: Callable[[], float],
        whole_s: Callable[[Setting, float], float],
        first_s: float = 0.0,
    ) -> None:
        self._trial = trial
        self._clock = clock
        self._whole_s = whole_s
        self._first_s = first_s
        self.end_s = math.inf
        self.times: dict[Setting, dict[int, float]] = {}
        """Seconds on the sample by round."""
        self.stopped: dict[Setting, str] = {}
        self.is_out_of_time = False
        self._spent_s: dict[Setting, float] = {}
        """Cost of the last trial here: a time may be scaled from a part of the sample."""
        self._round = 0

    def enter(self, settings: Iterable[Setting]) -> None:
        """Have these take part from the next round on."""
        for setting in settings:
            self.times.setdefault(setting, {})

    @property
    def running(self) -> list[Setting]:
        """Settings that have not been stopped."""
        return [setting for setting in self.times if setting not in self.stopped]

    @property
    def has_only_failed(self) -> bool:
        """There were trials, and none came through."""
        return bool(self.stopped) and not any(self.times.values())

    def run(self, rounds: int, among: Collection[Setting] | None = None) -> None:
        """Run so many rounds; after each, those that are clearly slower than the best are stopped.

        :param among: only these, and none of them is stopped: to know better how they compare.
        """
        for _ in range(rounds):
            turn = self.running if among is None else [each for each in among if self.times[each]]
            has_rivals = len(turn) > 1 or among is not None
            if not has_rivals and all(map(self.times.get, turn)):
                return
            if not self._run_round(turn):
                return
            if among is None:
                self._stop_losers()

    def _run_round(self, turn: list[Setting]) -> bool:
        """Run each once, the other way round in every other round; False when time is up."""
        self._round += 1
        for setting in turn if self._round % 2 else reversed(turn):
            begun_s = self._clock()
            if begun_s + self._expected_s(setting) > self.end_s:
                self.is_out_of_time = True
                return False
            try:
                self.times[setting][self._round] = self._trial(setting)
            except Exception as error:
                self.stopped[setting] = f"failed: {type(error).__name__}: {error}"
            self._spent_s[setting] = self._clock() - begun_s
        return True

    def _expected_s(self, setting: Setting) -> float:
        """Time that it took, or else the fastest: a new one may be as fast."""
        fastest_s = min(self._spent_s.values(), default=self._first_s)
        return self._spent_s.get(setting, fastest_s)

    def _stop_losers(self) -> None:
        best = self.best()
        for setting in self.running:
            if best is not None and setting != best and self.is_slower(setting, best):
                self.stopped[setting] = "clearly slower"

    # -- what is known

    def seconds(self, setting: Setting) -> float | None:
        """Median time on the sample; None if it never came through."""
        times = self.times[setting].values()
        return statistics.median(times) if times else None

    def whole_s(self, setting: Setting) -> float | None:
        """Expected time of the whole call."""
        seconds = self.seconds(setting)
        return None if seconds is None else self._whole_s(setting, seconds)

    def best(self, among: Collection[Setting] | None = None) -> Setting | None:
        """Setting with the least expected time; of those that run if none are named.

        The least median may have come from quiet rounds: who was faster in the same rounds, is.
        """
        named = self.running if among is None else among
        found = [setting for setting in named if self.times[setting]]
        if not found:
            return None
        least = min(found, key=lambda setting: self.whole_s(setting) or math.inf)
        met = {setting: self.ratio(setting, least) for setting in found}
        known = [setting for setting, ratio in met.items() if ratio and ratio.low is not None]
        return min([least, *known], key=lambda setting: _value(met[setting]))

    def ratio(self, setting: Setting, other: Setting) -> Ratio | None:
        """Times of the one by the other's, of the whole call, in rounds that both were in."""
        return ratio_of(self._ratios(setting, other))

    def _ratios(self, setting: Setting, other: Setting) -> list[float]:
        ours, theirs = self.times[setting], self.times[other]
        return [
            self._whole_s(setting, ours[at]) / self._whole_s(other, theirs[at])
            for at in ours.keys() & theirs.keys()
        ]

    def is_slower(self, setting: Setting, other: Setting) -> bool:
        """The difference is clear: more than the noise of the rounds explains."""
        ratios = self._ratios(setting, other)
        if 0 < len(ratios) <= len(EFFORT.certain):
            return min(ratios) > EFFORT.certain[len(ratios) - 1]
        ratio = ratio_of(ratios)
        return ratio is not None and ratio.is_above_one
