"""One run of a pipe: its lock, its executors, its end.

Whoever brings something takes the lock, tells the flow, and leaves: there is no thread in the
middle. A ticker thread looks after what falls due: time limits, rates, half-filled batches, widths.
"""

from __future__ import annotations

import atexit
import contextvars
import os
import queue
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from poolwise.pipeline.failures import Failure, Failures, add_note, put_note, say_error
from poolwise.pipeline.flow import BatchStage, Budget, Executor, Flow, Stage, Token
from poolwise.pipeline.progress import Rows
from poolwise.pipeline.source import LoopReader, ThreadReader
from poolwise.pipeline.steps import DROPPED, Visit, in_worker, unmark
from poolwise.pipeline.threads import Threads
from poolwise.pipeline.tuner import Tuner
from poolwise.system.cpus import cpu_count

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

    from typing_extensions import Self

    from poolwise.doors.coroutines import EventLoop
    from poolwise.pipeline.lanes import Lanes, Processes
    from poolwise.pipeline.options import RunOptions
    from poolwise.pipeline.source import Source
    from poolwise.pipeline.spec import Spec

_PATIENCE_S = 10.0
"""A run that is broken off waits so long for functions in threads to return."""

_FINALIZER_PATIENCE_S = 1.0
"""Results that are dropped half-read wait so long for it."""

_READ_AT_ONCE = 64

_live: weakref.WeakSet[Run] = weakref.WeakSet()

_around: contextvars.ContextVar[weakref.ref[Run] | None] = contextvars.ContextVar(
    "poolwise_pipe", default=None
)
"""The run in one of whose stages this code runs."""


class Run:
    """A pipe at work. As a context manager it is the lock, and does what is left at its release.

    :param loop: the consumer's event loop, if that is what reads the results.
    """

    def __init__(
        self,
        source: Source,
        specs: list[Spec],
        options: RunOptions,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        outer = _around.get()
        self.outer = None if outer is None else outer()
        self.options = options
        self.seed = options.seed
        self.cpus = self._count_cpus(options)
        self.lock = threading.RLock()
        self.news = threading.Condition(self.lock)
        self.on_news: Callable[[], object] | None = None
        self.failed = Failures()
        self.error: BaseException | None = None
        self.is_stopped = False
        self.pid = os.getpid()
        self.begun_ns = time.perf_counter_ns()
        self.ended_ns = 0
        self.closed = threading.Event()
        self.bell: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._is_closing = self.is_early = False
        self._dirty: list[Processes] = []
        self._kicks: list[Callable[[], object]] = []
        self._user_loop = loop
        self._loop: EventLoop | None = None
        self._lanes: Lanes | None = None
        self._making_lanes = threading.Lock()
        self._source_visit: Visit | None = None
        self.is_in_worker = in_worker.is_true
        self._context = contextvars.copy_context()
        self._context.run(_around.set, weakref.ref(self))
        self._halt = threading.Event()
        self.executors: list[Executor] = []
        self.flow = Flow(
            is_ordered=options.ordered,
            budget=Budget(self._count_bytes(options), is_strict=options.max_bytes is not None),
            window=options.window,
            clock=time.perf_counter_ns,
            wants_tick=self.wants_tick,
        )
        self.source = source
        self.flow.build(specs, self._notice)
        self.tuner = Tuner(self)
        self._rows = None if options.progress is None else Rows(self, options.progress)
        self._ticker = self.make_thread(self._tick_on, "poolwise-ticker")

    def _count_cpus(self, options: RunOptions) -> int:
        if options.cpus is not None:
            return options.cpus
        if in_worker.is_true:
            return 1
        return cpu_count() if self.outer is None else self.outer.cpus

    def _count_bytes(self, options: RunOptions) -> int:
        if self.outer is not None:
            left = self.outer.flow.budget.most_bytes // (2 * self.outer.cpus)
            return min(options.most_bytes(), max(1, left))
        return options.most_bytes()

    # -- the beginning

    def start(self) -> None:
        """Begin to read and to work."""
        self.source.mark_read()
        _live.add(self)
        try:
            self.tuner.begin()
            self._ticker.start()
            reader = LoopReader if self.source.is_async else ThreadReader
            with self:
                self._set_executor(self.flow.source, reader(self, self.source))
        except BaseException:
            self.close()
            raise

    def execute(self, stage: Stage, kind: str) -> None:
        """Give a stage an executor of this kind; not under the lock."""
        executor: Any
        if kind == "async":
            from poolwise.pipeline.coroutines import Coroutines

            executor = Coroutines(self, stage)
        elif kind == "process":
            from poolwise.pipeline.lanes import Processes

            executor = Processes(self, stage, self.lanes())
            executor.open()
        else:
            executor = Threads(self, stage)
        with self:
            self._set_executor(stage, executor)
            executor.notice()

    def _set_executor(self, stage: Stage, executor: Executor) -> None:
        self.executors.append(executor)
        before, stage.executor = stage.executor, executor
        if before is not None:
            before.retire()
            stage.retired.append(before)
        if self.is_stopped:
            executor.stop()
        elif stage.is_over:
            executor.end()

    def lanes(self) -> Lanes:
        """The pool of this run, or of the run in one of whose stages it is: one budget."""
        if self.outer is not None and not self.outer.is_stopped:
            return self.outer.lanes()
        with self._making_lanes:  # not the run's lock: a pool is not made under it
            if self._lanes is None:
                from poolwise.pipeline.lanes import Lanes

                self._lanes = Lanes(self.cpus, self.options.context)
            return self._lanes

    @property
    def loop(self) -> EventLoop:
        """The event loop that coroutine stages and async sources run on."""
        if self._loop is None:
            from poolwise.doors.coroutines import EventLoop

            self._loop = EventLoop(self._user_loop, self._context)
        return self._loop

    def loop_later(self, function: Callable[[], object], delay_s: float) -> None:
        """Call a function on the loop after a while; on the loop."""
        import asyncio

        asyncio.get_running_loop().call_later(delay_s, function)

    def make_thread(self, target: Callable[[], object], name: str) -> threading.Thread:
        """A thread in the context of whoever started the run."""
        context = self._context.copy()
        return threading.Thread(target=context.run, args=(target,), name=name, daemon=True)

    def make_visit(self, stage: Stage, through: int | None = None) -> Visit:
        """The functions that run in a stage's workers, one after the other.

        :param through: up to this stage (None: as far as it hosts others now).
        """
        steps = [
            spec.step(at)
            for at in range(stage.index, through or stage.hosts_to)
            if (spec := self.flow.stages[at].spec) is not None
        ]
        return Visit(steps, self.seed)

    def visit_of_source(self) -> Visit | None:
        """Steps that the reader of the source runs on each item, if any."""
        end = self.flow.source.hosts_to
        if end == 1:
            return None
        if self._source_visit is None or len(self._source_visit.steps) != end - 1:
            self._source_visit = self.make_visit(self.flow.source)
        return self._source_visit

    # -- the lock

    def __enter__(self) -> Self:
        self.lock.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        kicks = self._do_chores()
        self.lock.release()
        for kick in kicks:
            kick()

    def _do_chores(self) -> list[Callable[[], object]]:
        """Calls that are left to make when the lock has been released."""
        while self._dirty:
            self._dirty.pop().feed()
        kicks, self._kicks = self._kicks, []
        return kicks

    @property
    def has_chores(self) -> bool:
        """Ask for a call as soon as the lock is released."""
        return bool(self._dirty or self._kicks)

    def has_dirty(self, executor: Processes) -> None:
        """A process stage may have something to begin: ask it before the lock is released."""
        if executor not in self._dirty:
            self._dirty.append(executor)

    def wants_kick(self, kick: Callable[[], object]) -> None:
        """Call this once the lock is released."""
        if kick not in self._kicks:
            self._kicks.append(kick)

    def _notice(self) -> None:
        self.news.notify_all()
        if self.on_news is not None:
            self.on_news()

    def wants_tick(self) -> None:
        """Wake the ticker, which looks when something falls due."""
        self.bell.put("look")

    # -- what executors tell

    def source_ended(self, error: BaseException | None) -> None:
        """The source has given its last item, or has raised."""
        if error is not None:
            self.abort(error)
        with self:
            self.flow.source.close_input()

    def place_of(self, error: BaseException, stage: Stage, token: Token) -> tuple[Stage, Any]:
        """The stage of a visit that an error comes from, and the item that it was given."""
        index, item = unmark(error, stage.index, token.value)
        return self.flow.stages[index], item

    def judge(
        self, stage: Stage, token: Token, error: BaseException, item: Any
    ) -> tuple[Any, BaseException | None]:
        """Stand-in for an item that failed: a value, or an error that ends the run."""
        spec = stage.spec
        name = "source" if spec is None else spec.name
        failure = Failure(name, error, item, token.origin, token.number)
        add_note(error, failure, _advice_on(error, stage))
        stage.counts.failed += 1
        self.failed.add(failure)
        on_error: Any = "raise" if spec is None else spec.on_error
        if on_error == "raise" or not isinstance(error, Exception):
            return DROPPED, error
        if on_error == "skip":
            return DROPPED, None
        try:
            return on_error(failure), None
        except BaseException as raised:
            return DROPPED, raised

    def abort(
        self, error: BaseException, stage: Stage | None = None, *, is_teardown: bool = False
    ) -> None:
        """The run cannot go on.

        :param is_teardown: it was raised at the end; other errors after that come from the end.
        """
        if stage is not None and stage.spec is not None:
            note = f"in stage {stage.spec.name!r} of a pipe"
            put_note(error, note)
        with self:
            if self.error is None and (is_teardown or not self.is_stopped):
                self.error = error
            self._notice()

    def measured(self, stage: Stage, times: list[int], busy_ns: int, cpu_ns: int) -> None:
        """Note the cost of items in a worker of this process."""
        counts = stage.counts
        counts.times.extend(times)
        counts.busy_ns += busy_ns
        counts.cpu_ns += cpu_ns
        self.tuner.measured(stage)

    def measured_elsewhere(self, stage: Stage, count: int, item_ns: float) -> None:
        """Note the cost of items in a worker process: its CPU, since it does nothing else."""
        counts = stage.counts
        counts.times.append(int(item_ns))
        counts.busy_ns += int(item_ns * count)
        counts.cpu_ns += int(item_ns * count)
        self.tuner.adapt_window(stage)

    def pause(self, seconds: float) -> None:
        """Wait before another try, but not beyond the end of the run."""
        self._halt.wait(seconds)

    # -- the consumer

    def read(self, *, may_wait: bool = True) -> list[Token]:
        """Results, some at once; none at the end.

        :raises BaseException: the run cannot go on.
        """
        outlet = self.flow.outlet
        while True:
            # The lock by itself: a signal's handler may raise here, and then it must be released.
            with self.lock:
                tokens = outlet.read(min(_READ_AT_ONCE, (len(outlet.waiting) + 1) // 2))
                is_over = outlet.is_over or self.is_stopped or not may_wait
                if not tokens and self.error is not None:
                    raise self.error
                kicks = self._do_chores()
                if not (tokens or is_over or kicks):
                    self.news.wait()
            for kick in kicks:
                kick()
            if tokens or is_over:
                return tokens

    # -- the ticker

    def _tick_on(self) -> None:
        is_broken = False
        while not self.is_stopped:
            try:
                word = self.bell.get(timeout=None if is_broken else self._next_tick_s())
            except queue.Empty:
                word = "tick"
            if word == "close":
                self.close()
            elif not is_broken:
                is_broken = not self._tick(is_due=word == "tick")

    def _next_tick_s(self) -> float | None:
        now_ns = time.perf_counter_ns()
        due = [self.tuner.next_ns, None if self._rows is None else self._rows.next_ns]
        with self:
            for stage in self.flow.stages:
                if stage.waiting and stage.allowed_ns > now_ns:
                    due.append(stage.allowed_ns)
                if isinstance(stage, BatchStage) and stage.group and stage.timeout_ns:
                    due.append(stage.group_ns + stage.timeout_ns)
                if isinstance(stage.executor, Threads):
                    deadline_ns = stage.executor.next_deadline_ns()
                    due += [deadline_ns] if deadline_ns is not None else []
        soonest_ns = min((at for at in due if at is not None), default=None)
        return None if soonest_ns is None else max(0.0, (soonest_ns - now_ns) / 1e9)

    def _tick(self, *, is_due: bool) -> bool:
        """Look what falls due; False if that failed, which ends the run."""
        try:
            if not self.is_stopped:
                self._look(is_due=is_due)
        except BaseException as error:
            self.abort(error)
            return False
        return True

    def _look(self, *, is_due: bool) -> None:
        now_ns = time.perf_counter_ns()
        expired: list[tuple[Stage, Token, BaseException]] = []
        with self:
            for stage in self.flow.stages:
                if isinstance(stage, BatchStage):
                    stage.expire(now_ns)
                elif stage.executor is not None and stage.waiting:
                    stage.executor.notice()
                if isinstance(stage.executor, Threads):
                    expired += [(stage, *each) for each in stage.executor.expire(now_ns)]
        for each in expired:
            self._give_up(*each)
        if self._rows is not None:
            self._rows.tick(now_ns)
        if is_due:
            self.tuner.tick(now_ns)

    def _give_up(self, stage: Stage, token: Token, error: BaseException) -> None:
        """An item has run out of time."""
        value, raised = self.judge(stage, token, error, token.value)
        with self:
            if raised is not None:
                stage.fail(token, raised)
            else:
                stage.finish_many(token, [] if value is DROPPED else [value])
            if stage.executor is not None:
                stage.executor.notice()

    # -- the end

    def close_soon(self) -> None:
        """The results were dropped: end the run in its own thread. Safe in a finalizer."""
        if os.getpid() != self.pid:
            return  # a forked child: nothing here is its own
        self.bell.put("close")
        names = threading.current_thread().name
        if not names.startswith("poolwise-") and not sys.is_finalizing():
            self.closed.wait(_FINALIZER_PATIENCE_S)

    def stop(self) -> None:
        """Begin nothing more."""
        with self:
            if self.is_stopped:
                return
            self.is_early = not self.flow.outlet.is_over
            self.is_stopped = True
            self.ended_ns = time.perf_counter_ns()
            self._halt.set()
            for executor in self.executors:
                executor.stop()
            self._notice()
        self.bell.put("look")

    def close(self) -> None:
        """End everything that the run has begun, and wait for it."""
        self.stop()
        with self:
            is_mine, self._is_closing = not self._is_closing, True
        if not is_mine:
            if threading.current_thread() is not self._ticker:
                self.closed.wait(_PATIENCE_S)
            return
        try:
            self._end_all()
        finally:
            self.tuner.end()
            if self._rows is not None:
                self._rows.end()
            with self:
                self.flow.let_go()
            self.closed.set()
            _live.discard(self)

    def _end_all(self) -> None:
        until = time.monotonic() + _PATIENCE_S
        self._end_lanes(is_early=self.is_early)
        for executor in self.executors:
            executor.join(max(0.0, until - time.monotonic()))
        if self._loop is not None:
            self._loop.close(max(0.0, until - time.monotonic()))
        if self._ticker.ident and threading.current_thread() is not self._ticker:
            self._ticker.join(_PATIENCE_S)

    def _end_lanes(self, *, is_early: bool) -> None:
        if self._lanes is not None:
            is_gentle = any(getattr(each, "has_teardown", False) for each in self.executors)
            self._lanes.close(is_early=is_early, is_gentle=is_gentle)


def _advice_on(error: BaseException, stage: Stage) -> str:
    """Remedy for an item that could not travel to a worker process or back, in words."""
    from poolwise import errors

    if getattr(stage.executor, "kind", "") != "process" and stage.host is None:
        return ""
    kinds = (errors.ResultNotPicklable, errors.ArgumentNotLoadable, errors.ResultNotLoadable)
    if isinstance(error, kinds) or "pickle" in say_error(error).lower():
        return (
            ". What goes to a process stage and comes back must be picklable: let the stage take "
            "and return plain data, or give it kind='thread'"
        )
    return ""


def close_all() -> None:
    """The interpreter ends: end runs that nobody has closed."""
    for run in list(_live):
        if run.pid == os.getpid():
            run.close()


atexit.register(close_all)
