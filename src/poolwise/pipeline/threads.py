"""Threads that run a stage's items, as many as its width allows."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from poolwise.errors import TaskTimeout
from poolwise.pipeline.steps import DROPPED, Retry, Visit

if TYPE_CHECKING:
    from poolwise.pipeline.flow import Stage, Token
    from poolwise.pipeline.measure import Gauge
    from poolwise.pipeline.run import Run

_GRAB_NS = 500_000
_MOST_GRABBED = 64
"""A thread takes as many items at once as it has done in half a millisecond, up to so many: to hand
over one costs about 10 us. No benchmark found them."""


TRIVIAL_NS = 30_000
"""An item that takes less is not worth handing over (10 to 40 us, ``benchmarks/pipelines``)."""

_FEW = 8
"""Items by which it is known that a stage's are tiny."""


class Threads:
    """Executor of a stage: worker threads that take items and give results under the run's lock."""

    kind = "thread"

    def __init__(self, run: Run, stage: Stage) -> None:
        self._run = run
        self._stage = stage
        self.news = threading.Condition(run.lock)
        self.workers: list[_Worker] = []
        self.idle = 0
        self.emitting = 0
        self.is_stopped = self.is_retired = False
        self._left: list[_Worker] = []

    def notice(self) -> None:
        stage = self._stage
        if self.emitting:
            self.news.notify_all()
        elif stage.waiting and not (self.is_stopped or self.is_retired):
            if self.idle:
                self.news.notify()
            elif len(self.workers) < self._useful_width():
                self._start()

    def end(self) -> None:
        self.news.notify_all()

    def stop(self) -> None:
        self.is_stopped = True
        self.news.notify_all()

    def retire(self) -> None:
        self.is_retired = True
        self.news.notify_all()

    def join(self, patience_s: float | None) -> None:
        until = None if patience_s is None else time.monotonic() + patience_s
        for worker in [*self.workers, *self._left]:
            worker.join(None if until is None else max(0.0, until - time.monotonic()))

    def _start(self, again: Token | None = None, tried: int = 0) -> None:
        worker = _Worker(self._run, self._stage, self, again, tried)
        self.workers.append(worker)
        try:
            worker.thread.start()
        except RuntimeError as error:  # the system grants no more threads: do with those there are
            self.workers.remove(worker)
            if again is not None or not self.workers:
                self._run.abort(error, self._stage)

    def leave(self, worker: _Worker) -> None:
        """A worker is about to end. Under the lock."""
        if worker in self.workers:
            self.workers.remove(worker)
            self._left = [one for one in self._left if one.thread.is_alive()]
            self._left.append(worker)
            self.notice()  # it may have been woken for an item that it leaves to the others

    def wants_to_leave(self, worker: _Worker) -> bool:
        """This worker is one too many, or nothing more will come."""
        return (
            self.is_stopped
            or self.is_retired
            or self._stage.is_over
            or worker.is_abandoned
            or len(self.workers) > self._useful_width()
        )

    def _useful_width(self) -> int:
        """Workers that have something from each other: tiny items are handed over to one."""
        stage = self._stage
        mean_ns = stage.counts.mean_ns
        is_tiny = mean_ns is not None and mean_ns < TRIVIAL_NS and stage.counts.done > _FEW
        return min(stage.width, stage.least) if is_tiny else stage.width

    def next_deadline_ns(self) -> int | None:
        """Time at which the first item under way runs out of time."""
        deadlines = [worker.deadline_ns for worker in self.workers if worker.deadline_ns]
        return min(deadlines, default=None)

    def expire(self, now_ns: int) -> list[tuple[Token, TaskTimeout]]:
        """Items that have run out of time; their threads are left to themselves."""
        expired = []
        for worker in list(self.workers):
            token = worker.token
            if worker.deadline_ns and now_ns >= worker.deadline_ns and token is not None:
                worker.is_abandoned = True
                worker.deadline_ns = 0
                self.workers.remove(worker)
                error, tried = self._too_long(), worker.tried + 1
                if self._retry.wants(error, tried):
                    self._start(token, tried)
                else:
                    expired.append((token, error))
        return expired

    @property
    def _retry(self) -> Retry:
        spec = self._stage.spec
        return Retry() if spec is None else spec.retry

    def _too_long(self) -> TaskTimeout:
        spec = self._stage.spec
        limit = spec.timeout_s if spec is not None else None
        return TaskTimeout(
            f"the item took longer than timeout={limit:g} s. A thread cannot be stopped: it goes "
            "on by itself, and what it returns is thrown away (kind='process' stops its worker)"
        )


class _Worker:
    """One thread. ``token`` is the item under way where it has a time limit.

    :param again: an item that ran out of time in another thread, ``tried`` times.
    """

    def __init__(
        self, run: Run, stage: Stage, threads: Threads, again: Token | None, tried: int
    ) -> None:
        self._run = run
        self._stage = stage
        self._threads = threads
        self.token: Token | None = None
        self.deadline_ns = 0
        self.is_abandoned = False
        self.tried = tried
        self._held_ns = 0
        self._again = again
        name = stage.spec.name if stage.spec is not None else ""
        self.thread = run.make_thread(self._work, f"poolwise-{name}")

    def join(self, patience_s: float | None) -> None:
        """Wait for its end, unless it is the calling thread or was abandoned."""
        if not self.is_abandoned and self.thread is not threading.current_thread():
            self.thread.join(patience_s)

    def _work(self) -> None:
        visit = self._run.make_visit(self._stage)
        try:
            self._open(visit)
            done = self._run_again(visit)
            while (tokens := self._next(done)) is not None:
                if len(visit.steps) != tokens[0].through - self._stage.index:
                    visit = self._renew(visit, tokens[0].through)
                done = self._run_all(visit, tokens)
        except BaseException as error:  # of setup, or our own
            self._run.abort(error, self._stage)
        finally:
            with self._run:
                self._threads.leave(self)
            self._close(visit)

    def _open(self, visit: Visit) -> None:
        visit.pause = self._run.pause
        visit.open()

    def _renew(self, visit: Visit, through: int) -> Visit:
        """The stage hosts another one from now on."""
        visit.close()
        renewed = self._run.make_visit(self._stage, through)
        self._open(renewed)
        return renewed

    def _close(self, visit: Visit) -> None:
        try:
            visit.close()
        except BaseException as error:
            self._run.abort(error, self._stage, is_teardown=True)

    def _run_again(self, visit: Visit) -> list[tuple[Token, Any]]:
        token, self._again = self._again, None
        if token is None:
            return []
        with self._run:
            self._begin([token], time.perf_counter_ns())
        done = self._run_all(visit, [token])
        self.tried = 0
        return done

    def _next(self, done: list[tuple[Token, Any]]) -> list[Token] | None:
        """Hand in what is done; the next items, None at the end."""
        stage, threads = self._stage, self._threads
        while True:
            with self._run as run:
                if done:
                    stage.finish_all(done)
                    done = []
                now_ns = time.perf_counter_ns()
                if threads.wants_to_leave(self):
                    return None
                if tokens := stage.take(self._how_many(), now_ns):
                    self._begin(tokens, now_ns)
                    if stage.waiting:
                        threads.notice()
                    return tokens
                if not run.has_chores:
                    self._wait(now_ns)

    def _wait(self, now_ns: int) -> None:
        stage, threads = self._stage, self._threads
        is_timed = stage.waiting and stage.allowed_ns > now_ns
        threads.idle += 1
        threads.news.wait((stage.allowed_ns - now_ns) / 1e9 if is_timed else None)
        threads.idle -= 1
        stage.note_idle(time.perf_counter_ns())

    def _how_many(self) -> int:
        stage = self._stage
        mean_ns = stage.counts.mean_ns
        is_measured = stage.index in self._run.tuner.gauges
        if mean_ns is None or mean_ns > _GRAB_NS or is_measured or self._has_limits():
            return 1
        share = -(-len(stage.waiting) // stage.width)
        return max(1, min(share, int(_GRAB_NS / max(mean_ns, 1.0)), _MOST_GRABBED))

    def _has_limits(self) -> bool:
        spec = self._stage.spec
        return spec is not None and (spec.timeout_s is not None or spec.rate is not None)

    def _begin(self, tokens: list[Token], now_ns: int) -> None:
        spec = self._stage.spec
        if spec is not None and spec.timeout_s is not None:
            self.token = tokens[0]
            self.deadline_ns = now_ns + int(spec.timeout_s * 1e9)
            self._run.wants_tick()

    def _run_all(self, visit: Visit, tokens: list[Token]) -> list[tuple[Token, Any]]:
        """Run items one after the other; those whose end is not told yet, with their values."""
        done: list[tuple[Token, Any]] = []
        if (gauge := self._run.tuner.gauges.get(self._stage.index)) is not None:
            return self._run_measured(visit, tokens[0], gauge)
        cpu_ns, busy_ns, times = time.thread_time_ns(), 0, []
        for token in tokens:
            begun_ns = time.perf_counter_ns()
            self._run_into(done, visit, token)
            passed_ns = time.perf_counter_ns() - begun_ns
            times.append(passed_ns - self._take_held() if self._held_ns else passed_ns)
            busy_ns += times[-1]
        cpu_ns = time.thread_time_ns() - cpu_ns
        self._run.measured(self._stage, times, busy_ns, cpu_ns)
        return done

    def _run_measured(self, visit: Visit, token: Token, gauge: Gauge) -> list[tuple[Token, Any]]:
        """One of the first items, by which the stage's kind is chosen."""
        done: list[tuple[Token, Any]] = []
        given, cpu_ns = token.value, time.thread_time_ns()
        gauge.begin()
        begun_ns = time.perf_counter_ns()
        self._run_into(done, visit, token)
        held_ns = self._take_held()
        passed_ns = time.perf_counter_ns() - begun_ns - held_ns
        gauge.end(given, done[0][1] if done else None, held_ns)
        cpu_ns = time.thread_time_ns() - cpu_ns
        self._run.measured(self._stage, [passed_ns], passed_ns, cpu_ns)
        return done

    def _take_held(self) -> int:
        """Time for which the latest item waited for room for its results: that is not its own."""
        held_ns, self._held_ns = self._held_ns, 0
        return held_ns

    def _run_into(self, done: list[tuple[Token, Any]], visit: Visit, token: Token) -> None:
        if not visit.is_single:
            self._emit_all(visit, token)
            return
        try:
            value = visit.run(token.value, token.number)
        except BaseException as error:
            if (outcome := self._fail(token, error)) is not None:
                done.append(outcome)
            return
        if (not self.deadline_ns and not self.is_abandoned) or self._is_in_time():
            done.append((token, value))

    def _is_in_time(self) -> bool:
        if not self.deadline_ns and not self.is_abandoned:
            return True
        with self._run:
            self.deadline_ns, self.token = 0, None
            return not self.is_abandoned

    def _fail(self, token: Token, error: BaseException) -> tuple[Token, Any] | None:
        if not self._is_in_time():
            return None
        stage, item = self._run.place_of(error, self._stage, token)
        value, raised = self._run.judge(stage, token, error, item)
        if raised is None:
            return token, value
        with self._run:
            self._stage.fail(token, raised)
        return None

    def _emit_all(self, visit: Visit, token: Token) -> None:
        """Pass each value on as it is made, when there is room for it."""
        stage = self._stage
        values = visit.run_all(token.value, token.number)
        try:
            for value in values:
                if not self._emit(token, value):
                    values.close()  # type: ignore[attr-defined] # a generator
                    return
                del value
        except BaseException as error:
            outcome = self._fail(token, error)
            if outcome is not None:
                with self._run:
                    stage.finish_many(token, [] if outcome[1] is DROPPED else [outcome[1]])
            return
        if self._is_in_time():
            with self._run:
                stage.finish_emitting(token)

    def _emit(self, token: Token, value: Any) -> bool:
        threads = self._threads
        while True:
            with self._run as run:
                if threads.is_stopped or self.is_abandoned:
                    return False
                if self._stage.emit(token, value):
                    return True
                if not run.has_chores:
                    begun_ns, deadline_ns = time.perf_counter_ns(), self.deadline_ns
                    self.deadline_ns = 0  # what takes long is the consumer
                    threads.emitting += 1
                    threads.news.wait()
                    threads.emitting -= 1
                    held_ns = time.perf_counter_ns() - begun_ns
                    self._held_ns += held_ns
                    if deadline_ns:
                        self.deadline_ns = deadline_ns + held_ns
                        run.wants_tick()
