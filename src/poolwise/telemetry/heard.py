"""A job that somebody listens to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from poolwise.telemetry.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poolwise.core.job import Chunk, Job, News
    from poolwise.core.state import State
    from poolwise.telemetry.live import LiveEvent


class Heard(Tally):
    """A tally that says how far its job is: when it begins, now and then, and when it is over."""

    def __init__(self, job: Job, state: State, tell: Callable[[LiveEvent], object]) -> None:
        super().__init__(job, state)
        self._tell = tell
        self._told_ns = 0
        tell(self.look())

    def deliver(
        self, chunk: Chunk, first: int, values: Sequence[Any], errors: dict[int, BaseException]
    ) -> News:
        news = super().deliver(chunk, first, values, errors)
        now_ns = time.perf_counter_ns()
        pause_ns = 100_000_000  # told ten times a second at most
        if now_ns - self._told_ns > pause_ns:
            self._told_ns = now_ns
            self._tell(self.look())
        return news

    def end(self, error: BaseException | None) -> News:
        news = super().end(error)
        self._tell(self.look())
        return news
