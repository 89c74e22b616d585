"""The ledger while it is being kept: what every worker and the parent spent their time on.

:class:`ParentClock` is told by the engine and the back end what the parent does. :class:`Book`
observes what happens, and adds it up. Taking note costs little: a tuple is put on a
pile, and the pile is worked off while the parent would only wait. Memory is bounded: sums, the
newest chunks, the slowest tasks.

Why a worker waited is found by laying its waiting over the parent's timeline: the parent's clock
keeps, beside its own sums, for how long each cause held, with their values at past moments.
"""

from __future__ import annotations

import time
from collections import deque
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, ClassVar

from poolwise.core import contract as c
from poolwise.core import job as jobs
from poolwise.core.contract import DECIDE, NO_JOB, PRODUCE, USER_CODE, WAIT
from poolwise.core.job import name_of
from poolwise.worker.stopwatch import Stopwatch, step_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poolwise.account.repeats import Repeats
    from poolwise.account.table import Table
    from poolwise.core.job import Chunk, Job
    from poolwise.core.state import State

PARENT_STATES = (
    "produce", "pickle", "send", "decide", "receive", "unpickle", "user_code", "wait", "no_job",
    "user_code", "produce",
)  # fmt: skip
"""Name in a report of each of the parent's states (``states.PARENT_ENTRIES``), by number."""

_USER_CODE_BESIDE, _PRODUCE_BESIDE = 9, 10
"""Both as a background thread sees them, which waits for workers meanwhile and delays none."""

CAUSES = (
    "input_slow", "parent_pickle", "parent_send", "parent_decide", "parent_receive",
    "parent_unpickle", "parent_user_code", "hand_over", "no_job", "consumer_slow", "tail",
    "cpu_not_granted", "unknown",
)  # fmt: skip
"""Causes of idleness by number (``states.IDLE_CAUSES``). The first nine are the parent's states."""

INPUT_SLOW, HAND_OVER, CONSUMER_SLOW, TAIL = 0, 7, 9, 10
_CPU_NOT_GRANTED, _UNKNOWN = 11, 12
NOTHING_LACKS = -1
_CAUSE_OF = (*range(9), HAND_OVER, HAND_OVER)

_CAUSE_OF_SHORTAGE = {
    jobs.CONSUMER_SLOW: CONSUMER_SLOW,
    jobs.INPUT_SLOW: INPUT_SLOW,
    jobs.TAIL: TAIL,
    jobs.NO_JOB: NO_JOB,
    None: NOTHING_LACKS,
}

_MOMENT_NS = 200_000
"""Stretches longer than this are kept apart in the parent's history, and answers that ran longer
in notes; shorter ones are mixed."""

_HISTORY = 4096
"""Moments of the parent's history that are kept at least (64 bytes each and a tuple)."""

_NEWEST_CHUNKS = 4096
_SENT = 11
"""Position in a span of the moment its answer was written; the next answer tells it."""

_ENDED_LANES = 64
"""Workers that have ended and still have an account of their own; older ones are added up."""

_FEW = 16
_SELDOM_NS = 50_000_000
_YOUNG_NS = 200_000_000
"""A pile this small and this young is left alone when the parent waits: the next answer may be some
20 us away, which is also what working off one note takes (``benchmarks/apply_one``). A pool younger
than 200 ms does not read the limits of its control groups for that: it takes a few ms."""

_HEAVY_BYTES = 128 * 1024
"""Chunks that weigh less are not searched for what had been sent before (see ``repeats.py``)."""


class ParentClock(Stopwatch, c.Phases):
    """Clock of the parent's time, and of the causes that keep workers waiting meanwhile.

    ``lacks`` is the cause that holds whatever the parent does (nothing left to hand out, say), or
    :data:`NOTHING_LACKS`: then the parent itself is the cause. ``is_awaited`` says that a caller
    waits for results, ``is_producing`` that the calling thread is in the user's iterable.
    """

    __slots__ = (
        "began_ns", "causes", "is_awaited", "is_producing", "lacks", "missing_lanes",
        "moments", "not_started_ns", "produced_since_ns", "stretches", "vectors",
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__(len(PARENT_STATES), NO_JOB)
        self.began_ns = self.at_ns
        self.causes = [0] * len(CAUSES)
        self.lacks = NO_JOB
        self.is_awaited = self.is_producing = False
        self.missing_lanes = 0
        self.produced_since_ns = 0
        self.not_started_ns = 0
        self.moments = [self.at_ns]
        self.vectors = [tuple(self.causes)]
        self.stretches: deque[tuple[int, int, int]] | Table = deque(maxlen=_HISTORY)

    def to(self, state: int) -> int:
        """Leave the state it is in for ``state``; returns the time, in ns."""
        now_ns, was = perf_counter_ns(), self.state
        spent_ns = now_ns - self.at_ns
        if spent_ns > _MOMENT_NS:
            self._spend_long(now_ns, spent_ns)
        else:
            self.totals[was] += spent_ns
            self.causes[_CAUSE_OF[was] if self.lacks < 0 else self.lacks] += spent_ns
        self.at_ns = now_ns
        self.state = state
        return now_ns

    def _spend_long(self, now_ns: int, spent_ns: int) -> None:
        self._keep(self.at_ns)
        self.totals[self.state] += spent_ns
        self.causes[_CAUSE_OF[self.state] if self.lacks < 0 else self.lacks] += spent_ns
        if self.missing_lanes and self.lacks != NO_JOB:
            self.not_started_ns += self.missing_lanes * spent_ns
        self._keep(now_ns)
        self.stretches.append((self.state, self.at_ns, now_ns))

    def _keep(self, moment_ns: int) -> None:
        if moment_ns == self.moments[-1]:
            return
        if len(self.moments) >= 2 * _HISTORY:
            del self.moments[:_HISTORY]
            del self.vectors[:_HISTORY]
        self.moments.append(moment_ns)
        self.vectors.append(tuple(self.causes))

    def rest(self) -> None:
        """Enter waiting: the leader has nothing to do."""
        if self.is_awaited:
            self.to(PRODUCE if self.lacks == INPUT_SLOW else WAIT)
        elif self.lacks == NO_JOB:
            self.to(NO_JOB)
        else:
            is_input = self.is_producing or self.lacks == INPUT_SLOW
            self.to(_PRODUCE_BESIDE if is_input else _USER_CODE_BESIDE)

    def enter(self) -> None:
        """Enter deciding: a thread leads again, and until now the program's own code ran."""
        if self.produced_since_ns:
            self._note_produced()
        self.to(DECIDE)

    def _note_produced(self) -> None:
        """Count the time since the calling thread went into the user's iterable as producing."""
        if self.produced_since_ns > self.at_ns:
            spent_ns = self.produced_since_ns - self.at_ns
            self.totals[self.state] += spent_ns
            self.causes[_CAUSE_OF[self.state] if self.lacks < 0 else self.lacks] += spent_ns
            self.at_ns = self.produced_since_ns
        self.state = PRODUCE
        if not self.is_producing:
            self.produced_since_ns = 0

    def begin_producing(self) -> None:
        """The calling thread goes into the user's iterable; any thread may say so."""
        self.produced_since_ns = perf_counter_ns()
        self.is_producing = True

    def end_producing(self) -> None:
        """Leave the user's iterable."""
        self.is_producing = False

    def forget(self) -> None:
        """Keep less: nobody will ask any more for what was caused at some moment."""
        from poolwise.account.table import Table  # as for bisect

        self.moments, self.vectors = [self.at_ns], [tuple(self.causes)]
        self.stretches = Table(self.stretches)

    def leave(self) -> None:
        """Leave the pool: no thread leads for now."""
        self.to(NO_JOB if self.lacks == NO_JOB else USER_CODE)

    def caused(self, begin_ns: int, end_ns: int) -> list[float]:
        """Time that each cause held between two moments of the past."""
        upto, since = self._causes_at(end_ns), self._causes_at(begin_ns)
        return [b - a for a, b in zip(since, upto, strict=True)]

    def _causes_at(self, moment_ns: int) -> Sequence[float]:
        from bisect import bisect_right  # spawned workers load this module and never come here

        at = bisect_right(self.moments, moment_ns)
        if at == 0:
            return self.vectors[0]
        before, since_ns = self.vectors[at - 1], self.moments[at - 1]
        after, until_ns = (
            (self.causes, self.at_ns)
            if at == len(self.moments)
            else (self.vectors[at], self.moments[at])
        )
        if until_ns <= since_ns:
            return before
        part = min(1.0, (moment_ns - since_ns) / (until_ns - since_ns))
        return [a + part * (b - a) for a, b in zip(before, after, strict=True)]


class LanePage:
    """Running sums and clock readings of one lane."""

    __slots__ = (
        "born_ns", "busy_since_ns", "bytes_in", "bytes_out", "chunks", "ended_ns", "idle",
        "items", "lane", "last_span", "launched_ns", "name", "pid", "reading", "ready_ns",
        "sent", "served_ns", "settled", "short_note", "told_ns",
    )  # fmt: skip

    def __init__(self, lane: int, born_ns: int) -> None:
        self.lane = lane
        self.name = f"lane {lane}"
        self.pid: int | None = None
        self.born_ns = born_ns
        self.launched_ns = self.served_ns = self.ready_ns = 0
        self.told_ns = self.ended_ns = self.busy_since_ns = 0
        self.reading: tuple[int, ...] | None = None
        self.last_span: list[int] | None = None
        self.short_note: Note | None = None
        self.sent: dict[int, Chunk] = {}
        self.idle = [0.0] * len(CAUSES)
        self.items = self.chunks = self.bytes_out = self.bytes_in = 0
        self.settled: tuple[dict[str, float], list[float]] | None = None
        """Its account, once the pool is over."""

    def account(self, now_ns: int, clock: ParentClock) -> tuple[dict[str, float], list[float]]:
        """Its life up to its end (or now), in ns by entry, and its idle time by cause."""
        return self.settled or self._account(now_ns, clock)

    def _account(self, now_ns: int, clock: ParentClock) -> tuple[dict[str, float], list[float]]:
        end_ns = self.ended_ns or now_ns
        life_ns = float(end_ns - self.born_ns)
        if not self.ready_ns:
            return {"start": life_ns}, [0.0] * len(CAUSES)
        idle, in_flight_ns = self._idle_since(self.told_ns or end_ns, clock)
        entries = {
            "start": float(self.launched_ns - self.born_ns),
            "import": float(self.served_ns - self.launched_ns),
            "init": float(self.ready_ns - self.served_ns),
            "wait": sum(idle) - idle[TAIL] - idle[NO_JOB],
            **self._measured(),
            "in_flight": in_flight_ns,
            "tail": idle[TAIL],
            "no_job": idle[NO_JOB],
            "exit": float(end_ns - self.told_ns) if self.told_ns else 0.0,
        }
        entries["unexplained"] = life_ns - sum(entries.values())
        return entries, idle

    def _measured(self) -> dict[str, float]:
        """The entries that the worker's own clock has told."""
        if self.reading is None:
            return {}
        _, _, receive_ns, unpickle_ns, run_ns, pickle_ns, send_ns, cpu_ns, queued_ns, _ = (
            self.reading
        )
        cpu_ns = min(cpu_ns, run_ns)
        return {
            "receive": float(receive_ns),
            "unpickle": float(unpickle_ns),
            "run_cpu": float(cpu_ns),
            "run_queued": float(min(queued_ns, run_ns - cpu_ns)),
            "run_blocked": float(max(0, run_ns - cpu_ns - queued_ns)),
            "pickle": float(pickle_ns),
            "send": float(send_ns),
        }

    def _idle_since(self, end_ns: int, clock: ParentClock) -> tuple[list[float], float]:
        """Idle time, what came after its last answer included, and the time of what it runs."""
        last_ns = self.reading[0] if self.reading else self.ready_ns
        free_until_ns = max(last_ns, self.busy_since_ns) if self.busy_since_ns else end_ns
        if free_until_ns <= last_ns:
            return self.idle, float(max(0, end_ns - last_ns))
        caused = clock.caused(last_ns, free_until_ns)
        missing_ns = free_until_ns - last_ns - sum(caused)
        idle = [a + b for a, b in zip(self.idle, caused, strict=True)]
        idle[_UNKNOWN] += max(0.0, missing_ns)
        return idle, float(max(0, end_ns - free_until_ns))


class FunctionPage:
    """Running sums over the calls of one function from one line."""

    __slots__ = (
        "bytes_in", "bytes_out", "chunks", "cpu_ns", "fit", "function", "histogram",
        "items", "jobs", "longest_ns", "number", "pickle_ns", "queued_ns", "receive_ns",
        "repeated_bytes", "run_ns", "site", "unpickle_ns", "worker_pickle_ns", "worker_unpickle_ns",
    )  # fmt: skip

    def __init__(self, function: str, site: str | None, number: int = 0) -> None:
        self.function, self.site, self.number = function, site, number
        self.jobs = self.items = self.chunks = 0
        self.run_ns = self.cpu_ns = self.queued_ns = self.receive_ns = 0
        self.worker_unpickle_ns = self.worker_pickle_ns = self.pickle_ns = self.unpickle_ns = 0
        self.bytes_out = self.bytes_in = self.repeated_bytes = self.longest_ns = 0
        self.histogram: dict[int, int] = {}
        self.fit = [0.0] * 5


class Note:
    """One answer, or several short ones in a row, as they lie on the pile."""

    __slots__ = (
        "bytes_in", "bytes_out", "chunks", "count", "first", "job", "lane", "load_ns",
        "page", "parts", "pickle_ns", "reading", "run_ns", "times",
    )  # fmt: skip

    def __init__(
        self,
        lane: LanePage,
        page: FunctionPage,
        chunk: Chunk,
        outcome: c.Outcome,
        *,
        is_first: bool,
    ) -> None:
        self.lane, self.page, self.job = lane, page, chunk.job.number
        self.first, self.times = chunk.start + outcome.first, outcome.times
        self.count = self.chunks = self.bytes_in = self.bytes_out = 0
        self.load_ns = self.pickle_ns = self.run_ns = 0
        self.parts: list[tuple[int, int]] = []
        self.add(chunk, outcome, is_first=is_first)

    def add(self, chunk: Chunk, outcome: c.Outcome, *, is_first: bool) -> None:
        """Take an answer in.

        :param is_first: of this chunk, which was sent once and may be answered in parts.
        """
        self.count += len(outcome.values)
        self.chunks += outcome.is_last
        self.run_ns += outcome.run_ns
        self.reading = outcome.reading
        self.bytes_in += outcome.nbytes
        self.load_ns += outcome.load_ns
        if is_first:
            self.bytes_out += chunk.sent_bytes + chunk.function_bytes
            self.pickle_ns += chunk.pickle_ns
        self.parts.append((len(outcome.values), outcome.run_ns))


class EarlyLanes:
    """Lanes that have ended long ago, added up."""

    def __init__(self) -> None:
        self.lanes = self.items = self.chunks = self.bytes_out = self.bytes_in = 0
        self.first_ns = self.last_ns = self.life_ns = 0
        self.entries: dict[str, float] = {}
        self.idle = [0.0] * len(CAUSES)

    def add(self, page: LanePage, clock: ParentClock) -> None:
        """One more."""
        entries, idle = page.account(page.ended_ns, clock)
        self.first_ns = self.first_ns or page.born_ns
        self.last_ns = page.ended_ns
        self.life_ns += page.ended_ns - page.born_ns
        self.lanes += 1
        self.items += page.items
        self.chunks += page.chunks
        self.bytes_out += page.bytes_out
        self.bytes_in += page.bytes_in
        self.idle = [a + b for a, b in zip(self.idle, idle, strict=True)]
        for name, ns in entries.items():
            self.entries[name] = self.entries.get(name, 0.0) + ns


class Book(c.Observer):
    """Keeps the ledger of one pool.

    :param state: of the pool, which is asked why idle lanes have nothing to do.
    :param workers: how many lanes there may be at once.
    :param level: ``"chunks"``, ``"items"`` or ``"off"`` (``options.LEDGER_LEVELS``).
    :param limits: reads how many CPUs this process may use, and for how many ns a CPU quota has
        stopped its control group so far (None: nobody counts).
    """

    def __init__(
        self,
        workers: int,
        *,
        state: State | None = None,
        level: str = "chunks",
        backend: str = "processes",
        limits: Callable[[], tuple[int, int | None]] = lambda: (1, None),
    ) -> None:
        super().__init__()
        self._workers, self.level, self.backend = workers, level, backend
        self.limits = limits
        self.clock = ParentClock()
        self._state = state
        self.began_at = time.time()
        self.throttled_before_ns: int | None = None
        self._has_looked = False
        self._written_ns = 0
        self.ended_ns = 0
        self.lanes: dict[int, LanePage] = {}
        self.ended_lanes: deque[LanePage] = deque()
        self.early = EarlyLanes()
        self.pages: dict[tuple[str, str | None], FunctionPage] = {}
        self.slowest: list[tuple[int, str, int, int, int]] = []
        self.spans: deque[list[int]] | Table = deque(maxlen=_NEWEST_CHUNKS)
        self.failed = self.all_spans = 0
        self.is_one_clock = True
        self._pile: list[Note] = []
        self._repeats: Repeats | None = None
        self._page_of_job: dict[int, FunctionPage] = {}

    def workers(self) -> int:
        """Number of lanes that there may be at once, now: a pool may have grown."""
        return self._workers if self._state is None else self._state.most_lanes

    # -- what happens

    def observe(self, event: c.Event | None, commands: Sequence[c.Command], now_ns: int) -> None:
        if event is None:
            self._note_shortage()
        elif (note := self._EVENTS.get(type(event))) is not None:
            note(self, event, now_ns)
        for command in commands:
            if (act := self._COMMANDS.get(type(command))) is not None:
                act(self, command, now_ns)

    def _note_shortage(self) -> None:
        if (state := self._state) is not None:
            self.clock.lacks = _CAUSE_OF_SHORTAGE[state.shortage()]
            self.clock.missing_lanes = state.most_lanes - len(state.lanes)

    def _chunk_sent(self, command: c.SendChunk, _: int) -> None:
        self.lanes[command.lane].sent[command.chunk.id] = command.chunk

    def _chunk_gone(self, event: c.ChunkRefused | c.ChunkUnread | c.ChunkLost, _: int) -> None:
        self.lanes[event.lane].sent.pop(event.chunk_id, None)

    def _chunk_done(self, event: c.ChunkDone, _: int) -> None:
        sent, outcome = self.lanes[event.lane].sent, event.outcome
        chunk = sent.pop(event.chunk_id, None) if outcome.is_last else sent.get(event.chunk_id)
        if chunk is not None:
            is_first = chunk.done == len(outcome.values)
            self.chunk_done(event.lane, chunk, outcome, is_first=is_first)

    def lane_started(self, lane: int, now_ns: int) -> None:
        """A lane is about to be made."""
        self.lanes[lane] = LanePage(lane, now_ns)

    def lane_ready(self, event: c.LaneReady, now_ns: int) -> None:
        """Its initializer is through."""
        page = self.lanes[event.lane]
        page.name, page.pid = event.name or page.name, event.pid
        page.launched_ns = max(page.born_ns, event.launched_ns)
        page.served_ns, page.ready_ns = event.served_ns, event.ready_ns
        if not page.born_ns <= event.served_ns <= event.ready_ns <= now_ns:
            self.is_one_clock = False

    def lane_told(self, lane: int, now_ns: int) -> None:
        """Note that a lane was told to end."""
        self.lanes[lane].told_ns = now_ns

    def lane_ended(self, event: c.LaneDied, now_ns: int) -> None:
        """Close the page of a lane that is gone."""
        self._work_off()
        page = self.lanes.pop(event.lane)
        page.sent.clear()
        page.ended_ns = now_ns
        if event.reading is not None:
            self._read(page, event.reading)
            page.told_ns = event.reading[0]
        self.ended_lanes.append(page)
        while len(self.ended_lanes) > _ENDED_LANES:
            self.early.add(self.ended_lanes.popleft(), self.clock)

    def chunk_done(
        self, lane: int, chunk: Chunk, outcome: c.Outcome, *, is_first: bool = True
    ) -> None:
        """A lane has answered for a chunk, or a part of it: the first or not."""
        self.failed += len(outcome.errors)
        if outcome.values or outcome.times:
            page = self.page_of(chunk, outcome.first)
            if chunk.job.has_calls:
                page.jobs += len(outcome.values)
            if is_first and chunk.sent_bytes + chunk.function_bytes >= _HEAVY_BYTES:
                page.repeated_bytes += self._count_repeated(chunk)
            self._note(self.lanes[lane], page, chunk, outcome, is_first=is_first)

    def _count_repeated(self, chunk: Chunk) -> int:
        if self._repeats is None:
            from poolwise.account.repeats import Repeats  # as for bisect

            self._repeats = Repeats()
        return self._repeats.count(chunk)

    def _note(
        self,
        lane: LanePage,
        page: FunctionPage,
        chunk: Chunk,
        outcome: c.Outcome,
        *,
        is_first: bool,
    ) -> None:
        is_short = outcome.is_last and outcome.run_ns < _MOMENT_NS and outcome.times is None
        note = lane.short_note
        if is_short and note is not None and note.page is page:
            note.add(chunk, outcome, is_first=is_first)
        else:
            note = Note(lane, page, chunk, outcome, is_first=is_first)
            self._pile.append(note)
            most = 512  # then it is worked off, has the parent time or not
            if len(self._pile) >= most:
                self._work_off()
        # Short answers in a row of one lane share a note: its clock is cumulative, so only the last
        # of them has to be read. What a report can no longer tell apart is below a pixel.
        many = 64
        lane.short_note = note if is_short and len(note.parts) < many else None

    def job_posted(self, job: Job) -> None:
        """Open the page of a new job's function."""
        if not job.has_calls:
            page = self._page(name_of(job.function.call), job.site)
            self._page_of_job[job.number] = page
            page.jobs += 1

    def _job_ended(self, command: c.EndJob, _: int) -> None:
        self._page_of_job.pop(command.job.number, None)

    def note_busy(self) -> None:
        """Note since when each lane holds an unanswered chunk (0: it has none)."""
        since_ns = {} if self._state is None else self._state.busy_since_ns()
        for lane, page in self.lanes.items():
            page.busy_since_ns = since_ns.get(lane, 0)

    def before_end(self) -> None:
        self.note_busy()
        now_ns = perf_counter_ns()
        for page in self.lanes.values():
            page.told_ns = page.told_ns or now_ns

    def end(self) -> None:
        self._work_off()
        self.ended_ns = self.ended_ns or perf_counter_ns()
        for page in list(self.lanes.values()):
            page.ended_ns = self.ended_ns
            self.ended_lanes.append(self.lanes.pop(page.lane))
        for page in self.ended_lanes:
            page.settled = page.account(self.ended_ns, self.clock)
        self.clock.forget()
        from poolwise.account.table import Table  # as for bisect

        self.spans = Table(self.spans)

    def page_of(self, chunk: Chunk, at: int) -> FunctionPage:
        """The page of the function that an item of a chunk is for."""
        job = chunk.job
        if (page := self._page_of_job.get(job.number)) is not None:
            return page
        # Single calls; or the job has ended, and its last chunks come after it.
        return self._page(chunk.name_at(at), job.site)

    def _page(self, function: str, site: str | None) -> FunctionPage:
        page = self.pages.get((function, site))
        if page is None:
            page = self.pages[function, site] = FunctionPage(function, site, len(self.pages))
        return page

    _EVENTS: ClassVar[dict[type, Callable[[Book, Any, int], None]]] = {
        c.LaneReady: lane_ready,
        c.LaneDied: lane_ended,
        c.ChunkDone: _chunk_done,
        c.ChunkRefused: _chunk_gone,
        c.ChunkUnread: _chunk_gone,
        c.ChunkLost: _chunk_gone,
        c.JobPosted: lambda book, event, _: book.job_posted(event.job),
    }
    _COMMANDS: ClassVar[dict[type, Callable[[Book, Any, int], object]]] = {
        c.StartLane: lambda book, command, now_ns: book.lane_started(command.lane, now_ns),
        c.StopLane: lambda book, command, now_ns: book.lane_told(command.lane, now_ns),
        c.SendChunk: _chunk_sent,
        c.EndJob: _job_ended,
    }

    # -- working off the pile

    def before_wait(self) -> None:
        """Work off the pile if it is large or old."""
        pile, old_ns = self._pile, self.clock.at_ns - self._written_ns
        if len(pile) > _FEW or (pile and old_ns > _SELDOM_NS):
            is_young = self.clock.at_ns - self.clock.began_ns < _YOUNG_NS
            (self._work_off if is_young else self.write_up)()

    def write_up(self) -> None:
        """Work off the pile, and look at the limits on CPU time if that has not been done."""
        if not self._has_looked:
            self._has_looked = True
            self.throttled_before_ns = self.limits()[1]
        self._work_off()

    def _work_off(self) -> None:
        if self._pile:
            self.clock.to(self.clock.state)  # causes are known up to now
            self._written_ns = self.clock.at_ns
            pile, self._pile = self._pile, []
            for note in pile:
                note.lane.short_note = None
                self._enter(note)

    def _enter(self, note: Note) -> None:
        lane, page = note.lane, note.page
        lane.items += note.count
        lane.bytes_out += note.bytes_out
        lane.bytes_in += note.bytes_in
        page.items += note.count
        page.bytes_out += note.bytes_out
        page.bytes_in += note.bytes_in
        page.pickle_ns += note.pickle_ns
        page.unpickle_ns += note.load_ns
        lane.chunks += note.chunks
        page.chunks += note.chunks
        if note.reading is not None:
            self._enter_spent(note, note.reading)
        self._enter_times(note)

    def _read(self, lane: LanePage, reading: tuple[int, ...]) -> tuple[list[int], int]:
        """Take a lane's clock: what was spent since the last time, and why it mostly waited."""
        before = lane.reading or (lane.ready_ns, *[0] * (len(reading) - 1))
        lane.reading = reading
        spent = [b - a for a, b in zip(before, reading, strict=True)]
        _, wait_ns, _, _, _, _, send_ns, _, _, queued_ns = spent
        if lane.last_span is not None:
            lane.last_span[_SENT] = lane.last_span[_SENT - 1] + send_ns
            lane.last_span = None
        if wait_ns <= 0:
            return spent, HAND_OVER
        free_ns = before[0] + send_ns
        return spent, self._blame(lane, free_ns, wait_ns, min(wait_ns, queued_ns))

    def _blame(self, lane: LanePage, free_ns: int, wait_ns: int, queued_ns: int) -> int:
        """Spread a lane's waiting over its causes; returns the one that took most."""
        lane.idle[_CPU_NOT_GRANTED] += queued_ns
        left_ns = wait_ns - queued_ns
        if not self.is_one_clock:
            lane.idle[_UNKNOWN] += left_ns
            return _UNKNOWN
        if left_ns <= _MOMENT_NS:
            lane.idle[HAND_OVER] += left_ns
            return HAND_OVER
        caused = self.clock.caused(free_ns, free_ns + wait_ns)
        together = sum(caused)
        if together <= 0:
            lane.idle[_UNKNOWN] += left_ns
            return _UNKNOWN
        scale = left_ns / together
        for number, ns in enumerate(caused):
            lane.idle[number] += scale * ns
        return _CPU_NOT_GRANTED if queued_ns > left_ns else caused.index(max(caused))

    def _enter_spent(self, note: Note, reading: tuple[int, ...]) -> None:
        page, pickled_ns = note.page, reading[0]
        spent, cause = self._read(note.lane, reading)
        _, wait_ns, receive_ns, unpickle_ns, run_ns, pickle_ns, _, cpu_ns, queued_ns, _ = spent
        page.receive_ns += receive_ns
        page.worker_unpickle_ns += unpickle_ns
        page.run_ns += run_ns
        page.worker_pickle_ns += pickle_ns
        page.cpu_ns += cpu_ns  # less than nothing where the last answer counted all as on CPU
        page.queued_ns += queued_ns
        if len(note.parts) == 1:
            note.parts = [(note.count, run_ns)]
        spent_ns = receive_ns + unpickle_ns + run_ns + pickle_ns
        _add_points(page.fit, len(note.parts), note.count, spent_ns)
        cpu_ns = min(max(0, cpu_ns), run_ns)
        ended_ns = pickled_ns - pickle_ns
        begun_ns = ended_ns - run_ns
        received_ns = begun_ns - unpickle_ns
        arrived_ns = received_ns - receive_ns
        self.all_spans += 1
        note.lane.last_span = [
            note.lane.lane, note.job, page.number, note.first, note.count, arrived_ns - wait_ns,
            arrived_ns, received_ns, begun_ns, ended_ns, pickled_ns, pickled_ns, cpu_ns, queued_ns,
            note.bytes_out, note.bytes_in, cause,
        ]  # fmt: skip
        self.spans.append(note.lane.last_span)

    def _enter_times(self, note: Note) -> None:
        page, times = note.page, note.times
        if times is not None:
            at, ns, end_ns, histogram = times
            for step, count in histogram.items():
                page.histogram[step] = page.histogram.get(step, 0) + count
            if ns:
                self._enter_slow(note, note.first + at, ns, end_ns)
        elif note.chunks and note.count:
            for count, run_ns in note.parts:
                step = step_of(run_ns / count)
                page.histogram[step] = page.histogram.get(step, 0) + count
            if note.count == 1:
                end_ns = note.reading[0] if note.reading else perf_counter_ns()
                self._enter_slow(note, note.first, note.parts[0][1], end_ns)

    def _enter_slow(self, note: Note, item: int, ns: int, end_ns: int) -> None:
        from heapq import heappush, heappushpop  # as for bisect

        note.page.longest_ns = max(note.page.longest_ns, ns)
        shown = 16  # no report shows more
        if len(self.slowest) < shown:
            heappush(self.slowest, (ns, note.page.function, item, note.lane.lane, end_ns - ns))
        elif ns > self.slowest[0][0]:
            heappushpop(self.slowest, (ns, note.page.function, item, note.lane.lane, end_ns - ns))


def _add_points(sums: list[float], count: int, x: float, y: float) -> None:
    """Sums for a straight line by least squares: n, x, y, xx, xy.

    :param count: how many points; ``x`` and ``y`` are their sums, as if they were all alike.
    """
    sums[0] += count
    sums[1] += x
    sums[2] += y
    sums[3] += x * x / count
    sums[4] += x * y / count
