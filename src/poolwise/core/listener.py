"""Tells whoever listens what a pool does, and names tasks that run far longer than all others.

What is told (``live.py``) is imported when there is something to tell: spawned workers load this
module and never tell anything.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from poolwise.core import contract as c
    from poolwise.core.book import Book
    from poolwise.core.echo import Echo, Spoken
    from poolwise.core.job import Chunk, Job
    from poolwise.core.live import LiveEvent, TaskOutput, TaskStuck
    from poolwise.core.state import Lane, State

STUCK_LEAST_NS = 5_000_000_000
STUCK_TIMES = 20
"""A task is stuck when it runs so many times longer than the longest that has ended, and this long
at least. No benchmark found these: people ask themselves after some seconds, not before."""

STUCK_AFTER_ITEMS = 8
"""And only when so many of its kind have ended: before, nobody knows what is long."""


class Listener:
    """What is to be told, in order; the engine tells it once the state is nobody's business.

    :param on_event: is told everything (None: only what is stuck is said, as a warning).
    :param echo: says what workers print, log and warn of (None: they do so themselves).
    """

    def __init__(
        self,
        on_event: Callable[[LiveEvent], object] | None = None,
        echo: Echo | None = None,
    ) -> None:
        self._on_event = on_event
        self._echo = echo
        self.said: deque[LiveEvent | Spoken] = deque()
        self._stuck: dict[int, tuple[int, int]] = {}

    def _say(self, spoken: Spoken) -> TaskOutput | None:
        return None if self._echo is None else self._echo.say(spoken)

    def tell(self, said: LiveEvent | Spoken) -> None:
        """Tell it: a warning for what is stuck, and everything to the listener."""
        from poolwise.core.live import TaskStuck

        event = self._say(said) if isinstance(said, tuple) else said
        if isinstance(event, TaskStuck):
            _warn(event)
        if self._on_event is not None and event is not None:
            self._on_event(event)

    def job_posted(self, job: Job, state: State) -> None:
        """Follow this job from now on."""
        if self._on_event is not None:
            from poolwise.core.heard import Heard

            Heard(job, state, self.said)

    def lane_ready(self, event: c.LaneReady) -> None:
        """A lane is ready."""
        if self._on_event is not None:
            from poolwise.core.live import LaneBegan

            self.said.append(LaneBegan(event.lane, event.pid))

    def lane_ended(self, event: c.LaneDied, *, was_told_to: bool) -> None:
        """A lane is gone."""
        self._stuck.pop(event.lane, None)
        if self._on_event is not None:
            from poolwise.core.live import LaneEnded

            how = event.death.how
            self.said.append(LaneEnded(event.lane, event.death.pid, how, was_told_to))

    def lane_spoke(self, event: c.LaneSpoke, chunk: Chunk | None, book: Book) -> None:
        """Something was said in a lane while it ran (or did not run) a chunk."""
        from poolwise.core.echo import Spoken

        function = item = None
        if chunk is not None:
            function = book.page_of(chunk).function
            item = _find_item(event, chunk)
        pid = book.lanes[event.lane].pid
        self.said.append(Spoken(event.kind, event.what, event.lane, pid, function, item))

    def look_for_stuck(self, state: State, book: Book) -> None:
        """Say of each task that runs far too long that it does, once."""
        now_ns = time.perf_counter_ns()
        for lane in state.lanes.values():
            stuck = find_stuck(lane, book, now_ns)
            at = (lane.chunks[0].id, lane.chunks[0].done) if lane.chunks else None
            if stuck is not None and at is not None and self._stuck.get(lane.id) != at:
                self._stuck[lane.id] = at
                self.said.append(stuck)


def _find_item(event: c.LaneSpoke, chunk: Chunk) -> int | None:
    """The item that spoke, where that can be told."""
    if event.chunk_id is not None:
        return chunk.start + min(event.done, len(chunk.items) - 1)
    return chunk.start + chunk.done if chunk.rest == 1 else None


def find_stuck(lane: Lane, book: Book, now_ns: int) -> TaskStuck | None:
    """The task that a lane runs, if it runs far longer than any of its kind that has ended."""
    running_ns = now_ns - lane.since_ns
    if not lane.chunks or running_ns < STUCK_LEAST_NS:
        return None
    chunk = lane.chunks[0]
    page, longest_ns = book.page_of(chunk), 0
    if page.items >= STUCK_AFTER_ITEMS:
        longest_ns = page.longest_ns or page.run_ns // page.items
    if not longest_ns or running_ns < STUCK_TIMES * longest_ns:
        return None
    from poolwise.core.live import TaskStuck

    return TaskStuck(
        lane=lane.id,
        pid=book.lanes[lane.id].pid,
        function=page.function,
        item=chunk.start + chunk.done,
        running_s=running_ns / 1e9,
        typical_s=longest_ns / 1e9,
    )


def _warn(stuck: TaskStuck) -> None:
    import logging

    from poolwise.core.quantities import say_seconds

    logging.getLogger("poolwise").warning(
        "item %d of %s has been running for %s in process %s; no other took longer than %s. "
        "task_timeout would end it; 'py-spy dump --pid %s' shows where it is.",
        stuck.item,
        stuck.function,
        say_seconds(stuck.running_s),
        stuck.pid,
        say_seconds(stuck.typical_s),
        stuck.pid,
    )
