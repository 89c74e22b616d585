"""A process pool in simulated time: how long a call takes with other chunks, or other workers.

    dispatcher --pipe--> P workers --pipe--> collector
        `------- one parent, one GIL -------'

Everybody computes on C CPUs, which others may use as well. Small messages wait in a pipe of 64 KiB,
and the dispatcher waits while it is full; a message that does not fit meets its reader: both are
busy until it has passed. CPUs are given out in slices, because a pool with more workers than CPUs,
or whose tasks wait in between, depends on who is woken when.

This is the standard library's way to run a pool, with all workers at one queue. How our own pool
would schedule is `poolwise.simulation.pool`, which drives its real scheduling code.

Pure: numbers in, seconds out.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count

from poolwise.doctor.evidence import measures

PIPE_BYTES = measures.BIG_MESSAGE_BYTES
"""Capacity of a pipe on Linux."""

SLICE_S = 3e-3
"""Time slice of the scheduler while another waits (base slice of EEVDF, 2 to 4 CPUs)."""

WAKE_UP_S = 1e-3
"""Run time after which a process loses its CPU to one that was just woken."""

BYTES_PER_S = 0.7e9
"""Through a pipe, until the run at hand has told: 64 KiB at a time, one hand-over each."""

MOST_MESSAGES = 1200
"""More are not simulated one by one: as many, evenly spread, stand for all."""

MOST_SLICES = 3000
"""A long run gets longer slices, so that a simulation takes milliseconds."""

_NOTHING = 1e-12
"""Below this, a number is what rounding left behind."""

Action = Callable[[], None]


@dataclass(frozen=True)
class Costs:
    """The cost of a message at each step: fixed seconds, seconds an item; and its weight.

    `meet_s` passes before the bytes of a message flow that does not fit the pipe: one worker after
    the other gives up the lock and wakes up. Of results there is one reader, which is awake.
    """

    dispatch_s: tuple[float, float] = (0.0, 0.0)
    fetch_s: tuple[float, float] = (0.0, 0.0)
    reply_s: tuple[float, float] = (0.0, 0.0)
    collect_s: tuple[float, float] = (0.0, 0.0)
    item_bytes_out: float = 0.0
    item_bytes_in: float = 0.0
    send_bytes_per_s: float = BYTES_PER_S
    reply_bytes_per_s: float = BYTES_PER_S
    meet_s: float = 0.0


FREE = Costs()
"""Messages that cost nothing: the ideal network of the POP metrics."""


class Load:
    """The items of a call: how long each computes and waits, known for `step` items at a time."""

    def __init__(self, cpu_s: Sequence[float], blocked_s: Sequence[float], items: int) -> None:
        self.items = items
        self._step = items / max(1, len(cpu_s))
        self._cpu_s = [0.0, *accumulate(each * self._step for each in cpu_s)]
        self._blocked_s = [0.0, *accumulate(each * self._step for each in blocked_s)]

    @property
    def cpu_s(self) -> float:
        """All that is to be computed."""
        return self._cpu_s[-1]

    @property
    def blocked_s(self) -> float:
        """All that is to be waited for."""
        return self._blocked_s[-1]

    def cut(self, chunk: int, most: int) -> tuple[list[_Message], float]:
        """The messages of so many items each, evenly chosen if there are more than `most`.

        And how many each of them stands for.
        """
        starts = range(0, self.items, max(1, chunk))
        stand_for = max(1.0, len(starts) / most)
        chosen = [starts[int(at * stand_for)] for at in range(min(most, len(starts)))]
        return [self._message(at, min(at + chunk, self.items)) for at in chosen], stand_for

    def _message(self, start: int, stop: int) -> _Message:
        cpu_s = self._until(self._cpu_s, stop) - self._until(self._cpu_s, start)
        blocked_s = self._until(self._blocked_s, stop) - self._until(self._blocked_s, start)
        return _Message(stop - start, max(0.0, cpu_s), max(0.0, blocked_s))

    def _until(self, sums: list[float], item: int) -> float:
        """The sum of the items before this one."""
        at = item / self._step
        whole = min(int(at), len(sums) - 1)
        rest = at - whole
        return sums[whole] + (rest * (sums[whole + 1] - sums[whole]) if rest > _NOTHING else 0.0)


@dataclass(frozen=True)
class _Message:
    items: int
    cpu_s: float
    blocked_s: float


def simulate(  # noqa: PLR0913 - the parts of the machine
    load: Load,
    chunk: int,
    workers: int,
    cpus: int,
    costs: Costs = FREE,
    other_cpus: float = 0.0,
) -> float:
    """Seconds from the first message handed out to the last result collected.

    :param other_cpus: what other programs use of the CPUs at the same time.
    """
    messages, stand_for = load.cut(chunk, MOST_MESSAGES)
    expected_s = (load.cpu_s + load.blocked_s) / stand_for / max(1, min(workers, cpus))
    clock = _Clock()
    machine = _Cpus(clock, max(1, cpus), max(SLICE_S, expected_s * cpus / MOST_SLICES))
    _Others(clock, machine, other_cpus, expected_s).start()
    pool = _Pool(clock, machine, costs, messages, max(1, workers))
    pool.start()
    return clock.run_until(lambda: pool.is_done) * stand_for


class _Clock:
    """A queue of actions by their time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._next: list[tuple[float, int, Action]] = []
        self._order = count()

    def after(self, delay_s: float, action: Action) -> None:
        """Do this in so many seconds."""
        heapq.heappush(self._next, (self.now_s + delay_s, next(self._order), action))

    def run_until(self, is_over: Callable[[], bool]) -> float:
        """Let things happen until it is over; the time it then is."""
        while self._next and not is_over():
            self.now_s, _, action = heapq.heappop(self._next)
            action()
        return self.now_s


class _Burst:
    """Somebody's wish for a CPU."""

    __slots__ = ("left_s", "plan", "since_s", "slice_s", "then", "who")

    def __init__(self, who: object, left_s: float, then: Action) -> None:
        self.who = who
        self.left_s = left_s
        self.then = then
        self.plan = 0
        self.since_s = self.slice_s = 0.0


class _Cpus:
    """C servers that are given out in slices; who wakes up may take one from who has run long."""

    def __init__(self, clock: _Clock, cpus: int, slice_s: float) -> None:
        self._clock = clock
        self._free = cpus
        self._slice_s = slice_s
        self._running: list[_Burst] = []
        self._waiting: deque[_Burst] = deque()
        self._leaving: _Burst | None = None

    def use(self, who: object, seconds: float, then: Action) -> None:
        """Compute for so long, then do that. Who has just computed goes on in the same slice."""
        burst = _Burst(who, max(seconds, _NOTHING), then)
        if self._leaving is not None and self._leaving.who is who:
            before, self._leaving = self._leaving, None
            self._run(burst, before.slice_s)
            return
        if self._free > (self._leaving is not None):
            self._run(burst)
            return
        if not self._running:
            self._waiting.append(burst)
            return
        victim = min(self._running, key=lambda each: each.slice_s)
        if self._clock.now_s - victim.slice_s > WAKE_UP_S:
            self._stop(victim)
            self._waiting.append(victim)
            self._run(burst)
            return
        self._waiting.append(burst)
        for each in self._running:
            self._plan(each)

    def _run(self, burst: _Burst, slice_s: float | None = None) -> None:
        self._free -= 1
        burst.since_s = self._clock.now_s
        burst.slice_s = burst.since_s if slice_s is None else slice_s
        self._running.append(burst)
        self._plan(burst)

    def _plan(self, burst: _Burst) -> None:
        """Look at it again when it is done, or its slice is over and somebody waits."""
        end_s = burst.since_s + burst.left_s
        if self._waiting:
            end_s = min(end_s, max(burst.slice_s + self._slice_s, self._clock.now_s))
        burst.plan += 1
        plan = burst.plan
        self._clock.after(max(0.0, end_s - self._clock.now_s), lambda: self._look(burst, plan))

    def _look(self, burst: _Burst, plan: int) -> None:
        if plan != burst.plan:
            return
        self._stop(burst)
        if burst.left_s > _NOTHING:
            self._waiting.append(burst)
        else:
            self._leaving = burst
            burst.then()
            self._leaving = None
        if self._free and self._waiting:
            self._run(self._waiting.popleft())

    def _stop(self, burst: _Burst) -> None:
        burst.left_s -= self._clock.now_s - burst.since_s
        burst.plan += 1
        self._running.remove(burst)
        self._free += 1


class _Others:
    """Other programs: they compute for a part of each period, and rest."""

    def __init__(self, clock: _Clock, machine: _Cpus, other_cpus: float, expected_s: float) -> None:
        self._clock = clock
        self._machine = machine
        self._count = -int(-other_cpus // 1) if other_cpus > 0 else 0
        self._share = other_cpus / self._count if self._count else 0.0
        self._period_s = max(0.01, expected_s / 300)

    def start(self) -> None:
        """Begin; they never end."""
        for _ in range(self._count):
            self._compute()

    def _compute(self) -> None:
        self._machine.use(object(), self._period_s * self._share, self._rest)

    def _rest(self) -> None:
        self._clock.after(self._period_s * (1 - self._share), self._compute)


class _Gil:
    """One of the parent's threads computes at a time."""

    def __init__(self, machine: _Cpus) -> None:
        self._machine = machine
        self._queue: deque[tuple[str, float, Action]] = deque()
        self._is_taken = False

    def use(self, thread: str, seconds: float, then: Action) -> None:
        """Compute for so long as soon as the other thread is through, then do that."""
        self._queue.append((thread, seconds, then))
        self._go_on()

    def _go_on(self) -> None:
        if self._is_taken or not self._queue:
            return
        self._is_taken = True
        thread, seconds, then = self._queue.popleft()

        def leave() -> None:
            self._is_taken = False
            then()
            self._go_on()

        self._machine.use(thread, seconds, leave)


class _Pool:
    """Dispatcher, pipes, workers and collector."""

    def __init__(
        self,
        clock: _Clock,
        machine: _Cpus,
        costs: Costs,
        messages: Sequence[_Message],
        workers: int,
    ) -> None:
        self._clock = clock
        self._machine = machine
        self._costs = costs
        self._gil = _Gil(machine)
        self._to_send = iter(messages)
        self._left = len(messages)
        self._ready: _Message | None = None
        self._pipe: deque[_Message] = deque()
        self._pipe_bytes = 0.0
        self._idle = deque(range(workers))
        self._answers: deque[tuple[_Message, int | None]] = deque()
        self._is_collecting = False

    @property
    def is_done(self) -> bool:
        """True if all results are there."""
        return self._left == 0

    def start(self) -> None:
        """Begin to hand out."""
        self._pack_next()

    # -- the dispatcher: pack a message, then bring it to the workers

    def _pack_next(self) -> None:
        message = next(self._to_send, None)
        if message is not None:
            cost_s = _cost_s(self._costs.dispatch_s, message)
            self._gil.use("dispatcher", cost_s, lambda: self._offer(message))

    def _offer(self, message: _Message) -> None:
        self._ready = message
        self._move()

    def _move(self) -> None:
        """Put the packed message into the pipe, or hand it over; give waiting workers theirs."""
        while self._idle and self._pipe:
            message = self._pipe.popleft()
            self._pipe_bytes -= self._bytes_out(message)
            self._take(self._idle.popleft(), message)
        message_ready = self._ready
        if message_ready is None:
            return
        size = self._bytes_out(message_ready)
        if size > PIPE_BYTES:
            self._meet(message_ready, size)
        elif self._pipe_bytes + size <= PIPE_BYTES:
            self._ready = None
            self._pipe.append(message_ready)
            self._pipe_bytes += size
            self._pack_next()
            self._move()

    def _meet(self, message: _Message, size: float) -> None:
        if not self._idle or self._pipe:
            return
        self._ready = None
        worker = self._idle.popleft()

        def passed() -> None:
            self._take(worker, message)
            self._pack_next()

        self._clock.after(self._costs.meet_s + size / self._costs.send_bytes_per_s, passed)

    # -- a worker: unpack, run the items, pack, answer

    def _take(self, worker: int, message: _Message) -> None:
        self._run(worker, message, iter(self._turns(message)))

    def _run(self, worker: int, message: _Message, turns: Iterator[tuple[float, float]]) -> None:
        found = next(turns, None)
        if found is None:
            self._answer(worker, message)
            return
        blocked_s, cpu_s = found

        def compute() -> None:
            self._machine.use(worker, cpu_s, lambda: self._run(worker, message, turns))

        if blocked_s > 0:
            self._clock.after(blocked_s, compute)
        else:
            compute()

    def _turns(self, message: _Message) -> list[tuple[float, float]]:
        """The turns of a worker for a message: (blocked, CPU) seconds."""
        fetch_s = _cost_s(self._costs.fetch_s, message)
        reply_s = _cost_s(self._costs.reply_s, message)
        if message.blocked_s <= 0:
            return [(0.0, fetch_s + message.cpu_s + reply_s)]
        # Waiting and computing alternate in a message at most so often.
        count = min(message.items, 8)
        turns = [(message.blocked_s / count, message.cpu_s / count)] * count
        return [(0.0, fetch_s), *turns[:-1], (turns[-1][0], turns[-1][1] + reply_s)]

    def _answer(self, worker: int, message: _Message) -> None:
        is_big = message.items * self._costs.item_bytes_in > PIPE_BYTES
        self._answers.append((message, worker if is_big else None))
        if not is_big:
            self._go_idle(worker)
        self._collect()

    def _go_idle(self, worker: int) -> None:
        self._idle.append(worker)
        self._move()

    # -- the collector

    def _collect(self) -> None:
        if self._is_collecting or not self._answers:
            return
        self._is_collecting = True
        message, writer = self._answers.popleft()
        if writer is None:
            self._read(message)
            return

        def passed() -> None:
            self._go_idle(writer)
            self._read(message)

        size = message.items * self._costs.item_bytes_in
        self._clock.after(size / self._costs.reply_bytes_per_s, passed)

    def _read(self, message: _Message) -> None:
        cost_s = _cost_s(self._costs.collect_s, message)
        self._gil.use("collector", cost_s, self._collected)

    def _collected(self) -> None:
        self._left -= 1
        self._is_collecting = False
        self._collect()

    def _bytes_out(self, message: _Message) -> float:
        return max(1.0, message.items * self._costs.item_bytes_out)


def _cost_s(cost: tuple[float, float], message: _Message) -> float:
    return cost[0] + cost[1] * message.items
