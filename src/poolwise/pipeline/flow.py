"""Stages as items pass through them: order, windows, budgets, ends. No threads and no I/O.

Everything here is called under the run's lock. A stage has items that wait for it (``waiting``)
and, where order is kept, all items that are with it (``flight``) in the order they came. A stage
begins an item only if there is room where its results go: what it has begun, what waits to be put
in order and what waits for the next stage share one window. So a slow consumer stops one stage
after the other, up to the source.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from poolwise.pipeline.steps import DROPPED, size_of

if TYPE_CHECKING:
    from poolwise.pipeline.spec import Spec

WAITING, RUNNING, GONE, DONE = range(4)
"""Progress of an item at a stage: not begun, under way, without a value to pass on, with one."""

LEAST_WINDOW = 8
"""Items that a stage may be ahead of the next one, at least. No benchmark found it."""

MOST_WINDOW = 1024
"""And at most: a thousand light items hide what it costs to wake a thread."""

_TIMES_KEPT = 512
"""Service times that are kept for percentiles."""


class Token:
    """An item on its way: its value now, and which source item it came from.

    ``through`` is the first stage that has not been applied to it, ``outputs`` are values of a
    stage that makes many of one, as far as they wait for their turn.
    """

    __slots__ = (
        "error", "number", "origin", "outputs", "reserved", "size", "state", "through", "value",
    )  # fmt: skip

    def __init__(self, value: Any, origin: Any, number: int, size: int) -> None:
        self.value = value
        self.origin = origin
        self.number = number
        self.size = size
        self.state = WAITING
        self.through = 0
        self.outputs: deque[Token] | None = None
        self.error: BaseException | None = None
        self.reserved = 0


class Executor(Protocol):
    """Runner of a stage's items."""

    kind: str

    def notice(self) -> None:
        """There may be something to begin, or room where there was none. Under the run's lock."""

    def end(self) -> None:
        """Note the end of the input. Under the run's lock."""

    def stop(self) -> None:
        """Begin nothing more, and give up what is under way. Under the run's lock."""

    def retire(self) -> None:
        """Begin nothing more: another executor has taken over. Under the run's lock."""

    def join(self, patience_s: float | None) -> None:
        """Wait until nothing of it is left; without the lock."""


class Budget:
    """Bytes that may wait between stages.

    :param is_strict: while a stage's results have no known size, it makes one at a time.
    """

    def __init__(self, most_bytes: int, *, is_strict: bool) -> None:
        self.most_bytes = most_bytes
        self.is_strict = is_strict
        self.waiting_bytes = 0
        self.reserved_bytes = 0
        self.is_awaited = False
        """A stage could not go on for want of room in it."""
        self.peak_bytes = 0

    def has_room(self, nbytes: int) -> bool:
        """True if a result of this size may be made beside those that are under way."""
        has_room = self.waiting_bytes + self.reserved_bytes + nbytes <= self.most_bytes
        self.is_awaited = self.is_awaited or not has_room
        return has_room


class Counts:
    """Account of a stage: items, times, and why its workers had nothing to do."""

    def __init__(self) -> None:
        self.taken = self.done = self.dropped = self.failed = 0
        self.busy_ns = self.cpu_ns = self.starved_ns = self.blocked_ns = 0
        self.times: deque[int] = deque(maxlen=_TIMES_KEPT)
        self.begun_ns = self.ended_ns = 0
        self.was_full = self.was_empty = False

    @property
    def mean_ns(self) -> float | None:
        """Mean service time of an item (None: not known yet)."""
        return self.busy_ns / self.done if self.done else None


class Stage:
    """One stage as the flow knows it.

    ``host`` is the stage in whose visits this one's function runs (None: it has an executor of its
    own), ``hosts_to`` the stage that its own visits bring an item to.
    """

    next: Stage
    previous: Stage | None = None
    executor: Executor | None = None

    def __init__(self, flow: Flow, index: int, spec: Spec | None) -> None:
        self.flow = flow
        self.index = index
        self.spec = spec
        self.waiting: deque[Token] = deque()
        self.flight: deque[Token] = deque()
        self.running = 0
        self.buffered = 0
        self.width = self.least = 1
        self.window = flow.window or LEAST_WINDOW
        self.host: Stage | None = None
        self.hosts_to = index + 1
        self.input_ended = self.is_over = False
        self.largest: int | None = None
        self.counts = Counts()
        self.allowed_ns = 0
        self._noted_ns = 0
        self._had_items = False
        self.retired: list[Executor] = []
        self._is_settling = False

    # -- in

    def push(self, token: Token) -> None:
        """An item has come from the stage before."""
        if token.through > self.index:
            if not self.flow.is_ordered or not (self.waiting or self.flight):
                self.next.push(token)
                return
            token.state = DONE
        else:
            token.state = WAITING
        self.waiting.append(token)
        if token.state == DONE:
            self.settle()
        elif self.executor is not None:
            self.executor.notice()

    def end_input(self) -> None:
        """No more items will come from the stage before."""
        self.input_ended = True
        self.check_end()
        if not self.is_over and self.executor is not None:
            self.executor.notice()

    # -- begin

    @property
    def target(self) -> Stage:
        """Destination of a visit's results: the next stage that is not run in it."""
        return self.flow.stages[self.hosts_to]

    @property
    def ahead(self) -> int:
        """Items that were begun here and that the next stage has not taken."""
        under_way = len(self.flight) if self.flow.is_ordered else self.running
        return under_way + len(self.target.waiting)

    def has_window(self) -> bool:
        """The next stage is not too far behind."""
        return self.ahead < self.window

    def has_budget(self, freed: int = 0) -> bool:
        """The bytes of one more result may wait; one is let through where nothing else would be."""
        budget, largest = self.flow.budget, self.largest
        if not (self.running or self.target.waiting or self.flight):
            return True
        if largest is None:
            is_free = not (budget.is_strict and self.running)
            budget.is_awaited = budget.is_awaited or not is_free
            return is_free
        return budget.has_room(largest - freed)

    def can_begin(self, now_ns: int) -> bool:
        """Another item may be begun now."""
        if now_ns < self.allowed_ns:
            return False
        return self.has_window() and self.has_budget(self.waiting[0].size if self.waiting else 0)

    def take(self, most: int, now_ns: int) -> list[Token]:
        """Begin up to so many items."""
        self.note_idle(now_ns)
        taken: list[Token] = []
        while self.waiting and len(taken) < most:
            if self.waiting[0].state == DONE:
                self.flight.append(self.waiting.popleft())
                continue
            if not self.can_begin(now_ns):
                self.counts.was_full = True
                break
            taken.append(self._begin(now_ns))
        if taken:
            self.counts.begun_ns = self.counts.begun_ns or now_ns
            self.settle()
            self.free_room()
        elif not self.waiting:
            self.counts.was_empty = True
        self._had_items = bool(self.waiting)
        return taken

    def _begin(self, now_ns: int) -> Token:
        token = self.waiting.popleft()
        budget = self.flow.budget
        budget.waiting_bytes -= token.size
        token.reserved = self.largest or 0
        budget.reserved_bytes += token.reserved
        token.size = 0
        token.state = RUNNING
        token.through = self.hosts_to
        self.running += 1
        self.counts.taken += 1
        if self.flow.is_ordered:
            self.flight.append(token)
        if self.spec is not None and self.spec.rate:
            self.allowed_ns = max(self.allowed_ns, now_ns) + int(1e9 / self.spec.rate)
        return token

    def free_room(self) -> None:
        """Items have been taken from here: those before may go on."""
        at: Stage | None = self.previous
        while at is not None:
            at.room_freed()
            if at.host is None:
                break
            at = at.previous
        self.flow.tell_of_bytes()

    def room_freed(self) -> None:
        """The next stage has taken something."""
        self.settle()
        self.notice()

    def notice(self) -> None:
        """Tell the executor, and those before it, which may still have results to pass on."""
        if self.executor is not None:
            self.executor.notice()
        for executor in self.retired:
            executor.notice()

    # -- out

    def finish(self, token: Token, value: Any) -> None:
        """An item has been worked on; DROPPED if nothing follows."""
        self._end_running(token)
        if value is DROPPED:
            token.state = GONE
            token.value = None
            self.counts.dropped += 1
        else:
            token.value = value
            self._weigh(token)
            token.state = DONE
        self._leave(token)

    def finish_all(self, done: Sequence[tuple[Token, Any]]) -> None:
        """Items have been worked on: what :meth:`finish` says of one."""
        is_ordered = self.flow.is_ordered
        self._is_settling = is_ordered  # once, for all of them
        for token, value in done:
            self.finish(token, value)
        self._is_settling = False
        if is_ordered:
            self.settle()

    def finish_many(self, token: Token, values: Sequence[Any]) -> None:
        """All that an item has become."""
        for value in values:
            self._add_output(token, self._child(token, value))
        self.finish_emitting(token)

    def finish_emitting(self, token: Token) -> None:
        """An item has become all that :meth:`emit` was told."""
        self._end_running(token)
        token.state = GONE
        token.value = None
        self._leave(token)

    def emit(self, token: Token, value: Any) -> bool:
        """One of the values that an item becomes; False while there is no room for it."""
        is_first = not self.flow.is_ordered or self.flight[0] is token
        if is_first:
            self.settle()
            if token.outputs or not self._has_output_room():
                return False
        elif self.buffered >= self.window:
            return False
        self._add_output(token, self._child(token, value))
        return True

    def fail(self, token: Token, error: BaseException, made: Sequence[Any] = ()) -> None:
        """An item has failed and its error ends the run where its place is, after what it made."""
        for value in made:
            self._add_output(token, self._child(token, value))
        self._end_running(token)
        token.error = error
        token.value = None
        token.state = DONE
        token.through = len(self.flow.stages)
        self._leave(token)

    def _end_running(self, token: Token) -> None:
        self.note_idle(self.flow.clock())
        self.running -= 1
        self.counts.done += 1
        self.flow.budget.reserved_bytes -= token.reserved
        token.reserved = 0

    def _leave(self, token: Token) -> None:
        if self.flow.is_ordered:
            self.settle()
        else:
            if token.state == DONE:
                self.next.push(token)
            self.check_end()
        self.flow.tell_of_bytes()

    def _child(self, token: Token, value: Any) -> Token:
        child = Token(value, token.origin, token.number, 0)
        child.through = token.through
        self._weigh(child)
        return child

    def _weigh(self, token: Token) -> None:
        token.size = size = size_of(token.value)
        budget = self.flow.budget
        budget.waiting_bytes += size
        budget.peak_bytes = max(budget.peak_bytes, budget.waiting_bytes)
        if self.largest is None or size > self.largest:
            self.largest = size

    def _add_output(self, token: Token, child: Token) -> None:
        if not self.flow.is_ordered:
            self.next.push(child)
            return
        if self.flight[0] is token and not token.outputs and self._has_output_room():
            self.next.push(child)
            return
        if token.outputs is None:
            token.outputs = deque()
        token.outputs.append(child)
        self.buffered += 1

    def _has_output_room(self) -> bool:
        """A value of one-to-many may go on; its own item, which is still here, does not count."""
        target = self.target
        if not target.waiting:
            return True
        return len(target.waiting) < self.window and self.flow.budget.has_room(self.largest or 0)

    def settle(self) -> None:
        """Pass on what is next in order."""
        if self._is_settling:
            return  # a step further down has freed room: the loop above goes on
        self._is_settling = True
        try:
            has_moved = self._pass_on()
        finally:
            self._is_settling = False
        if has_moved and (self.waiting or self.flight):
            self.notice()
        self.check_end()

    def _pass_on(self) -> bool:
        flight, has_moved = self.flight, False
        while True:
            while self.waiting and self.waiting[0].state == DONE:
                flight.append(self.waiting.popleft())
            if not flight:
                return has_moved
            head = flight[0]
            while head.outputs and self._has_output_room():
                self.buffered -= 1
                self.next.push(head.outputs.popleft())
            if head.outputs or head.state < GONE:
                return has_moved
            flight.popleft()
            has_moved = True
            if head.state == DONE:
                self.next.push(head)

    def check_end(self) -> None:
        """Tell the next stage if this one has passed everything on."""
        is_empty = not (self.waiting or self.flight or self.running)
        if self.input_ended and is_empty and not self.is_over:
            self.is_over = True
            if self.executor is not None:
                self.executor.end()
            self.next.end_input()

    # -- the account

    def note_idle(self, now_ns: int) -> None:
        """Add up, since the last call, why workers were idle."""
        passed, self._noted_ns = now_ns - (self._noted_ns or now_ns), now_ns
        idle = self.width - self.running
        if idle > 0 and not self.is_over:
            if self._had_items:
                self.counts.blocked_ns += idle * passed
            else:
                self.counts.starved_ns += idle * passed

    def list_tokens(self) -> list[Token]:
        """All items that are here."""
        return [*self.waiting, *self.flight]


class BatchStage(Stage):
    """Puts items into lists of ``size``; runs under the lock, since it costs nothing.

    :param timeout_s: a list that is not full goes on so long after its first item.
    """

    def __init__(
        self, flow: Flow, index: int, spec: Spec, size: int, timeout_s: float | None
    ) -> None:
        super().__init__(flow, index, spec)
        self.size = size
        self.timeout_ns = None if timeout_s is None else int(timeout_s * 1e9)
        self.group: list[Token] = []
        self.group_ns = 0
        self.width = 0
        self.is_due = False

    def push(self, token: Token) -> None:
        self.waiting.append(token)
        self.pump()

    def end_input(self) -> None:
        self.input_ended = True
        self.pump()

    def room_freed(self) -> None:
        self.pump()

    def settle(self) -> None:
        self.pump()

    def expire(self, now_ns: int) -> None:
        """Let a group go that is too old."""
        if self.group and self.timeout_ns is not None:
            self.is_due = now_ns >= self.group_ns + self.timeout_ns
            self.pump()

    def pump(self) -> None:
        """Take in what waits and pass groups on, as far as there is room."""
        before = len(self.waiting)
        while len(self.next.waiting) < self.window:
            if self.waiting and self.waiting[0].error is not None:
                self.next.push(self.waiting.popleft())
            elif len(self.group) >= self.size or self._is_rest():
                self._emit()
            elif self.waiting:
                self._add(self.waiting.popleft())
            else:
                break
        if len(self.waiting) < before:
            self.free_room()
        if not self.group:
            self.check_end()

    def _is_rest(self) -> bool:
        return bool(self.group) and (self.is_due or (self.input_ended and not self.waiting))

    def _add(self, token: Token) -> None:
        self.counts.taken += 1
        if not self.group:
            self.group_ns = self.flow.clock()
            self.is_due = False
            if self.timeout_ns is not None:
                self.flow.wants_tick()
        self.group.append(token)

    def _emit(self) -> None:
        group, self.group, self.is_due = self.group, [], False
        whole = Token([one.value for one in group], group[0].origin, group[0].number, 0)
        whole.size = sum(one.size for one in group)
        self.counts.done += len(group)
        self.next.push(whole)

    def list_tokens(self) -> list[Token]:
        return [*super().list_tokens(), *self.group]


class Outlet(Stage):
    """The end of the pipe: what waits here is the consumer's."""

    def __init__(self, flow: Flow, index: int, notice: Callable[[], None]) -> None:
        super().__init__(flow, index, None)
        self._notice = notice
        self.count_read = 0
        self.width = 0

    def push(self, token: Token) -> None:
        self.waiting.append(token)
        self._notice()

    def end_input(self) -> None:
        self.input_ended = self.is_over = True
        self._notice()

    def settle(self) -> None:
        """True if nothing comes after this."""

    def read(self, most: int) -> list[Token]:
        """Results for the consumer, ``most`` at most."""
        taken: list[Token] = []
        waiting, budget = self.waiting, self.flow.budget
        while waiting and len(taken) < most:
            token = waiting.popleft()
            budget.waiting_bytes -= token.size
            taken.append(token)
        self.count_read += len(taken)
        if taken:
            self.free_room()
        return taken


class SourceStage(Stage):
    """The beginning: its executor reads the source."""

    def room(self) -> int:
        """Number of items that may be read now."""
        if self.input_ended or not self.has_budget():
            return 0
        return max(0, self.window - len(self.target.waiting))

    def put(self, token: Token) -> None:
        """One item was read (and has gone through what the source hosts)."""
        self._weigh(token)
        self.next.push(token)

    def settle(self) -> None:
        """Do nothing: what is read goes on at once."""

    def close_input(self) -> None:
        """The source has ended."""
        if not self.is_over:
            self.input_ended = self.is_over = True
            self.next.end_input()


class Flow:
    """All stages of one run.

    :param window: items that a stage may be ahead of the next one (None: as it finds best).
    :param clock: the time in ns.
    :param wants_tick: is called when a deadline was set.
    """

    def __init__(
        self,
        *,
        is_ordered: bool,
        budget: Budget,
        window: int | None,
        clock: Callable[[], int],
        wants_tick: Callable[[], None],
    ) -> None:
        self.is_ordered = is_ordered
        self.budget = budget
        self.window = window
        self.clock = clock
        self.wants_tick = wants_tick
        self.stages: list[Stage] = []

    def build(self, specs: Sequence[Spec], notice: Callable[[], None]) -> None:
        """Make the stages, from the source to the outlet."""
        stages: list[Stage] = [SourceStage(self, 0, None)]
        for index, spec in enumerate(specs, 1):
            if spec.batch is not None:
                stages.append(BatchStage(self, index, spec, *spec.batch))
            else:
                stages.append(Stage(self, index, spec))
        stages.append(Outlet(self, len(specs) + 1, notice))
        for before, after in pairwise(stages):
            before.next = after
            after.previous = before
        self.stages = stages

    @property
    def source(self) -> SourceStage:
        """The first stage."""
        return self.stages[0]  # type: ignore[return-value] # build() put it there

    @property
    def outlet(self) -> Outlet:
        """The last one."""
        return self.stages[-1]  # type: ignore[return-value] # build() put it there

    def tell_of_bytes(self) -> None:
        """Bytes were freed, which may lie far from the stage that waits for them."""
        if not self.budget.is_awaited:
            return
        self.budget.is_awaited = False
        for stage in self.stages:
            if stage.executor is not None:
                stage.settle()
                stage.notice()

    def let_go(self) -> None:
        """Forget all items: the run is over."""
        for stage in self.stages:
            stage.waiting.clear()
            stage.flight.clear()
            if isinstance(stage, BatchStage):
                stage.group.clear()
