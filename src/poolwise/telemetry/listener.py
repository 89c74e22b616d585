"""Observers that tell the program what its pool does, and name tasks that seem to be stuck."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from poolwise.core import contract as c

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poolwise.account.book import Book
    from poolwise.core.job import Chunk
    from poolwise.core.state import Lane, State
    from poolwise.telemetry.live import LiveEvent, TaskOutput, TaskStuck
    from poolwise.telemetry.output import OutputForwarder, WorkerOutput

STUCK_LEAST_NS = 5_000_000_000
STUCK_TIMES = 20
"""A task is stuck when it runs so many times longer than the longest that has ended, and this long
at least. No benchmark found these: people ask themselves after some seconds, not before."""


class StuckWatch(c.Observer):
    """Warns of tasks that run far longer than any of their kind that has ended, once each.

    :param tell: is given the warning as an event, too.
    """

    def __init__(
        self, state: State, book: Book, tell: Callable[[LiveEvent], object] | None = None
    ) -> None:
        super().__init__()
        self._state = state
        self._book = book
        self._tell = tell
        self._known: dict[int, tuple[int, int]] = {}
        """Lane -> the chunk and the position in it of its task that was warned of."""

    def silence(self, now_ns: int) -> None:
        for lane in self._state.lanes.values():
            stuck = find_stuck(lane, self._book, now_ns)
            at = (lane.chunks[0].id, lane.chunks[0].done) if lane.chunks else None
            if stuck is not None and at is not None and self._known.get(lane.id) != at:
                self._known[lane.id] = at
                self.callbacks.append(partial(self._warn, stuck))

    def _warn(self, stuck: TaskStuck) -> None:
        _warn(stuck)
        if self._tell is not None:
            self._tell(stuck)


class Listener(c.Observer):
    """Tells the program's ``on_event`` what happens, and prints again what workers print.

    :param on_event: is told everything (None: nothing).
    :param forwarder: says what workers print, log and warn of (None: they do so themselves).
    """

    def __init__(
        self,
        state: State,
        on_event: Callable[[LiveEvent], object] | None = None,
        forwarder: OutputForwarder | None = None,
    ) -> None:
        super().__init__()
        self._state = state
        self._on_event = on_event
        self._forwarder = forwarder
        self._stopped: set[int] = set()

    def observe(self, event: c.Event | None, commands: Sequence[c.Command], now_ns: int) -> None:
        if (act := self._EVENTS.get(type(event))) is not None:
            act(self, event)
        for command in commands:
            if type(command) is c.StopLane:
                self._stopped.add(command.lane)

    def _post(self, event: LiveEvent) -> None:
        if self._on_event is not None:
            self.callbacks.append(partial(self._on_event, event))

    def _job_posted(self, event: c.JobPosted) -> None:
        if self._on_event is not None:
            from poolwise.telemetry.heard import Heard

            Heard(event.job, self._state, self._post)

    def _lane_ready(self, event: c.LaneReady) -> None:
        from poolwise.telemetry.live import LaneBegan

        self._post(LaneBegan(event.lane, event.pid))

    def _lane_ended(self, event: c.LaneDied) -> None:
        from poolwise.telemetry.live import LaneEnded

        death, was_told_to = event.death, event.lane in self._stopped
        self._stopped.discard(event.lane)
        self._post(LaneEnded(event.lane, death.pid, death.how, was_told_to))

    def _lane_spoke(self, event: c.LaneSpoke) -> None:
        from poolwise.telemetry.output import WorkerOutput

        lane = self._state.lanes[event.lane]
        if event.chunk_id is None:
            chunk = lane.chunks[0] if lane.chunks else None
        else:
            chunk = lane.held(event.chunk_id)
        function = item = None
        if chunk is not None:
            function = chunk.name_at(min(chunk.done, len(chunk.items) - 1))
            item = _find_item(event, chunk)
        output = WorkerOutput(event.kind, event.what, event.lane, lane.pid, function, item)
        self.callbacks.append(partial(self._say, output))

    def _say(self, output: WorkerOutput) -> None:
        said: TaskOutput | None = None if self._forwarder is None else self._forwarder.say(output)
        if said is not None and self._on_event is not None:
            self._on_event(said)

    _EVENTS: ClassVar[dict[type, Callable[[Listener, Any], None]]] = {
        c.JobPosted: _job_posted,
        c.LaneReady: _lane_ready,
        c.LaneDied: _lane_ended,
        c.LaneSpoke: _lane_spoke,
    }


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
    page, longest_ns = book.page_of(chunk, chunk.done), 0
    enough = 8  # with fewer items it is not known what is long
    if page.items >= enough:
        longest_ns = page.longest_ns or page.run_ns // page.items
    if not longest_ns or running_ns < STUCK_TIMES * longest_ns:
        return None
    from poolwise.telemetry.live import TaskStuck

    return TaskStuck(
        lane=lane.id,
        pid=lane.pid,
        function=page.function,
        item=chunk.start + chunk.done,
        running_s=running_ns / 1e9,
        typical_s=longest_ns / 1e9,
    )


def _warn(stuck: TaskStuck) -> None:
    import logging

    from poolwise.quantities import say_seconds

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
