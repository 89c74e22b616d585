"""Progress counter of one call, counted where its values pass.

Looking is free for the pool: a display asks :meth:`Tally.look` from a thread of its own, as often
as it likes, and nothing is made between. What it sees of the workers may be one event old.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from poolwise.core.job import name_of
from poolwise.telemetry.live import LaneNow, Progress

if TYPE_CHECKING:
    from poolwise.core.job import Chunk, Job, News, Sink
    from poolwise.core.state import Lane, State


CALLS = "calls"
"""Common name of calls that were submitted one by one: their functions may differ."""


class Tally:
    """A sink in front of a job's own: it counts, and passes on.

    :param state: of the pool the job runs in.
    """

    def __init__(self, job: Job, state: State) -> None:
        self._job = job
        self._sink: Sink = job.sink
        self._state = state
        self._began_ns = self._last_ns = time.perf_counter_ns()
        self._done = 0
        self._failed = 0
        self._error: BaseException | None = None
        self._is_over = False
        self.room = job.sink.room
        job.sink = self

    def deliver(
        self, chunk: Chunk, first: int, values: Sequence[Any], errors: dict[int, BaseException]
    ) -> News:
        self._done += len(values)
        self._failed += len(errors)
        self._last_ns = time.perf_counter_ns()
        return self._sink.deliver(chunk, first, values, errors)

    def end(self, error: BaseException | None) -> News:
        self._error, self._is_over = error, True
        return self._sink.end(error)

    def look(self) -> Progress:
        """Progress of the call now; may be called from any thread."""
        job, items = self._job, self._count_items()
        now_ns = time.perf_counter_ns()
        until_ns = self._last_ns if self._done == items else now_ns
        return Progress(
            job=job.number,
            function=CALLS if job.has_calls else name_of(job.function.call),
            site=job.site,
            items=items,
            done=self._done,
            failed=self._failed,
            elapsed_s=(until_ns - self._began_ns) / 1e9,
            item_s=None if job.sizer.item_ns is None else job.sizer.item_ns / 1e9,
            lanes=tuple(self._look_at(lane, now_ns) for lane in list(self._state.lanes.values())),
            is_over=self._is_over,
            error=None if self._error is None else repr(self._error),
        )

    def _count_items(self) -> int | None:
        source = self._job.source
        left = source.remaining
        if left is None and source.is_exhausted:
            left = 0
        return None if left is None else max(self._done, self._job.handed_out + left)

    def _look_at(self, lane: Lane, now_ns: int) -> LaneNow:
        try:
            chunk = lane.chunks[0]
        except IndexError:
            return LaneNow(lane.id, lane.pid, None, None, 0.0)
        running_s = max(0, now_ns - lane.since_ns) / 1e9
        if chunk.job.has_calls:
            return LaneNow(lane.id, lane.pid, CALLS, None, running_s)
        name = name_of(chunk.job.function.call)
        return LaneNow(lane.id, lane.pid, name, chunk.start + chunk.done, running_s)
