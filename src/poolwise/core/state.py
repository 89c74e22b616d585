"""The scheduler as a state machine: events in, commands out; no I/O, no clock.

:meth:`State.apply` takes an event and the time, and returns commands. The same code runs the real
pool, the simulator and the tests, which compare lists.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from poolwise import errors
from poolwise.core import contract as c
from poolwise.core.batching import should_give_back
from poolwise.core.job import NO_JOB, name_of

if TYPE_CHECKING:
    from poolwise.core.footprints import Footprints
    from poolwise.core.job import Chunk, Job

_TRIES = 3
"""Workers that die in a row before they are ready; then waiting jobs fail instead of a storm of
new processes. And so often items go again whose results were lost with a worker's memory. One could
be bad luck; a measured reason for exactly three does not exist."""


class Lane:
    """One place where a chunk runs, as far as the core knows it.

    ``pid`` is its process, where it is one and has said so, ``first_bytes`` its own memory before
    its first task. ``since_ns`` is when the chunk in front began or last gave a sign of life.
    ``victim`` is the chunk, and the position in it, of the task
    for which the lane is stopped early: one that somebody wants stopped or, if ``is_overdue``, one
    that has run too long.
    """

    __slots__ = ("chunks", "first_bytes", "id", "is_asked", "is_overdue", "is_ready",
                 "is_stopping", "pid", "since_ns", "tasks_left", "victim")  # fmt: skip

    def __init__(self, lane_id: int, tasks_left: int | None) -> None:
        self.id = lane_id
        self.tasks_left = tasks_left
        self.chunks: deque[Chunk] = deque()
        self.pid: int | None = None
        self.first_bytes: int | None = None
        self.is_ready = False
        self.is_stopping = False
        self.is_asked = False
        self.is_overdue = False
        self.victim: tuple[Chunk, int] | None = None
        self.since_ns = 0

    @property
    def can_take(self) -> bool:
        """Ready, not on its way out, and allowed one more task."""
        return self.is_ready and not self.is_stopping and self.tasks_left != 0

    @property
    def stays(self) -> bool:
        """Not on its way out, ready or not."""
        return not self.is_stopping and self.tasks_left != 0

    @property
    def can_share(self) -> bool:
        """Holds items that it has not begun, and was not asked for them yet."""
        if not self.chunks or self.is_asked or self.is_stopping:
            return False
        return len(self.chunks) > 1 or self.chunks[0].rest > 1

    def held(self, chunk_id: int) -> Chunk | None:
        """The chunk of that number, if the lane holds it."""
        for chunk in self.chunks:
            if chunk.id == chunk_id:
                return chunk
        return None


class State:
    """All lanes and all jobs of one pool.

    :param most_lanes: how many lanes there may be at once.
    :param tasks_per_lane: a lane is replaced after that many tasks (None: never).
    :param starts_at_once: when one lane is needed, start all (forking later would be unsafe).
    :param footprints: bounds the memory of lanes (None: it is not looked at).
    """

    def __init__(
        self,
        most_lanes: int,
        *,
        tasks_per_lane: int | None = None,
        starts_at_once: bool = True,
        footprints: Footprints | None = None,
    ) -> None:
        self.most_lanes = most_lanes
        self.room = most_lanes if footprints is None else footprints.room(most_lanes)
        """Lanes that there may be now: memory may not be enough for all."""
        self.lanes: dict[int, Lane] = {}
        self.jobs: deque[Job] = deque()
        self.is_closing = False
        self.start_failure: errors.PoolwiseError | None = None
        """Reason why no lane came to life at the last try; None as soon as one does."""
        self.counts = dict.fromkeys(
            ("tasks", "chunks", "deaths", "retries", "given_back", "recycled"), 0
        )
        self._footprints = footprints
        self._tasks_per_lane = tasks_per_lane
        self._starts_at_once = starts_at_once
        self._idle: dict[int, Lane] = {}
        self._has_limits = False
        self._lane_ids = 0
        self._failed_starts = 0
        self._deaths_unread = 0
        self._commands: list[c.Command] = []
        self._now_ns = 0
        self._can_ask_again = False

    @property
    def wants_work(self) -> bool:
        """More work would be begun at once: a lane is idle, or may be started."""
        return bool(self._idle) or len(self.lanes) < self.room

    @property
    def is_busy(self) -> bool:
        """An event is to be expected from some lane."""
        return len(self._idle) < len(self.lanes)

    # -- the two questions

    def apply(self, event: c.Event, now_ns: int) -> list[c.Command]:
        """Take note of what happened; return what follows at once."""
        self._now_ns = now_ns
        self._HANDLERS[type(event)](self, event)
        return self._take_commands()

    def assign(self, now_ns: int) -> list[c.Command]:
        """Bring idle lanes and waiting jobs together; look after limits that have passed."""
        self._now_ns = now_ns
        if self._has_limits:
            self._stop_overdue()
        for job in self.jobs:
            if job.has_more:
                self._hand_out()
                break
        self._can_ask_again = bool(self._idle) and self.is_busy and self._ask_for_shares()
        if self.is_closing or self._tasks_per_lane is not None or self._footprints is not None:
            self._end_lanes()
        return self._take_commands()

    def next_look_ns(self) -> int | None:
        """Time at which to ask :meth:`assign` again although nothing happened (None: never)."""
        lanes, times = self.lanes.values(), []
        if self._has_limits:
            times += [limit for lane in lanes if (limit := self._limit_ns(lane))]
        if self._can_ask_again:
            # Lanes are idle and others hold items: ask again whether to share those.
            times.append(self._now_ns + 5_000_000)
        return min(times, default=None)

    def fail_all(self, error: errors.PoolwiseError) -> list[c.Command]:
        """End every job with such an error, and every call: nobody will work on them."""
        for lane in self.lanes.values():
            for chunk in lane.chunks:
                self._fail_call(chunk, error)
            lane.chunks.clear()
        for job in list(self.jobs):
            while job.has_calls and (waiting := job.take(None)) is not None:
                self._fail_call(waiting, error)
            self._end_job(job, errors.again(error))
        return self._take_commands()

    def _fail_call(self, chunk: Chunk, error: errors.PoolwiseError) -> None:
        """Tell whoever waits for these calls; the values of other jobs end with their job."""
        if chunk.job.has_calls:
            values: list[Any] = [None] * chunk.rest
            failed = _one_each(error, chunk.rest)
            self._commands.append(c.Deliver(chunk, chunk.done, values, failed))

    def _take_commands(self) -> list[c.Command]:
        commands, self._commands = self._commands, []
        return commands

    # -- events of lanes

    def _lane_ready(self, event: c.LaneReady) -> None:
        lane = self.lanes[event.lane]
        lane.is_ready, lane.pid = True, event.pid
        self.start_failure = None
        self._failed_starts = 0
        self._note_if_idle(lane)

    def _note_if_idle(self, lane: Lane) -> None:
        if lane.can_take and not lane.chunks:
            self._idle[lane.id] = lane

    def _lane_died(self, event: c.LaneDied) -> None:
        lane = self.lanes.pop(event.lane)
        self._idle.pop(lane.id, None)
        if not lane.is_stopping:
            self.counts["deaths"] += 1
        chunks = list(lane.chunks)
        for chunk in reversed(chunks[1:]):
            self._put_back(chunk, chunk.done)
        if chunks and chunks[0].id in event.unread and self._deaths_unread < _TRIES:
            self._deaths_unread += 1  # they are bounded: something may end workers on sight
            self._put_back(chunks[0], chunks[0].done)
        elif chunks:
            self._put_back_running(chunks[0], lane, event.death)
        if lane.is_ready or lane.is_stopping:
            return  # a new one is started when work waits for it
        self._failed_starts += 1
        is_hopeless = event.failure is not None or event.death.is_certain
        if is_hopeless or self._failed_starts >= _TRIES:
            self._give_up(event)

    def _give_up(self, event: c.LaneDied) -> None:
        if any(lane.is_ready for lane in self.lanes.values()):
            return
        self._failed_starts = 0
        error = _initializer_failed(event)
        self.start_failure = _initializer_failed(event)  # one that is never raised: a traceback
        # would hold whoever read it, and with that the pool
        for job in list(self.jobs):
            if job.has_calls:
                self._fail_waiting_calls(job, error)
            else:
                self._end_job(job, errors.again(error))

    def _lane_spoke(self, _: c.LaneSpoke) -> None:
        """Ignore an event that only observers read."""

    def _lane_weighed(self, event: c.LaneWeighed) -> None:
        footprints, lane = self._footprints, self.lanes[event.lane]
        if footprints is None:
            return
        if footprints.has_outgrown(lane, event.own_bytes, event.peak_bytes) and lane.can_take:
            self.counts["recycled"] += 1
            self._retire(lane)
        self.room = footprints.room(self.most_lanes)
        staying = [each for each in self.lanes.values() if each.stays]
        for surplus in staying[self.room :]:
            self._retire(surplus)

    def _retire(self, lane: Lane) -> None:
        """Let the lane end after what it holds: :meth:`_end_lanes` stops it then."""
        lane.tasks_left = 0
        self._idle.pop(lane.id, None)

    # -- events of chunks

    def _chunk_done(self, event: c.ChunkDone) -> None:
        lane, outcome = self.lanes[event.lane], event.outcome
        chunk = lane.held(event.chunk_id)
        if chunk is None:  # its job was ended meanwhile
            return
        lane.since_ns = self._now_ns
        self._deaths_unread = 0
        if outcome.returned:
            self._take_shares(chunk, outcome.returned)
        if size := len(outcome.values):
            self.counts["tasks"] += size
            nbytes = outcome.nbytes + (0 if chunk.done else chunk.sent_bytes)
            chunk.done += size
            chunk.job.sizer.observe(size, outcome.run_ns, nbytes=nbytes)
        if outcome.is_last:
            lane.chunks.remove(chunk)
            lane.is_asked = False
            self._note_if_idle(lane)
        chunk.answer_bytes = outcome.nbytes
        self._deliver(chunk, outcome.first, outcome.values, outcome.errors)

    def _take_shares(self, chunk: Chunk, returned: int) -> None:
        kept = chunk.done if returned < 0 else len(chunk.items) - returned
        self.counts["given_back"] += len(chunk.items) - kept
        self._put_back(chunk, kept)
        chunk.items = chunk.items[:kept]

    def _chunk_refused(self, event: c.ChunkRefused) -> None:
        chunk = self._withdraw(event.lane, event.chunk_id)
        if chunk is None:
            return
        if event.error is None:
            self._put_back(chunk, 0, is_alone=True)
        elif event.is_function:
            self._end_job(chunk.job, event.error)
        else:
            self._split_or_fail(chunk, event.error)

    def _chunk_unread(self, event: c.ChunkUnread) -> None:
        chunk = self._withdraw(event.lane, event.chunk_id)
        if chunk is None:
            return
        function = chunk.job.function
        is_about_code = event.is_function or _lacks_class(chunk, event.error)
        if is_about_code and chunk.function_id != function.id:
            self._put_back(chunk, 0)  # another lane has said so before
        elif is_about_code and not function.by_value:
            function.carry_code()
            self._put_back(chunk, 0)
        elif event.is_function:
            self._deliver(
                chunk, 0, [None] * chunk.rest, dict.fromkeys(range(chunk.rest), event.error)
            )
        else:
            self._split_or_fail(chunk, _not_loadable(event.error, chunk))

    def _chunk_lost(self, event: c.ChunkLost) -> None:
        """Its items go again, singly: one of them may be what kills lanes. But not for ever.

        Several tries, since it may as well be the next task of its lane that kills it.
        """
        lane = self.lanes[event.lane]
        if not lane.is_stopping:
            lane.is_stopping = True  # it has died: that will be told next
            self.counts["deaths"] += 1
        chunk = self._withdraw(event.lane, event.chunk_id)
        if chunk is None:
            return
        self._idle.pop(lane.id, None)
        if not event.is_last:  # it died over this one: what waited behind it has not begun
            for behind in reversed(lane.chunks):
                self._put_back(behind, behind.done)
            lane.chunks.clear()
        if chunk.losses < _TRIES:
            self._put_back(chunk, chunk.done, losses=chunk.losses + 1, is_alone=True)
        else:
            failed = dict.fromkeys(range(chunk.rest), event.error)
            self._deliver(chunk, chunk.done, [None] * chunk.rest, failed)

    def _withdraw(self, lane_id: int, chunk_id: int) -> Chunk | None:
        lane = self.lanes[lane_id]
        chunk = lane.held(chunk_id)
        if chunk is not None:
            lane.chunks.remove(chunk)
            lane.since_ns = self._now_ns
            self._note_if_idle(lane)
        return chunk

    def _split_or_fail(self, chunk: Chunk, error: BaseException) -> None:
        """One of the items is bad: fail it when it is alone, else halve until it is."""
        size = len(chunk.items)
        if size == 1:
            self._deliver(chunk, 0, [None], {0: error})
            return
        self._put_back(chunk, size // 2)
        self._put_back(chunk.part(0, size // 2), 0)

    # -- events of jobs

    def _job_posted(self, event: c.JobPosted) -> None:
        job = event.job
        self.jobs.append(job)
        self._has_limits = self._has_limits or job.rules.task_timeout_s is not None
        self._end_if_done(job)

    def _input_ended(self, event: c.InputEnded) -> None:
        self._end_if_done(event.job)

    def _job_dropped(self, event: c.JobDropped) -> None:
        if event.error is None:
            event.job.drop()
        else:
            event.job.cut(event.error)
        self._end_if_done(event.job)

    def _task_dropped(self, event: c.TaskDropped) -> None:
        for lane in self.lanes.values():
            for chunk in lane.chunks:
                if chunk.job is event.job and event.task in chunk.items[chunk.done :]:
                    self._drop_task_in(lane, event.task)
                    return

    def _drop_task_in(self, lane: Lane, task: object) -> None:
        """Stop the lane if it runs the task; if the task waits behind another, ask for it back."""
        running = lane.chunks[0]
        if running.rest and running.items[running.done] is task:
            lane.victim = (running, running.done)
            self._stop(lane, kill=True)
        elif not lane.is_asked:
            lane.is_asked = True
            self._commands.append(c.AskBack(lane.id))

    def _pool_closed(self, _: c.PoolClosed) -> None:
        self.is_closing = True
        for job in list(self.jobs):
            self._end_if_done(job)

    # -- what becomes of items

    def _put_back(self, chunk: Chunk, first: int, end: int | None = None, **changes: Any) -> None:
        """The chunk's items from ``first`` on (up to ``end``) shall go again."""
        job = chunk.job
        end = len(chunk.items) if end is None else end
        if first >= end:
            return
        if job.is_over:
            job.open_items -= end - first
            job.miss()
            self._end_if_done(job)
            return
        job.put_back(chunk.part(first, end, **changes))

    def _put_back_running(self, chunk: Chunk, lane: Lane, death: errors.Death) -> None:
        """The lane died over ``chunk``: blame the item that ran if it is known, else try singly."""
        at = chunk.done
        if not chunk.rest:
            return
        if lane.victim is not None and lane.victim != (chunk, at):
            self._put_back(chunk, at)  # it was done before the lane could be stopped
        elif lane.victim is None and chunk.rest > 1:
            self._put_back(chunk, at, is_alone=True)
        else:
            self._put_back(chunk, at + 1)
            self._blame(chunk, at, lane, death)

    def _blame(self, chunk: Chunk, at: int, lane: Lane, death: errors.Death) -> None:
        is_unwanted = lane.victim is not None and not lane.is_overdue
        if not is_unwanted and chunk.attempt < chunk.job.rules.retries:
            self._retry(chunk, at)
            return
        if is_unwanted:
            error: BaseException = errors.TaskCancelled("stopped by cancel(force=True)")
        elif lane.is_overdue:
            error = _timed_out(chunk, at)
        else:
            error = _died(chunk, at, death)
        self._deliver(chunk, at, [None], {0: error})

    def _retry(self, chunk: Chunk, at: int) -> None:
        self.counts["retries"] += not chunk.job.is_over
        self._put_back(chunk, at, at + 1, attempt=chunk.attempt + 1, is_alone=True)

    def _deliver(
        self, chunk: Chunk, first: int, values: list[Any], failed: dict[int, BaseException]
    ) -> None:
        job = chunk.job
        if failed and any(_shall_go_again(chunk, error) for error in failed.values()):
            self._deliver_all_but(chunk, first, values, failed)
            return
        job.open_items -= len(values)
        if values and not job.is_unwanted:
            self._commands.append(c.Deliver(chunk, first, values, failed))
        self._end_if_done(job)

    def _deliver_all_but(
        self, chunk: Chunk, first: int, values: list[Any], failed: dict[int, BaseException]
    ) -> None:
        """Deliver each by itself, but run those again whose error is worth another try."""
        for at, value in enumerate(values):
            error = failed.get(at)
            if error is not None and _lacks_name(chunk, error):
                self._put_back(chunk, first + at, first + at + 1, is_alone=True, by_value=True)
                continue
            if error is not None and _is_worth_retry(chunk, error):
                self._retry(chunk, first + at)
                continue
            chunk.job.open_items -= 1
            said = {} if error is None else {0: error}
            self._commands.append(c.Deliver(chunk, first + at, [value], said))
        self._end_if_done(chunk.job)

    def _fail_waiting_calls(self, job: Job, error: errors.PoolwiseError) -> None:
        """The calls that wait fail; the job goes on, for the next call may find a better day."""
        while (chunk := job.take(None)) is not None:
            size = len(chunk.items)
            self._deliver(chunk, 0, [None] * size, _one_each(error, size))
        self._end_if_done(job)  # nothing was delivered if all that waited was cancelled

    def _end_if_done(self, job: Job) -> None:
        if not job.open_items and (job.is_over or job.is_done) and job in self.jobs:
            self._end_job(job, job.source.error)

    def _end_job(self, job: Job, error: BaseException | None) -> None:
        job.drop()
        if job in self.jobs:  # else it has ended: several of its chunks bring the same bad news
            self.jobs.remove(job)
            self._commands.append(c.EndJob(job, error))

    # -- assigning

    def _hand_out(self) -> None:
        if self._idle:
            self._feed_idle()
        if len(self.lanes) < self.room:
            self._start_lanes()
        if not self._idle:
            self._feed_ahead()

    def _feed_idle(self) -> None:
        idle = list(self._idle.values())
        if len(idle) == len(self.lanes) and sum([job.waiting for job in self.jobs]) == 1:
            idle.reverse()  # one call at a time: the lane used last is still awake
        for lane in idle:
            if not self._send_next(lane):
                return

    def shortage(self) -> int | None:
        """Reason that idle lanes have nothing to do; None: busy, or waiting for the parent."""
        worst = NO_JOB
        for job in self.jobs:
            worst = min(worst, job.shortage())
        if not self._idle and (worst != NO_JOB or self._holds_chunks()):
            return None
        return worst

    def _holds_chunks(self) -> bool:
        return any(lane.chunks for lane in self.lanes.values())

    def busy_since_ns(self) -> dict[int, int]:
        """Since when each lane holds a chunk, or has last answered for one (0: it holds none)."""
        return {lane.id: lane.since_ns if lane.chunks else 0 for lane in self.lanes.values()}

    def _feed_ahead(self) -> None:
        """Give lanes their next chunk early enough that they need not wait for it.

        Never behind a single item: nobody in the worker looks out for what comes meanwhile, so
        if that item takes long, what is behind it cannot be had back.
        """
        for lane in self.lanes.values():
            if len(lane.chunks) == 1 and lane.can_take:
                held = lane.chunks[0]
                if len(held.items) == 1:
                    continue
                if held.job.sizer.wants_another(held.rest, self._now_ns - lane.since_ns):
                    self._send_next(lane)

    def _send_next(self, lane: Lane) -> bool:
        """Give the lane a chunk of the next job that has one: each job in its turn."""
        for job in list(self.jobs):
            self.jobs.rotate(-1)
            if not job.has_more:
                continue
            if (chunk := job.take(lane.tasks_left)) is not None:
                self._send(lane, chunk)
                return True
            self._end_if_done(job)  # it is, if all that waited was cancelled
        return False

    def _send(self, lane: Lane, chunk: Chunk) -> None:
        if not lane.chunks:
            lane.since_ns = self._now_ns
            self._idle.pop(lane.id, None)
        lane.chunks.append(chunk)
        if lane.tasks_left is not None:
            lane.tasks_left = max(0, lane.tasks_left - chunk.job.tasks_in(chunk))
        self.counts["chunks"] += 1
        chunk.function_id = chunk.job.function.id
        self._commands.append(c.SendChunk(lane.id, chunk))

    def _start_lanes(self) -> None:
        """Start lanes for work that waits: one for each item, or all where that is the rule."""
        waiting = sum(job.waiting for job in self.jobs)
        starting = sum(not lane.is_ready for lane in self.lanes.values())
        room = self.room - sum(not lane.is_stopping for lane in self.lanes.values())
        wanted = room if self._starts_at_once and waiting else min(room, waiting - starting)
        for _ in range(wanted):
            self._start_lane()

    def start_all(self, at_most: int | None = None) -> list[c.Command]:
        """Start every lane now, work or not; or so many more."""
        missing = self.room - len(self.lanes)
        for _ in range(missing if at_most is None else min(at_most, missing)):
            self._start_lane()
        return self._take_commands()

    def grow(self, most_lanes: int) -> None:
        """Allow more lanes from now on; jobs that run make use of them."""
        self.most_lanes = max(self.most_lanes, most_lanes)
        self.room = self.most_lanes
        if self._footprints is not None:
            self.room = self._footprints.room(self.most_lanes)
        for job in self.jobs:
            job.lanes = self.most_lanes

    def _start_lane(self) -> None:
        self._lane_ids += 1
        self.lanes[self._lane_ids] = Lane(self._lane_ids, self._tasks_per_lane)
        self._commands.append(c.StartLane(self._lane_ids))

    def _end_lanes(self) -> None:
        """End lanes that have run all the tasks they may, and all when nothing more will come."""
        is_over = self.is_closing and not self.jobs
        for lane in self.lanes.values():
            if lane.is_stopping or lane.chunks or not lane.is_ready:
                continue
            if is_over or lane.tasks_left == 0:
                self._stop(lane, kill=False)

    def _stop(self, lane: Lane, *, kill: bool) -> None:
        lane.is_stopping = True
        self._idle.pop(lane.id, None)
        self._commands.append(c.StopLane(lane.id, kill))

    # -- sharing and limits

    def _ask_for_shares(self) -> bool:
        """Lanes are idle, nothing waits: ask those that hold most for what they have not begun.

        True when some lane can still be asked later.
        """
        loaded = [lane for lane in self.lanes.values() if lane.can_share]
        if not loaded:
            return False
        loaded.sort(key=self._rest_ns, reverse=True)
        for lane in loaded[: len(self._idle)]:
            if self._should_share(lane):
                lane.is_asked = True
                self._commands.append(c.AskBack(lane.id))
        return any(not lane.is_asked for lane in loaded)

    def _should_share(self, lane: Lane) -> bool:
        rest = sum(chunk.rest for chunk in lane.chunks) - 1
        held_ns = self._now_ns - lane.since_ns
        return should_give_back(held_ns, rest, lane.chunks[0].job.sizer.item_ns)

    def _rest_ns(self, lane: Lane) -> float:
        return sum(chunk.rest * (chunk.job.sizer.item_ns or 0.0) for chunk in lane.chunks)

    def _limit_ns(self, lane: Lane) -> int | None:
        if not lane.chunks or lane.is_stopping:
            return None
        limit_s = lane.chunks[0].job.rules.task_timeout_s
        # Infinity included, no limit is longer than 30 years.
        return None if limit_s is None else lane.since_ns + round(min(limit_s, 1e9) * 1e9)

    def _stop_overdue(self) -> None:
        for lane in self.lanes.values():
            limit_ns = self._limit_ns(lane)
            if limit_ns is not None and limit_ns <= self._now_ns:
                lane.is_overdue = True
                lane.victim = (lane.chunks[0], lane.chunks[0].done)
                self._stop(lane, kill=True)

    _HANDLERS: ClassVar[dict[type, Callable[[State, Any], None]]] = {
        c.LaneReady: _lane_ready,
        c.LaneDied: _lane_died,
        c.LaneSpoke: _lane_spoke,
        c.LaneWeighed: _lane_weighed,
        c.ChunkDone: _chunk_done,
        c.ChunkRefused: _chunk_refused,
        c.ChunkUnread: _chunk_unread,
        c.ChunkLost: _chunk_lost,
        c.JobPosted: _job_posted,
        c.InputEnded: _input_ended,
        c.JobDropped: _job_dropped,
        c.TaskDropped: _task_dropped,
        c.PoolClosed: _pool_closed,
    }
    """Not of the instance, which would be in a cycle: what a dropped pool held goes at once."""


# -- whether an item goes again


def _shall_go_again(chunk: Chunk, error: BaseException) -> bool:
    return not chunk.job.is_over and (_is_worth_retry(chunk, error) or _lacks_name(chunk, error))


def _is_worth_retry(chunk: Chunk, error: BaseException) -> bool:
    rules = chunk.job.rules
    return chunk.attempt < rules.retries and isinstance(error, rules.retry_on)


def _lacks_name(chunk: Chunk, error: BaseException) -> bool:
    """A call's function or argument was not found by its name: its code has not travelled yet."""
    can_bring_code = chunk.job.has_calls and not chunk.by_value
    return can_bring_code and isinstance(error, errors.NameNotFound)


def _lacks_class(chunk: Chunk, error: BaseException) -> bool:
    """An item's class, defined at a prompt, was not found: it travels with the job's function.

    Not in a program from a file, whose function may need the globals of its worker.
    """
    if chunk.job.has_calls or not isinstance(error, AttributeError):
        return False
    is_at_prompt = not hasattr(sys.modules["__main__"], "__file__")
    return is_at_prompt and "<module '__main__'" in str(error)


# -- the words of the errors


def _one_each(error: errors.PoolwiseError, size: int) -> dict[int, BaseException]:
    """An error of its own for each of so many items."""
    return {at: errors.again(error) for at in range(size)}


def _name(chunk: Chunk) -> str:
    call: Any = chunk.job.function.call
    if chunk.job.has_calls and (task_call := getattr(chunk.items[0], "call", None)):
        call = task_call[0]
    return name_of(call)


def _which(chunk: Chunk, at: int) -> str:
    return _name(chunk) if chunk.job.has_calls else f"item {chunk.start + at} of {_name(chunk)}"


def _died(chunk: Chunk, at: int, death: errors.Death) -> errors.PoolwiseError:
    message = (
        f"worker {death.pid} {death.how} while it ran {_which(chunk, at)}. Likely cause: "
        f"{death.why}. Only this task failed; the pool goes on. retries=1 would try it once more."
    )
    item = None if chunk.job.has_calls else chunk.start + at
    error: errors.PoolwiseError = errors.WorkerDied(message, death.pid, death.exitcode, item)
    return error


def _timed_out(chunk: Chunk, at: int) -> errors.TaskTimeout:
    return errors.TaskTimeout(
        f"{_which(chunk, at)} ran longer than its limit of {chunk.job.rules.task_timeout_s} s; "
        "its worker was stopped and replaced. Only this task failed."
    )


def _not_loadable(error: BaseException, chunk: Chunk) -> errors.PoolwiseError:
    said = errors.not_loadable(
        f"{_which(chunk, 0)} could not be rebuilt in the worker: {error!r}", error
    )
    said.__cause__ = error
    return said


def _why_not_started(failure: BaseException) -> str:
    if isinstance(failure, (EOFError, ConnectionError)):
        return (
            f"{failure!r}. The process that makes them has ended: look at its traceback on stderr, "
            "and whether the main module starts processes outside of `if __name__ == '__main__':`"
        )
    return repr(failure)


def _initializer_failed(event: c.LaneDied) -> errors.PoolwiseError:
    if isinstance(event.failure, errors.EngineFailed):
        return errors.again(event.failure)
    if event.failure is not None and event.death.pid is None:
        message = f"no worker process could be started: {_why_not_started(event.failure)}"
    elif event.failure is not None:
        message = f"the initializer raised {event.failure!r}, so no worker could start"
    elif event.death.is_certain:
        message = f"no worker could start: {event.death.why_early}"
    else:
        message = (
            f"workers end before they are ready: the last, {event.death.pid}, {event.death.how}. "
            f"Likely cause: {event.death.why_early}. Look at the initializer, and at what "
            "importing the main module does."
        )
    error: errors.PoolwiseError = errors.InitializerFailed(message)
    error.__cause__ = event.failure
    return error
