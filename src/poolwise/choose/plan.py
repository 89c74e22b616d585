"""Choice for a call and its reasons: data, and one sentence of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from poolwise.choose.limits import LIMITS
from poolwise.quantities import say_seconds, say_share
from poolwise.record import record

if TYPE_CHECKING:
    from poolwise.choose.model import Kind, Machine, Measured, Prediction


@record
class Change:
    """A change of mind.

    :param item: how many items had been handed out by then.
    :param at_s: seconds since the call began.
    """

    item: int
    at_s: float
    before: Kind
    after: Kind
    reason: str


class Plan:
    """Record of how a call was run, and why; its text is one sentence.

    ``choice`` is the kind that ran most recently: ``"serial"``, ``"threads"``, ``"processes"`` or
    ``"asyncio"``, with ``workers``. ``reasons`` say why, the decisive one first. ``runner_up`` is
    the next best kind with the time predicted for it, ``predicted_s`` that of the choice, both for
    the items that were left then. ``measured`` is what an item was found to cost. ``changes`` are
    all changes of mind, ``notes`` what else happened. ``runs`` counts calls of the function.
    """

    def __init__(self, choice: Kind = "serial") -> None:
        self.choice: Kind = choice
        self.workers = 1
        self.reasons: list[str] = []
        self.runner_up: Prediction | None = None
        self.predicted_s: float | None = None
        self.measured: Measured | None = None
        self.changes: list[Change] = []
        self.notes: list[str] = []
        self.items = 0
        self.runs = 0

    def __str__(self) -> str:
        named = self.choice if self.choice == "serial" else f"{self.choice} ({self.workers})"
        reason = self.reasons[0] if self.reasons else "there was nothing to measure"
        notes = "".join(f"; {note}" for note in self.notes)
        return f"{named}: {reason}{self._say_runner_up()}{notes}"

    def _say_runner_up(self) -> str:
        other = self.runner_up
        if other is None or self.predicted_s is None:
            return ""
        expected = say_seconds(self.predicted_s)
        return f"; predicted {expected}, {other.kind} {say_seconds(other.seconds)}"

    def __repr__(self) -> str:
        return f"<Plan {self}>"

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        return {
            "choice": self.choice,
            "workers": self.workers,
            "reasons": list(self.reasons),
            "predicted_s": self.predicted_s,
            "runner_up": _plain(self.runner_up),
            "measured": _plain(self.measured),
            "changes": [_plain(change) for change in self.changes],
            "notes": list(self.notes),
            "items": self.items,
            "runs": self.runs,
        }


def _plain(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    names = type(value).__slots__
    return {name: getattr(value, name) for name in names}


def explain(
    chosen: Prediction,
    others: Sequence[Prediction],
    measured: Measured,
    left: int,
    machine: Machine,
) -> str:
    """The reason for a choice, in numbers that were measured."""
    if chosen.kind == "threads":
        return _explain_threads(measured)
    if chosen.kind == "processes":
        return _explain_processes(measured, machine)
    return _explain_serial(others, measured, left, machine)


def _explain_threads(measured: Measured) -> str:
    work = say_seconds(measured.wall_s)
    if measured.is_mixed:
        return f"an item waits for {say_share(measured.waiting)} of its {work}"
    free = 1 - (measured.gil or 0.0)
    return f"the GIL is free for {say_share(free)} of an item's {work}"


def _explain_processes(measured: Measured, machine: Machine) -> str:
    start = f", {say_seconds(machine.start_s)} to start" if machine.start_s else ""
    return f"{say_seconds(measured.wall_s)} of work an item, {_say_sending(measured)}{start}"


def _say_sending(measured: Measured) -> str:
    if measured.send_s is None:
        return "sending it not measured"
    return f"{say_seconds(measured.send_s)} to send"


def _explain_serial(
    others: Sequence[Prediction], measured: Measured, left: int, machine: Machine
) -> str:
    work = say_seconds(measured.wall_s)
    if machine.cpus < 2 and measured.waiting < LIMITS.waiting_share:  # noqa: PLR2004 - one and no other
        return f"there is one CPU for it, and an item computes {work}"
    if measured.is_threaded:
        return f"its function keeps {measured.cpus:.1f} CPUs busy by itself, {work} an item"
    is_short = left * measured.wall_s <= 2 * machine.start_s
    if is_short:
        return f"{left:,} items of {work} are not worth {say_seconds(machine.start_s)} to start"
    if measured.send_s is None or not others:
        return f"{left:,} items of {work} gain nothing from workers"
    return f"{work} of work an item, {_say_sending(measured)}"
