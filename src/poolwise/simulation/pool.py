"""The real scheduling code on lanes that exist only in simulated time.

Everything that decides is the pool's own: :class:`poolwise.core.state.State` is told events and
obeyed, as the engine does. Only time is made up. The parent serves one message after the other, as
it does in life; that is what limits a pool of many lanes. Each lane has a CPU of its own, or all
share some (:func:`makespan_ns`).
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, count, pairwise
from math import ceil
from typing import TYPE_CHECKING, Any

from poolwise.core import contract as c
from poolwise.core.job import MAP, Chunk, Fed, Function, Job, Listed, News
from poolwise.core.state import State
from poolwise.options import TaskRules
from poolwise.simulation.cpus import Action, Cpus

if TYPE_CHECKING:
    from poolwise.core.batching import ChunkSizer


@dataclass(frozen=True, slots=True)
class Overheads:
    """Costs of messages.

    :param send_ns: the parent, to send a chunk.
    :param receive_ns: the parent, to take in an answer.
    :param item_ns: the parent, for each item besides (to pickle it and to unpickle its value).
    :param lane_ns: a lane, for each chunk.
    :param ask_ns: the parent, to ask a lane for what it has not begun.
    :param hear_ns: until a busy lane hears that.
    :param start_ns: until a lane is ready; 0 of a warm pool.
    """

    send_ns: int = 35_000
    receive_ns: int = 35_000
    item_ns: int = 220
    lane_ns: int = 30_000
    ask_ns: int = 10_000
    hear_ns: int = 5_000_000
    start_ns: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """Times of a simulated job.

    :param makespan_ns: from the call until everything is there.
    :param bound_ns: no schedule could have been faster than this.
    :param parent_ns: how long the parent was busy.
    """

    makespan_ns: int
    bound_ns: int
    parent_ns: int
    chunks: int
    asked: int
    given_back: int

    @property
    def efficiency(self) -> float:
        """1 is perfect."""
        return self.bound_ns / self.makespan_ns


def bound_ns(costs_ns: Sequence[int], lanes: int, overheads: Overheads) -> int:
    """The work shared evenly, the longest item, or what the items alone cost the parent."""
    shared = -(-sum(costs_ns) // lanes)
    return max(shared, len(costs_ns) * overheads.item_ns, *costs_ns)


def simulate(
    costs_ns: Sequence[int],
    lanes: int,
    overheads: Overheads = Overheads(),
    *,
    sizer: ChunkSizer | None = None,
    is_length_known: bool = True,
) -> Run:
    """Run one map over items that cost ``costs_ns``, each lane on a CPU of its own.

    :param sizer: in place of the pool's own.
    :param is_length_known: False as if the items came from a generator.
    """
    pool = _Pool(costs_ns, lanes, overheads)
    job = _make_job(len(costs_ns), lanes, pool.ended, None, is_length_known=is_length_known)
    if sizer is not None:
        job.sizer = sizer
    makespan_ns = pool.run(job)
    return Run(
        makespan_ns,
        bound_ns(costs_ns, lanes, overheads),
        pool.busy_ns,
        pool.state.counts["chunks"],
        pool.asked,
        pool.state.counts["given_back"],
    )


def makespan_ns(  # noqa: PLR0913 - the parts of a pool
    cpu_ns: Sequence[int],
    blocked_ns: Sequence[int],
    lanes: int,
    cpus: float,
    overheads: Overheads,
    unit: int | None = None,
) -> int:
    """Time of one map whose items compute and wait so long, on CPUs that the lanes share.

    :param cpus: what other programs leave of them; 1 for threads that hold the GIL.
    """
    pool = _SharedPool(cpu_ns, blocked_ns, lanes, overheads, cpus)
    return pool.run(_make_job(len(cpu_ns), lanes, pool.ended, unit, is_length_known=True))


def _make_job(
    items: int, lanes: int, sink: _Sink, unit: int | None, *, is_length_known: bool
) -> Job:
    source: Listed | Fed
    if is_length_known:
        source = Listed(range(items))
    else:
        source = Fed()
        source.items.extend(range(items))
        source.end()
    rules = TaskRules()
    return Job(Function(abs), MAP, source, sink, rules, lanes=lanes, prompt_ns=10**12, unit=unit)


class _Sink:
    """Checks that every item is delivered exactly once."""

    def __init__(self, items: int) -> None:
        self._is_there = bytearray(items)
        self.is_over = False

    def deliver(
        self, chunk: Chunk, first: int, values: Sequence[Any], errors: dict[int, BaseException]
    ) -> News:
        start = chunk.start + first
        end = start + len(values)
        if any(self._is_there[start:end]) or errors:
            message = f"items {start} to {end} were delivered before, or failed: {errors}"
            raise AssertionError(message)
        self._is_there[start:end] = b"\1" * len(values)
        return ()

    def end(self, error: BaseException | None) -> News:
        if error is not None or not all(self._is_there):
            message = f"{self._is_there.count(0)} items were never delivered"
            raise AssertionError(message) from error
        self.is_over = True
        return ()

    def room(self, job: Job) -> None:
        return None


class _Pool:
    """A parent and its lanes in simulated time."""

    def __init__(self, costs_ns: Sequence[int], lanes: int, overheads: Overheads) -> None:
        self.state = State(lanes)
        self.ended = _Sink(len(costs_ns))
        self.overheads = overheads
        self.upto_ns = [0, *accumulate(costs_ns)]
        self.now_ns = 0
        self.act_ns = 0  # the time of what happens; the parent may be ahead of it
        self.busy_ns = 0
        self.asked = 0
        self._lanes: dict[int, _Lane] = {}
        self._inbox: list[c.Event] = []
        self._agenda: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = count()
        self._acts: dict[type, Callable[[Any], object]] = {
            c.StartLane: self._start,
            c.SendChunk: self._send,
            c.AskBack: self._ask,
            c.StopLane: lambda _: None,
            c.Deliver: lambda told: self.ended.deliver(
                told.chunk, told.first, told.values, told.errors
            ),
            c.EndJob: lambda told: self.ended.end(told.error),
        }

    def run(self, job: Job) -> int:
        """Do the job; how long it took."""
        self._carry_out(self.state.start_all())
        self._react()
        self._inbox.append(c.JobPosted(job))
        while not self.ended.is_over:
            self._react()
            self._pass_time()
        return self.now_ns

    def at(self, when_ns: int, act: Callable[[int], None]) -> None:
        """``act`` at that time."""
        heapq.heappush(self._agenda, (when_ns, next(self._order), act))

    def after(self, delay_s: float, action: Action) -> None:
        """Do this in so many seconds: as an agenda of CPUs."""
        self.at(self.act_ns + ceil(delay_s * 1e9), lambda _: action())

    @property
    def now_s(self) -> float:
        """The time of what happens, for CPUs."""
        return self.act_ns / 1e9

    def answer(self, event: c.ChunkDone) -> None:
        """A lane has answered."""
        self._inbox.append(event)

    def _react(self) -> None:
        """One step of the engine."""
        events, self._inbox = self._inbox, []
        for event in events:
            if isinstance(event, c.ChunkDone):
                per_item = len(event.outcome.values) * self.overheads.item_ns // 2
                self._spend(self.overheads.receive_ns + per_item)
        now_ns = self.now_ns
        for event in events:
            self._carry_out(self.state.apply(event, now_ns))
        self._carry_out(self.state.assign(now_ns))

    def _pass_time(self) -> None:
        """Let the lanes come to the parent's time; if nothing came of it, wait until it does."""
        self._catch_up()
        while not self._inbox and not self.ended.is_over:
            look_ns = self.state.next_look_ns()
            next_ns = self._agenda[0][0] if self._agenda else look_ns
            if next_ns is None:
                message = f"the job will never end: {self.state.jobs}"
                raise AssertionError(message)
            if look_ns is not None and look_ns <= next_ns:
                self.now_ns = max(self.now_ns, look_ns)
                return
            self.now_ns = max(self.now_ns, next_ns)
            self._catch_up()

    def _catch_up(self) -> None:
        while self._agenda and self._agenda[0][0] <= self.now_ns:
            self.act_ns, _, act = heapq.heappop(self._agenda)
            act(self.act_ns)

    def _spend(self, ns: int) -> None:
        self.now_ns += ns
        self.busy_ns += ns

    def _carry_out(self, commands: list[c.Command]) -> None:
        for command in commands:
            self._acts[type(command)](command)

    def _start(self, command: c.StartLane) -> None:
        self._lanes[command.lane] = self._make_lane(command.lane)
        ready = c.LaneReady(command.lane)
        if self.overheads.start_ns:
            self.at(self.now_ns + self.overheads.start_ns, lambda _: self._inbox.append(ready))
        else:
            self._inbox.append(ready)

    def _make_lane(self, number: int) -> _Lane:
        return _Lane(number, self)

    def _send(self, command: c.SendChunk) -> None:
        per_item = len(command.chunk.items) * self.overheads.item_ns // 2
        self._spend(self.overheads.send_ns + per_item)
        lane, chunk = self._lanes[command.lane], command.chunk
        self.at(self.now_ns, lambda now_ns: lane.receive(chunk, now_ns))

    def _ask(self, command: c.AskBack) -> None:
        self._spend(self.overheads.ask_ns)
        self.asked += 1
        self.at(self.now_ns + self.overheads.hear_ns, self._lanes[command.lane].give_back)


class _Lane:
    """A worker: runs one chunk after the other, gives back what it has not begun."""

    def __init__(self, number: int, pool: _Pool) -> None:
        self._number = number
        self._pool = pool
        self._queue: deque[Chunk] = deque()
        self._chunk: Chunk | None = None
        self._turn = 0

    @property
    def _held(self) -> Chunk:
        if self._chunk is None:
            message = f"lane {self._number} runs nothing"
            raise AssertionError(message)
        return self._chunk

    def receive(self, chunk: Chunk, now_ns: int) -> None:
        """A chunk has arrived."""
        self._queue.append(chunk)
        if self._chunk is None:
            self._begin(now_ns)

    def _begin(self, now_ns: int) -> None:
        chunk = self._chunk = self._queue.popleft()
        self._size = len(chunk.items)
        self._sent = 0
        self._begun_ns = self._flushed_ns = now_ns + self._pool.overheads.lane_ns
        self._end_at(self._size)

    def _end_at(self, size: int) -> None:
        """The chunk has only so many items (now): it will be done when they are."""
        self._size = size
        self._turn += 1
        turn = self._turn
        self._pool.at(
            self._begun_ns + self._cost_ns(size),
            lambda now_ns: self._end(now_ns) if turn == self._turn else None,
        )

    def _cost_ns(self, items: int) -> int:
        start, upto_ns = self._held.start, self._pool.upto_ns
        return upto_ns[start + items] - upto_ns[start]

    def _end(self, now_ns: int) -> None:
        self._answer(self._size, 0, now_ns, is_last=True)
        self._chunk = None
        if self._queue:
            self._begin(now_ns)

    def give_back(self, now_ns: int) -> None:
        """The parent wants what has not begun."""
        if self._chunk is None:
            return
        for chunk in self._queue:
            self._pool.answer(
                c.ChunkDone(self._number, chunk.id, c.Outcome(0, [], {}, returned=-1))
            )
        self._queue.clear()
        done = self._done_by(now_ns)
        returned = max(0, self._size - done - 1)
        if done > self._sent or returned:
            self._answer(done, returned, now_ns, is_last=False)
        if returned:
            self._end_at(self._size - returned)

    def _done_by(self, now_ns: int) -> int:
        start, upto_ns = self._held.start, self._pool.upto_ns
        spent_ns = max(0, now_ns - self._begun_ns)
        done = bisect_right(upto_ns, upto_ns[start] + spent_ns, start) - 1 - start
        return min(max(done, self._sent), self._size - 1)

    def _answer(self, done: int, returned: int, now_ns: int, *, is_last: bool) -> None:
        outcome = c.Outcome(
            self._sent,
            range(done - self._sent),  # type: ignore[arg-type]
            {},
            run_ns=max(0, now_ns - self._flushed_ns),
            returned=returned,
            is_last=is_last,
        )
        self._sent, self._flushed_ns = done, max(now_ns, self._flushed_ns)
        self._pool.answer(c.ChunkDone(self._number, self._held.id, outcome))


class _SharedPool(_Pool):
    """A pool whose lanes and parent share CPUs."""

    def __init__(
        self,
        cpu_ns: Sequence[int],
        blocked_ns: Sequence[int],
        lanes: int,
        overheads: Overheads,
        cpus: float,
    ) -> None:
        self.cpu_upto_ns = [0, *accumulate(cpu_ns)]
        both_ns = [a + b for a, b in zip(cpu_ns, blocked_ns, strict=True)]
        super().__init__(both_ns, lanes, overheads)
        self.cpus = Cpus(self, cpus)

    def _make_lane(self, number: int) -> _Lane:
        return _SharedLane(number, self)

    def _spend(self, ns: int) -> None:
        # A parent that wakes up for a moment is served at once; the others have less meanwhile.
        if ns:
            self.cpus.use(ns / 1e9, lambda: None)
        super()._spend(ns)


class _SharedLane(_Lane):
    """A worker that waits and computes in turn, a few items at a time."""

    def __init__(self, number: int, pool: _SharedPool) -> None:
        super().__init__(number, pool)
        self._cpus = pool.cpus
        self._cpu_upto_ns = pool.cpu_upto_ns
        self._turns: deque[tuple[int, int]] = deque()

    def _begin(self, now_ns: int) -> None:
        chunk = self._chunk = self._queue.popleft()
        self._size, self._sent = len(chunk.items), 0
        self._flushed_ns = now_ns
        self._turns.extend(self._divide(chunk))
        self._go_on(self._pool.overheads.lane_ns)

    def _divide(self, chunk: Chunk) -> Sequence[tuple[int, int]]:
        """Parts of a chunk, first and last item each: what is not begun can be given back."""
        size = len(chunk.items)
        spent_ns = self._cost_ns(size)
        cpu_ns = self._cpu_upto_ns[chunk.start + size] - self._cpu_upto_ns[chunk.start]
        # A chunk that only computes for a short time is not worth taking apart.
        hardly_ns, short_ns = 1e4, 1e7
        is_short = spent_ns - cpu_ns < hardly_ns and spent_ns < short_ns
        parts = 1 if is_short else min(size, 32)
        return list(pairwise(at * size // parts for at in range(parts + 1)))

    def _go_on(self, besides_ns: int = 0) -> None:
        first, last = self._turns[0]
        start = self._held.start
        both_ns = self._pool.upto_ns[start + last] - self._pool.upto_ns[start + first]
        cpu_ns = self._cpu_upto_ns[start + last] - self._cpu_upto_ns[start + first]
        compute_s = (cpu_ns + besides_ns) / 1e9
        if both_ns > cpu_ns:
            self._pool.after(
                (both_ns - cpu_ns) / 1e9, lambda: self._cpus.use(compute_s, self._turned)
            )
        else:
            self._cpus.use(compute_s, self._turned)

    def _turned(self) -> None:
        self._turns.popleft()
        if self._turns:
            self._go_on()
        else:
            self._end(self._pool.act_ns)

    def _end_at(self, size: int) -> None:
        self._size = size
        while self._turns[-1][0] >= size:
            self._turns.pop()

    def _done_by(self, now_ns: int) -> int:
        del now_ns
        return max(self._sent, self._turns[0][1] - 1)
