"""Runs a claim: every entrant in a seat, the rounds interleaved (A B C, B C A, ...)."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.harness.seat import NotInstalledError, Seat, SeatError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.harness.model import Claim, Entrant


@dataclass
class Series:
    """What one entrant measured in one case, round by round, beside the first entrant's rounds."""

    values: dict[int, float] = field(default_factory=dict)
    ours: dict[int, float] = field(default_factory=dict)
    """The first entrant's values in the very heat in which these were measured."""
    reference: dict[int, float] = field(default_factory=dict)


@dataclass
class Result:
    """A claim as measured: a series for each (label, case), and why an entrant has none."""

    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def hold_contest(
    name: str, claim: Claim, rounds: int, is_wanted: Callable[[Entrant], bool]
) -> Result:
    result = Result()
    environment = claim.calibrate()
    for heat in _heats(claim, is_wanted):
        _Heat(name, claim, heat, environment, result).run(rounds)
    return result


def _heats(claim: Claim, is_wanted: Callable[[Entrant], bool]) -> list[list[Entrant]]:
    """Those that can be frozen meet in one heat; the others meet the first entrant in another."""
    first = claim.entrants[0]
    wanted = [e for e in claim.entrants[1:] if is_wanted(e) or e.label == claim.reference]
    pace = [first, *(e for e in wanted if e.label == claim.reference)]
    loud = [e for e in wanted if e.has_daemons]
    quiet = [e for e in wanted if not e.has_daemons and e not in pace]
    return [[*pace, *quiet], *([[*pace, *loud]] if loud else [])]


class _Heat:
    def __init__(
        self,
        name: str,
        claim: Claim,
        entrants: Sequence[Entrant],
        environment: Mapping[str, str],
        result: Result,
    ) -> None:
        self._name = name
        self._claim = claim
        self._entrants = list(entrants)
        self._environment = environment
        self._result = result
        self._seats: dict[str, Seat] = {}
        self._values: dict[tuple[str, str], dict[int, float]] = {}

    def run(self, rounds: int) -> None:
        with ExitStack() as stack:
            stack.callback(self._close)
            for case in self._claim.cases:
                for turn in range(rounds):
                    shift = turn % len(self._entrants)
                    for entrant in self._entrants[shift:] + self._entrants[:shift]:
                        self._take_turn(entrant, case, turn)
        self._keep()

    def _take_turn(self, entrant: Entrant, case: str, turn: int) -> None:
        if entrant.label in self._result.absent or (entrant.cases and case not in entrant.cases):
            return
        try:
            seat = self._seat_of(entrant)
            value = seat.turn(case)
        except SeatError as error:
            word = "skipped" if isinstance(error, NotInstalledError) else "failed"
            self._result.absent[entrant.label] = f"{word}: {error}"
            self._leave(entrant)
            return
        self._values.setdefault((entrant.label, case), {})[turn] = value
        if self._claim.is_fresh:
            self._leave(entrant)
        elif not entrant.has_daemons:
            seat.freeze()

    def _seat_of(self, entrant: Entrant) -> Seat:
        seat = self._seats.get(entrant.label)
        if seat is None:
            number = self._claim.entrants.index(entrant)
            seat = Seat(self._name, number, self._environment, self._claim.limit_s)
            self._seats[entrant.label] = seat
            seat.wait_ready()
        elif not entrant.has_daemons:
            seat.thaw()
        return seat

    def _leave(self, entrant: Entrant) -> None:
        seat = self._seats.pop(entrant.label, None)
        if seat is not None:
            seat.close()

    def _close(self) -> None:
        for entrant in self._entrants:
            self._leave(entrant)

    def _keep(self) -> None:
        first = self._entrants[0].label
        for (label, case), values in self._values.items():
            if (label, case) in self._result.series:
                continue  # the first entrant and the reference, met again in a later heat
            self._result.series[label, case] = Series(
                values,
                self._values.get((first, case), {}),
                self._values.get((self._claim.reference or "", case), {}),
            )
