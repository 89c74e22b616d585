"""One call from its first item to its last: runs, measures, decides, and changes its mind."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from poolwise.choose import beside, outside, pools
from poolwise.choose.ended import Ended
from poolwise.choose.intake import intake_of
from poolwise.choose.limits import LIMITS
from poolwise.choose.measure import Meter, measured_of, spent_between
from poolwise.choose.model import (
    Kind,
    Machine,
    Measured,
    Prediction,
    choose,
    left_to_expect,
    predict,
)
from poolwise.choose.plan import Change, Plan, explain
from poolwise.choose.prior import costs_of, find_prior
from poolwise.doors.functions import name_of_written
from poolwise.quantities import say_seconds
from poolwise.system import budget
from poolwise.system.clocks import thread_clock
from poolwise.system.cpus import is_free_threaded

if TYPE_CHECKING:
    from poolwise.choose.call import Call
    from poolwise.choose.coroutines import Coroutines
    from poolwise.choose.options import Options
    from poolwise.choose.stretch import Stretch

Pending = tuple[Prediction, Measured, int, Machine, list[Prediction]]
"""Choice, the figures behind it, and the other ways."""


class Run:
    """One call of :func:`poolwise.map` or :func:`poolwise.imap`.

    :param is_lazy: values are asked for one by one, and items run when they are.
    """

    def __init__(
        self,
        call: Call,
        items: Iterable[Any],
        options: Options,
        *,
        is_lazy: bool = False,
        is_ordered: bool = True,
    ) -> None:
        self.call = call
        self.options = options
        self.is_ordered = is_ordered
        self.intake = intake_of(items, is_numbered=call.seeded is not None)
        self.meter = Meter()
        self.plan = Plan()
        self.prior = find_prior(call, options.profile, self.plan)
        self.stretch: Stretch | Coroutines | None = None
        self.is_gil_known = is_free_threaded()
        self.meter.gil = 0.0 if self.is_gil_known else None
        self.barred: dict[Kind, str] = {}
        self.is_lazy = is_lazy
        self._size = 1
        self._unmeasured = 0
        self._wants_sample = False
        self._starting: pools.Workers | None = None
        self._before: dict[Any, bytes] | None = None
        self.is_over = False
        self.disturbances = 0
        """Odd while a thread of ours gets in the way of the caller's."""
        self._is_only_plan = False
        self.is_hopeful = False
        """The last look has left something to gain, if what is not known turns out well."""
        self._context = copy_context()
        self._beside = _Beside()
        self._began_s = self._look_at_s = 0.0
        self._bar_by_facts()

    # -- what is known without measuring

    def _bar_by_facts(self) -> None:
        """Rule out what this function, or this place, does not allow."""
        call = self.call
        for kind in ("threads", "processes", "asyncio"):
            if kind not in self.options.kinds:
                self.barred[kind] = "it is not allowed"
        if self.options.pool is not None:
            is_here = self.options.pool._engine.backend.shares_memory  # noqa: SLF001 - ours
            self.barred["processes" if is_here else "threads"] = "pool= is of the other kind"
        if call.is_coroutine or self.options.kind is not None:
            return
        if budget.is_nested() and budget.share() == 1:
            self._bar("it runs inside a worker of another call, which has one CPU")
        elif (name := name_of_written(call.function)) is not None:
            self._bar(f"{call.name} assigns to {name}, which is outside of it")

    def _bar(self, reason: str, *kinds: Kind) -> None:
        for kind in kinds or ("threads", "processes"):
            self.barred.setdefault(kind, reason)
        self.plan.reasons = [reason]

    def _kinds(self) -> set[Kind]:
        """Kinds that may be chosen now."""
        kinds: set[Kind] = {"serial", *self.options.kinds}
        return kinds - self.barred.keys() - {"asyncio"}

    # -- the whole of it

    def begin(self) -> None:
        """Begin: at once in a pool if that was asked for, else here."""
        options = self.options
        pools.end_if_repeated()
        self._start_clocks()
        if self.call.is_coroutine:
            self._begin_coroutines()
        elif options.kind not in {None, "serial"}:
            self._begin_as_asked(options.kind, f"kind={options.kind!r} was asked for")
        elif options.rules.task_timeout_s is not None:
            kind: Kind = "threads" if self._why_no_processes() else "processes"
            self._begin_as_asked(kind, "timeout= needs a worker that can be given up")
        elif len(self._kinds()) > 1:
            self._begin_by_prior()
            if self.is_serial:
                beside.arm(self)

    def _start_clocks(self) -> None:
        self.meter.start()
        self._beside = _Beside()
        self._began_s = time.perf_counter()
        self._look_at_s = self._began_s + LIMITS.first_look_s

    def fill(self, out: list[Any]) -> None:
        """Put all values into a list."""
        while True:
            if self.stretch is None:
                if self.intake.is_ended:
                    return
                self._run_block(out)
            elif not self._read_stretch(self.stretch, out):
                return

    def _read_stretch(self, stretch: Stretch | Coroutines, out: list[Any]) -> bool:
        """Values of a stretch, until it ends; False when that was the end of the call."""
        count = 0
        try:
            while True:
                out.append(stretch.next())
                count += 1
                if not count & LIMITS.review_mask:
                    self._review(stretch)
        except Ended:
            return self._end_stretch(stretch)

    def next_value(self) -> Any:
        """The next value of a lazy call.

        :raises Ended: there are no more.
        """
        while True:
            stretch = self.stretch
            if stretch is not None:
                try:
                    value = stretch.next()
                except Ended:
                    if not self._end_stretch(stretch):
                        raise
                else:
                    self._review(stretch)
                    return value
            elif values := self._run_next():
                return values[0]

    def _run_next(self) -> list[Any]:
        """Run the next item here; most of them without a look at the clock, which costs 20 us."""
        if self.intake.is_ended:
            raise Ended
        if not self._unmeasured:
            values: list[Any] = []
            self._run_block(values)
            return values
        self._unmeasured -= 1
        try:
            item = self.intake.next()
        except StopIteration:
            raise Ended from None
        self.plan.runs += 1
        self._beside.is_inside = True
        try:
            return [self.run_here(item) if self.options.is_careful else self.call.run_one(item)]
        finally:
            self._beside.is_inside = False

    def only_plan(self, length: int | None) -> Plan:
        """Run the items here, and say what would be chosen for ``length`` of them."""
        if self.call.is_coroutine:
            self.begin()
            self.fill([])
            return self.plan
        self._is_only_plan = self.is_hopeful = True
        self._start_clocks()
        if len(self._kinds()) > 1:
            beside.arm(self)
        while not self.intake.is_ended:
            self._wants_sample = self.meter.sending.send_s is None and self.meter.items > 0
            self._run_block([])
        if self.meter.items:
            self._conclude(length or self.intake.taken)
        return self.plan

    def _conclude(self, left: int) -> None:
        """The plan for so many such items, of which none is run."""
        measured, machine = self.meter.measured(), self._machine(left)
        if self.meter.sending.refused is not None:
            self._lacks_knowledge(measured)
        chosen = choose(self._predict(measured, left, machine), "serial")
        if chosen.kind != "serial" and self._is_ruled_out(chosen.kind):
            chosen = choose(self._predict(measured, left, machine), "serial")
        others = [way for way in self._predict(measured, left, machine) if way.kind != chosen.kind]
        plan = self.plan
        plan.choice, plan.workers, plan.measured = chosen.kind, chosen.workers, measured
        plan.predicted_s, plan.runner_up = chosen.seconds, next(iter(others), None)
        if chosen.kind != "serial" or not plan.reasons:
            plan.reasons = [explain(chosen, others, measured, left, machine)]

    def show(self) -> Any:
        """A display of how far it is, if that is wanted."""
        if self.options.progress is None:
            return None
        from poolwise.choose import progress

        return progress.show(self, self.options.progress)

    def close(self, *, kill: bool = False) -> None:
        """Over: let everything go."""
        self._beside.leave()
        self.is_over = True
        if self.stretch is not None:
            self.stretch.close(kill=kill)
        for workers in (self._starting, self._workers_beside):
            if workers is not None:
                workers.release()
        self._starting = self._workers_beside = None
        self.meter.close()
        self._finish_plan()

    def _finish_plan(self) -> None:
        plan = self.plan
        plan.items = self.intake.taken
        if plan.measured is None and self.meter.items and not self.call.is_coroutine:
            plan.measured = self.meter.measured()
        if not plan.reasons and plan.measured is not None:
            self._explain_serial(plan.measured)
        logging = sys.modules.get("logging")  # a program that wants the line has loaded it
        if logging is not None:
            logging.getLogger("poolwise").info("map of %s: %s", self.call.name, plan)

    def _explain_serial(self, measured: Measured) -> None:
        """Reason why it stayed so: by the last decision, if there was time for one."""
        if self._considered is None:
            spent = say_seconds(self.meter.items * measured.wall_s)
            each = say_seconds(measured.wall_s)
            self.plan.reasons = [f"{self.meter.items:,} items of {each} were done in {spent}"]
            return
        measured, left = self._considered
        machine = self._machine(left)
        ways = self._predict(measured, left, machine)
        own = next(way for way in ways if way.kind == "serial")
        others = [way for way in ways if way.kind != "serial"]
        self.plan.reasons = [explain(own, others, measured, left, machine)]
        self.plan.predicted_s, self.plan.runner_up = own.seconds, next(iter(others), None)

    # -- serial

    def _run_block(self, out: list[Any]) -> None:
        """Run some items here, and time them as one."""
        size = 1 if self.is_lazy or self._wants_sample else self._size
        if not self.intake.is_listed:
            size = min(size, LIMITS.most_in_block)
        meter, first = self.meter, len(out)
        before, disturbances = meter.read(), self.disturbances
        sample = None
        self._beside.enter(size, before)
        try:
            if self._wants_sample:
                sample = self._run_sample(out)
            else:
                self._run_items(size, out)
        finally:
            self._beside.leave()
        after, count = meter.read(), len(out) - first
        if not self._beside.has_acted:
            self.intake.took(count, size)
        self.plan.runs += count
        if sample is not None:
            meter.sending.sample(*sample)
        if count:
            is_disturbed = disturbances != self.disturbances or bool(disturbances & 1)
            meter.add(count, before, after, is_disturbed=is_disturbed)
            self._resize(count, (after[0] - before[0]) / 1e9, after[0] / 1e9)

    def _run_items(self, size: int, out: list[Any]) -> None:
        items = self.intake.block(size)
        if self.options.is_careful:
            out += [self.run_here(item) for item in items]
        elif self.intake.is_listed:
            first = len(out)
            self.call.run_into(out, items)
            if len(out) - first < self.intake.due():
                raise StopIteration  # which a function raised, and map() took for the end
        else:
            out += self.call.run(items)

    def run_here(self, item: Any) -> Any:
        """Run one item in the calling thread, by the rules of the call."""
        try:
            return self.call.run_one_with(self.options.rules, item)
        except Exception as error:
            return self.failed(error)

    def failed(self, error: BaseException) -> Any:
        """Stand-in for an item that failed.

        :raises BaseException: errors are to be raised.
        """
        if not self.options.returns_errors or not isinstance(error, Exception):
            raise error
        return error

    def _run_sample(self, out: list[Any]) -> tuple[Any, Any] | None:
        """Run one item, of which it is to be tried what it costs to send it and its value."""
        self._wants_sample = False
        item = next(self.intake.block(1), self)
        if item is self:
            return None
        value = self.run_here(item) if self.options.is_careful else self.call.run_one(item)
        out.append(value)
        return item, value

    def _resize(self, count: int, spent_s: float, now_s: float) -> None:
        elapsed_s = now_s - self._began_s
        if self.is_lazy:
            self._unmeasured = int(LIMITS.block_s / max(spent_s, LIMITS.thread_item_s))
        target_s = min(LIMITS.longest_block_s, max(LIMITS.block_s, elapsed_s * LIMITS.block_share))
        if spent_s < target_s / 2:
            self._size *= 2
        elif spent_s > 2 * target_s:
            self._size = max(1, int(count * target_s / spent_s))
        if now_s >= self._look_at_s and not self.intake.is_ended and self.stretch is None:
            self._look_at_s = self._began_s + elapsed_s * LIMITS.look_factor
            self._consider()

    # -- deciding

    def _machine(self, left: int) -> Machine:
        cpus = budget.share()
        workers = self.options.workers
        wanted = min(left, workers or cpus)
        if self.options.pool is not None:
            return Machine(cpus, 0.0, workers)
        start_s = pools.start_s(
            wanted, self.large_outside(), caps_native=self.options.native_threads
        )
        return Machine(cpus, start_s, workers)

    def large_outside(self) -> dict[tuple[str, str], int]:
        """Globals of the function that are too large to travel with it."""
        if self._large is None:
            self._large = outside.part(outside.read_outside(self.call.function))[1]
        return self._large

    _large: dict[tuple[str, str], int] | None = None

    def _consider(self) -> None:
        """Stay serial, find out what is missing for a decision, or begin something else."""
        measured = self.meter.measured()
        if not self._can_decide(measured):
            return
        left = left_to_expect(self.intake.taken, self.intake.remaining)
        machine = self._machine(left)
        if self._before is None:
            self._before = outside.digest(self.call.function)
        hopeful = _hopeful(measured)
        self.is_hopeful = choose(self._predict(hopeful, left, machine), "serial").kind != "serial"
        if not self.is_hopeful:
            self._considered = self._considered or (measured, left)
            return
        if self._lacks_knowledge(measured):
            return
        chosen = choose(self._predict(measured, left, machine), "serial")
        if self._considered is None or self._considered[0].send_s is None:
            self._considered = measured, left
        elapsed_s = time.perf_counter() - self._began_s
        self._wants_sample = self.meter.sending.spent_s < LIMITS.spare_share * elapsed_s
        if chosen.kind != "serial" and not self._is_ruled_out(chosen.kind):
            self._begin(chosen, measured, left, machine)

    def _can_decide(self, measured: Measured) -> bool:
        """There is something to choose, and nothing has been chosen yet."""
        if self._begin_if_started() or self._starting is not None or self._is_only_plan:
            return False
        # The first item may be slow for reasons of its own.
        is_first = self.meter.is_first and measured.wall_s < LIMITS.long_item_s
        return not (is_first or self.meter.is_disturbed) and len(self._kinds()) > 1

    _considered: tuple[Measured, int] | None = None

    def _predict(self, measured: Measured, left: int, machine: Machine) -> list[Prediction]:
        return predict(measured, left, machine, self._kinds())

    def _lacks_knowledge(self, measured: Measured) -> bool:
        """True if something that decides is not known yet, but will be with the next items."""
        sending = self.meter.sending
        if sending.refused is not None:
            self._bar(f"an item cannot be sent to another process ({sending.refused})", "processes")
        elif sending.send_s is None and "processes" in self._kinds():
            self._wants_sample = True
            self._look_at_s = 0.0
            return True
        is_waiting = measured.is_mixed
        if not is_waiting and not self.is_gil_known and "threads" in self._kinds():
            self._look_at_s = min(self._look_at_s, time.perf_counter() + LIMITS.first_look_s)
            return True
        return False

    def _is_ruled_out(self, kind: Kind) -> bool:
        """Bar the kind where a check that is only made now refuses it; the call goes on."""
        seeded = self.call.seeded
        if kind == "threads":
            if seeded is not None and seeded.uses_global:
                self._bar("its random numbers are those of the process, which threads share", kind)
        elif (reason := self._why_no_processes()) is not None:
            self._bar(reason, kind)
        if self._before is not None:
            name = outside.changed_between(self._before, outside.digest(self.call.function))
            if name is not None:
                self._bar(f"{self.call.name} changes {name}, which is outside of it")
        return kind in self.barred

    def _why_no_processes(self) -> str | None:
        if "processes" in self.barred:
            return self.barred["processes"]
        return self.call.why_not_sent()

    # -- something else than serial

    def _begin(self, chosen: Prediction, measured: Measured, left: int, machine: Machine) -> None:
        ways = self._predict(measured, left, machine)
        others = [way for way in ways if way.kind != chosen.kind]
        self._begin_pending((chosen, measured, left, machine, others))

    def _begin_pending(self, pending: Pending) -> None:
        self._pending = pending
        chosen = pending[0]
        if chosen.kind == "processes" and self.options.pool is None:
            known = self.large_outside()
            self._starting = pools.get(
                chosen.workers, known, caps_native=self.options.native_threads
            )
        self._begin_if_started()

    _pending: Pending | None = None

    def _begin_if_started(self) -> bool:
        """Hand over to the workers that were started, if one of them is there."""
        pending, starting = self._pending, self._starting
        if pending is None or (starting is not None and not starting.is_ready):
            return False
        self._pending = self._starting = None
        if starting is not None and self._has_failed(starting):
            return False
        self._hand_to_pool(*pending)
        if starting is not None:
            starting.release()
        return True

    def _hand_to_pool(
        self,
        chosen: Prediction,
        measured: Measured,
        left: int,
        machine: Machine,
        others: list[Prediction],
    ) -> None:
        from poolwise.choose.stretch import Stretch

        reason = explain(chosen, others, measured, left, machine)
        self._note_change(chosen.kind, chosen.workers, reason)
        self.stretch = Stretch(self, chosen, measured, machine)
        self.plan.workers = self.stretch.workers
        self.plan.measured = measured
        self.plan.predicted_s, self.plan.runner_up = chosen.seconds, next(iter(others), None)

    def _note_change(self, kind: Kind, workers: int, reason: str) -> None:
        plan = self.plan
        at_s = time.perf_counter() - self._began_s
        plan.changes.append(Change(self.intake.taken, at_s, plan.choice, kind, reason))
        plan.choice, plan.workers, plan.reasons = kind, workers, [reason]

    def _begin_as_asked(self, kind: Kind | None, reason: str) -> None:
        if kind == "asyncio":
            message = f"kind='asyncio' needs a coroutine function, and {self.call.name} is none"
            raise TypeError(message)
        cpus = budget.share()
        most = self.options.workers or (
            max(LIMITS.asked_threads, cpus) if kind == "threads" else cpus
        )
        if kind in self.barred and self.options.kind is None:
            most = 1  # in turn, as in the caller's thread
        left = self.intake.remaining
        workers = max(1, most if left is None else min(most, left))
        way = Prediction(kind or "processes", workers, 0.0)
        # Nothing is measured, so nothing is reckoned with: it computes, and nobody knows how long.
        self._hand_to_pool(
            way, Measured(0, 1e9, 1e9, 1e9), workers, Machine(cpus, 0.0, workers), []
        )
        self.plan.reasons = [reason]
        self.plan.measured = self.plan.predicted_s = None

    def _begin_by_prior(self) -> None:
        """Begin with what an earlier tuning run has found, if it pays for so many items as well.

        Reviews go on as if it had been chosen here, and may leave it.
        """
        prior = self.prior
        if prior is None or prior.kind not in self._kinds() - {"serial"}:
            return
        measured, remaining = costs_of(prior), self.intake.remaining
        left = prior.items if remaining is None else remaining
        machine = self._machine(left)
        ways = self._predict(measured, left, machine)
        by_kind = {way.kind: way for way in ways}
        kind, serial = by_kind[prior.kind], by_kind["serial"]
        if choose([kind, serial], "serial") is serial or self._is_ruled_out(kind.kind):
            return
        self.meter.gil = measured.gil if self.meter.gil is None else self.meter.gil
        self.plan.notes.append(f"it began as {prior.path or 'its profile'} says")
        is_growing = kind.kind == "threads" and measured.is_mixed  # from there up to the most
        workers = kind.workers if is_growing else self.options.workers or prior.workers
        way = Prediction(kind.kind, min(workers, max(1, left)), kind.seconds)
        others = [other for other in ways if other is not kind]
        self._begin_pending((way, measured, left, machine, others))

    def first_threads(self, cpus: int) -> int:
        """Threads for items that wait, before their number grows."""
        if self.prior is not None and self.prior.kind == "threads":
            return self.prior.workers
        return max(LIMITS.first_threads, cpus)

    def chunksize_of(self, kind: Kind) -> int | None:
        """Chunk size for workers of a kind: the caller's, or that of the prior; None: theirs."""
        prior = self.prior
        if self.options.chunksize is None and prior is not None and prior.kind == kind:
            return prior.chunksize
        return self.options.chunksize

    def _begin_coroutines(self) -> None:
        from poolwise.choose.coroutines import Coroutines

        if self.options.kind not in {None, "asyncio", "serial"}:
            message = (
                f"{self.call.name} is a coroutine function, which runs in an event loop: leave "
                f"kind= out, not {self.options.kind!r}"
            )
            raise TypeError(message)
        is_serial = self.options.kind == "serial"
        self.stretch = Coroutines(self, workers=1 if is_serial else self.options.workers)
        reason = f"{self.call.name} is a coroutine function"
        self._note_change("asyncio", self.stretch.workers, reason)

    # -- watching

    def _review(self, stretch: Stretch | Coroutines) -> None:
        """Look how it goes; end a stretch when something else would be better, seen twice."""
        now = stretch.review()
        options = self.options
        if now is None or options.kind is not None or options.rules.task_timeout_s is not None:
            return
        if now.gil is not None:
            self.meter.gil = now.gil
        better = self._better_than(stretch.kind, now)
        if better is None:
            self._doubts = 0
            return
        self._doubts += 1
        if self._doubts >= LIMITS.doubts:
            self._doubts = 0
            self._leave(better)

    def _better_than(self, kind: Kind, now: Measured) -> Pending | None:
        """Better way for the rest, by what items cost now, if there is one."""
        left = left_to_expect(self.intake.taken, self.intake.remaining)
        machine = self._machine(left)
        if now.send_s is None:
            now.send_s = self.meter.sending.send_s
        ways = self._predict(now, left, machine)
        best = choose(ways, kind, LIMITS.change_gain)
        if best.kind == kind:
            return None
        return best, now, left, machine, [way for way in ways if way.kind != best.kind]

    def _leave(self, better: Pending) -> None:
        """Hand out no more this way; what is under way is waited for."""
        if better[0].kind != "serial" and self._is_ruled_out(better[0].kind):
            return
        self._pending = better
        chosen, measured, left, machine, others = better
        self._leave_reason = explain(chosen, others, measured, left, machine)
        self.intake.stop()

    _leave_reason = ""
    _doubts = 0

    def note_refused(self, error: BaseException, *, is_rule: bool) -> None:
        """An item could not be sent, and is run here."""
        said = f"an item was run in the calling process, for it cannot be sent ({error})"
        if not any(note.startswith("an item was run") for note in self.plan.notes):
            self.plan.notes.append(said)
        if is_rule and "processes" not in self.barred and self.options.kind is None:
            self.barred["processes"] = self._leave_reason = f"many items cannot be sent ({error})"
            self.intake.stop()

    def _end_stretch(self, stretch: Stretch | Coroutines) -> bool:
        """A stretch is through: go on serially, if there is something left."""
        if self.intake.is_ended or not self.intake.is_stopped:
            return False
        self.stretch = None
        stretch.close()
        pending, self._pending = self._pending, None
        if pending is not None and pending[0].kind != "serial":
            self._begin_pending(pending)
            return True
        self._note_change("serial", 1, self._leave_reason)
        self._look_at_s = time.perf_counter() + LIMITS.dwell_s
        return True

    # -- from beside, while a long item runs in the caller's thread

    @property
    def is_in_caller(self) -> bool:
        """Items are run in the caller's thread at the moment."""
        return self.stretch is None and self._beside.is_inside

    @property
    def is_serial(self) -> bool:
        """The caller's thread is the only one at work for it."""
        return self.stretch is None and not self.is_over

    @property
    def is_in_first_item(self) -> bool:
        """That is one item, by itself, and nothing has been decided."""
        return self.is_in_caller and self._beside.is_single and not self.plan.changes

    def cut_long_block(self) -> None:
        """In another thread: end a block whose items take longer than those before did."""
        place = self._beside
        with place.lock:
            before = place.before
            if self.is_in_caller and not place.is_single and before is not None:
                spent_s = (time.perf_counter_ns() - before[0]) / 1e9
                if spent_s > 2 * LIMITS.longest_block_s:
                    self.intake.cut()

    def queued_ns(self) -> int:
        """Time that the caller's thread has waited for a CPU, for other threads."""
        return self.meter.read_beside(self._beside.clock, is_fresh=True)[3]

    def cpu_ns(self) -> int:
        """CPU time of the caller's thread, for other threads."""
        return time.clock_gettime_ns(self._beside.clock)

    def act_beside(self) -> bool:
        """In another thread: begin with the other items if this one takes long; True: no more."""
        place = self._beside
        with place.lock:
            if self._is_only_plan or not self.is_in_first_item or not self._can_act_beside():
                return True
            before, after = place.before, self.meter.read_beside(place.clock)
            spent = spent_between(1, before, after)
            if spent[1] < LIMITS.long_item_s:
                return False
            measured = measured_of(spent, 1, None, self.meter.gil)
            left = max(0, (self.intake.remaining or 1) - 1)
            return left == 0 or self._context.run(self._try_beside, measured, left)

    def _can_act_beside(self) -> bool:
        """Only a list can be read here, and only what certainly changes nothing outside."""
        from time import pthread_getcpuclockid  # noqa: F401

        return (
            self.intake.is_listed
            and not self._starting
            and not outside.has_state(self.call.function)
        )

    def _try_beside(self, measured: Measured, left: int) -> bool:
        machine = self._machine(left)
        ways = self._predict(measured, left, machine)
        chosen = choose(ways, "serial")
        if chosen.kind == "serial":
            return False
        if self._is_ruled_out(chosen.kind):
            return True
        needs_workers = chosen.kind == "processes" and self.options.pool is None
        if needs_workers and not self._has_workers_beside(chosen.workers):
            return "processes" in self.barred
        self.intake.took(1, 1)
        self._beside.has_acted = True
        others = [way for way in ways if way.kind != chosen.kind]
        self._hand_to_pool(chosen, measured, left, machine, others)
        return True

    _workers_beside: pools.Workers | None = None

    def _has_workers_beside(self, count: int) -> bool:
        """Start workers if there are none; True once one of them is there."""
        if self._workers_beside is None:
            known, capped = self.large_outside(), self.options.native_threads
            self._workers_beside = pools.get(count, known, caps_native=capped)
        return self._workers_beside.is_ready and not self._has_failed(self._workers_beside)

    def _has_failed(self, workers: pools.Workers) -> bool:
        """No worker could be started: do without."""
        if workers.failure is None:
            return False
        self._bar(f"no worker could be started ({workers.failure})", "processes")
        pools.discard(workers)
        return True


class _Beside:
    """State of the block that runs in the caller's thread, for another thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.is_inside = self.is_single = self.has_acted = False
        self.before: Any = None
        self.clock = thread_clock()

    def enter(self, size: int, before: Any) -> None:
        self.is_single, self.before, self.has_acted = size == 1, before, False
        self.is_inside = True

    def leave(self) -> None:
        with self.lock:
            self.is_inside = False


def _hopeful(measured: Measured) -> Measured:
    """The same, with the best that what is not known may turn out to be."""
    gil = 0.0 if measured.gil is None else measured.gil
    return Measured(
        measured.items, measured.wall_s, measured.cpu_s, measured.process_cpu_s,
        measured.send_s or 0.0, gil,
    )  # fmt: skip
