"""One call as it is shown: what is known of it, in words, from one look at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from poolwise.report import figures
from poolwise.report.live.estimate import Estimator, say_rate, say_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from poolwise.telemetry.live import LaneNow, Progress

_LONG_S = 5.0
_LONG_TIMES = 5
"""A task is named while it runs once it has run so long, and so many times what others cost."""


@dataclass(frozen=True)
class Row:
    """One call at one moment.

    :param share: between 0 and 1; None while nobody knows how many items there are.
    :param count: ``6,120 of 10,000``.
    :param busy: for each worker, whether it runs something.
    :param note: what is out of the ordinary: failures, a task that runs very long.
    """

    key: int
    name: str
    share: float | None
    count: str
    rate: str
    left: str
    busy: tuple[bool, ...]
    note: str
    elapsed_s: float
    is_over: bool

    @property
    def is_going_on(self) -> bool:
        """True if something is still to come, as far as is known."""
        return not self.is_over and self.share != 1

    def line(self) -> str:
        """All of it in one line of plain text."""
        share = f"({figures.share(self.share)})" if self.share is not None else ""
        said = [f"{self.count} {share}".strip(), self.rate, self.left, self.workers(), self.note]
        return f"{self.name}: " + ", ".join(words for words in said if words)

    def workers(self) -> str:
        """``7 of 8 workers busy``."""
        return f"{sum(self.busy)} of {len(self.busy)} workers busy" if self.busy else ""


class Watched:
    """A call that is looked at again and again.

    :param look: gives how far it is now.
    """

    def __init__(self, look: Callable[[], Progress]) -> None:
        self._look: Callable[[], Progress] | None = look
        self._estimator = Estimator()
        self.key = id(self)

    def look(self) -> Row:
        """The call at this moment."""
        now = self._now()
        self._estimator.note(now.done, now.elapsed_s)
        items = now.items
        left = None if items is None else self._estimator.time_left(items, now.elapsed_s)
        return Row(
            key=self.key,
            name=_short(now),
            share=None if not items else now.done / items,
            count=_say_count(now),
            rate=say_rate(self._estimator.rate(now.elapsed_s)),
            left="" if left is None or now.done == items else f"{say_time(left)} left",
            busy=tuple(lane.function is not None for lane in now.lanes),
            note=", ".join(_notes(now)),
            elapsed_s=now.elapsed_s,
            is_over=now.is_over,
        )

    def let_go(self) -> None:
        """Keep nothing of it alive: it is looked at no more."""
        self._look = None

    def _now(self) -> Progress:
        if self._look is None:
            message = "this call is looked at no more"
            raise LookupError(message)
        return self._look()

    def last_line(self) -> str:
        """Closing line, when it is over or has been left."""
        now = self._now()
        took = figures.seconds(now.elapsed_s)
        rate = say_rate(now.done / now.elapsed_s) if now.elapsed_s > 0 else ""
        is_whole = now.done == now.items or (now.is_over and not now.error and now.items is None)
        if is_whole:
            said = [f"{_count_items(now.done)} in {took}", rate]
        else:
            said = [f"stopped at {_say_count(now)} after {took}"]
        failed = f"{now.failed:,} failed" if now.failed else ""
        return f"{_short(now)}: " + ", ".join(words for words in [*said, failed] if words)


def _short(now: Progress) -> str:
    """The function's name without where it was defined."""
    return now.function.rpartition("<locals>.")[2]


def _say_count(now: Progress) -> str:
    if now.items is None:
        return _count_items(now.done)
    return f"{now.done:,} of {now.items:,}"


def _count_items(number: int) -> str:
    return f"{number:,} item" if number == 1 else f"{number:,} items"


def _notes(now: Progress) -> list[str]:
    notes = [f"{now.failed:,} failed"] if now.failed else []
    if not now.is_over and (long := _find_long(now)) is not None:
        task = f"item {long.item}" if long.item is not None else "one"
        notes.append(f"{task} has run for {say_time(long.running_s)}")
    return notes


def _find_long(now: Progress) -> LaneNow | None:
    """The task that has run longest, if it has run far longer than others do."""
    running = [lane for lane in now.lanes if lane.function is not None]
    longest = max(running, key=lambda lane: lane.running_s, default=None)
    if longest is None or now.item_s is None:
        return None
    is_long = longest.running_s > max(_LONG_S, _LONG_TIMES * now.item_s)
    return longest if is_long else None
