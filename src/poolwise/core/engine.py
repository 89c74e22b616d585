"""The one place where events are taken and commands carried out.

Whoever holds the *drive* owns the state, the back end and its inbox. A thread that waits for a
value takes the drive and helps everything along until its value is there; so one task alone costs
no switch between threads. While nobody waits, a helper thread drives, started when it is first
needed. Every other thread only leaves events in a queue.

Results are published (threads that wait through a Condition are woken) and callbacks are run by the
helper thread alone, as the standard pools do: a caller may hold a lock that a callback wants. A
callback runs to its end before the next one begins; one that waits for a result gets it as soon as
the value is here, before that result's own callback has run.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from _thread import get_ident
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from poolwise import errors
from poolwise.core import contract as c
from poolwise.core.bell import Bell
from poolwise.core.shield import Shield, seen

if TYPE_CHECKING:
    from typing_extensions import Self

    from poolwise.core.job import Callback
    from poolwise.core.state import State

T = TypeVar("T")

_GRACE_S = 0.002
"""The helper leaves fresh work to the caller for this long: most callers wait for it at once, and
then a second thread would only be in their way. No benchmark found the figure; 1 to 5 ms are
alike in ``benchmarks/submit_result``."""

_LOOK_S = 0.05
"""Whoever waits for the drive looks this often whether a signal wants something else."""

_PATIENCE_AT_END_S = 0.5
"""A thread that pickles in the midst of driving is waited for so long when a pool is terminated."""

_PATIENCE_S = 1.0
"""After so long without news it is asked whether a task is stuck; and nobody waits longer for the
drive, or for a callback as the interpreter ends. And a signal is seen that came
just before the main thread began to wait: Python does not end the wait for it."""


_TOO_LATE = "the pool was closed, and its workers have ended, before this call"


def _never() -> bool:
    return False


class Engine:
    """Runs jobs on the lanes of one back end.

    :param backend: makes the lanes.
    :param state: decides.
    :param observers: see what happens.
    :param phases: the stopwatch of the thread that drives.
    :param report: makes the account of the pool.
    """

    def __init__(
        self,
        backend: c.Backend,
        state: State,
        *,
        observers: Sequence[c.Observer] = (),
        phases: c.Phases | None = None,
        report: Callable[[], Any] | None = None,
    ) -> None:
        self.state = state
        self._observers = observers
        self._observing = [one.observe for one in observers if _sees_events(one)]
        self._phases = c.Phases() if phases is None else phases
        self._make_report = report
        self._backend: c.Backend = backend
        self._posted: deque[c.Event] = deque()
        self._news: deque[Callable[[], Callback | None]] = deque()
        self._callbacks: deque[Callback] = deque()
        self._calling_back: int | None = None
        self._drive = threading.Lock()
        self._standby: deque[_Waiter] = deque()
        self._driver: int | None = None
        self._is_asleep = False
        self._callers = 0
        self._guests = 0
        self._helper = _Helper(self)
        self._error: errors.PoolwiseError | None = None
        self.is_closed = False
        self._is_ended = False
        self.pid = os.getpid()
        self._hints = 0
        self._is_unseen = False  # a driver that is woken for it may leave before it has looked
        self._drain: weakref.WeakMethod[Callable[[], object]] | None = None
        self._door: weakref.ref[object] | None = None
        self._calls: Any = None
        self.unclosed: weakref.ref[object] | None = None
        """Its callback warns of a door that was dropped unclosed. Here, since a weak reference in
        a cycle of garbage is not called back."""
        self._is_over_for_good = self._is_joined = False
        self._inbox = backend.open(self._phases)
        self._has_new_lanes = False
        self.shield = Shield(self._inbox.wake, is_needed=not backend.runs_here)

    # -- for every thread

    def post(self, event: c.Event) -> None:
        """Leave an event; whoever drives takes it, and somebody will.

        :raises UsedAfterFork: in a process forked from the pool's owner.
        :raises PoolTerminated: the pool was ended in this moment; nothing will come of the event.
        """
        self._check_owner()
        self._append(event)
        if self._error is not None:  # set before those that were posted are failed
            self._raise_error()
        self.nudge()

    def _append(self, event: c.Event) -> None:
        self._posted.append(event)
        if self._is_joined and isinstance(event, c.JobPosted):
            raise errors.PoolTerminated(_TOO_LATE)

    def post_later(self, event: c.Event) -> None:
        """Leave an event that can wait; for finalizers, which may run in the middle of anything."""
        if os.getpid() == self.pid:
            self._posted.append(event)
            self.wake()
            self._helper.ring()

    def hint(self) -> None:
        """A call was submitted. Look at once if a lane is idle, else now and then.

        :raises PoolTerminated: the pool was ended in this moment, which knew nothing of the call.
        """
        self._hints += 1
        # While all lanes are busy, submitting looks for their answers now and then: a look costs
        # about 5 us, a submission 1 us.
        if self.state.wants_work or not self._hints % 128 or self._error is not None:
            self._check_owner()
            seen.is_interrupted = False
            if len(self.state.lanes) < self.state.most_lanes:
                self._step_as_guest()
            else:
                self.nudge()
        else:
            self._helper.arm()

    def nudge_if_idle(self) -> None:
        """There may be more to do: look at once if a lane has nothing to do.

        Never raises: where nothing more is done, there is nothing to be told of.
        """
        if self.state.wants_work and self._error is None:
            self.nudge()

    def nudge(self) -> None:
        """Something has changed: let it be looked at now if nobody drives, else by the driver."""
        self._is_unseen = True
        if not self._step_if_free():
            self.wake()
        self._helper.arm()

    def wake(self) -> None:
        """End the wait of whoever drives."""
        if self._is_asleep:
            self._inbox.wake()

    def attend(self) -> None:
        """Somebody waits in a way that does not drive: the helper shall, at once."""
        self._helper.arm(at_once=True)

    def leave(self, event: c.Event) -> None:
        """Leave an event for the :meth:`wait` that follows.

        :raises PoolTerminated: the pool was joined in this moment.
        """
        self._append(event)

    def wait(self, is_done: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Help along until ``is_done()``; False when that took longer than ``timeout_s``.

        Begins with a look at what was left and submitted before.

        :raises UsedAfterFork: in a process forked from the pool's owner.
        """
        self._check_owner()
        seen.is_interrupted = False
        if self._driver == get_ident():
            message = "a pool cannot wait for itself while it unpickles or delivers a result"
            raise RuntimeError(message)
        until = None if timeout_s is None else time.monotonic() + timeout_s
        self._callers += 1
        try:
            while not is_done():
                if until is not None and time.monotonic() >= until:
                    return False
                if self.is_in_callback:
                    self._wait_in_callback(is_done, until)
                else:
                    self._lead_or_stand_by(is_done, until)
            return True
        finally:
            self._callers -= 1
            if self._standby or self.is_busy:
                self._hand_over()

    def step_as_helper(self, helper: _Helper) -> bool:
        """One step in the helper's thread, unless callers drive or the engine is broken."""
        if self._callers or self._guests or self._error or not self._drive.acquire(blocking=False):
            return False
        helper.is_driving = True
        try:
            self._step(None)
        except Exception:  # noqa: S110 - the engine is broken, and has kept the error for everybody
            pass
        finally:
            helper.is_driving = False
            self._let_go()
        if (
            self._standby
        ):  # first: who stands by must not wait for a callback, which may wait for it
            self._hand_over()
        self.tell()
        return True

    def give_back_if_over(self) -> bool:
        """Nothing lives any more: close the back end. For the helper, when the door is gone."""
        if self._error is None and (self._posted or self.state.lanes):
            return False
        with self._drive:
            self._give_back()
        return True

    def dropped(self, error: BaseException | None) -> bool:
        """Whether ``error`` says that the pool was terminated before the call had ended."""
        return self._error is not None and isinstance(error, errors.PoolTerminated)

    @property
    def is_busy(self) -> bool:
        """Something is under way that needs a driver."""
        is_unseen = self._is_unseen and self._error is None
        return bool(self._posted) or is_unseen or self.state.is_busy

    # -- driving

    @property
    def is_in_callback(self) -> bool:
        """This thread runs a callback of this pool."""
        return self._calling_back == get_ident()

    def _wait_in_callback(self, is_done: Callable[[], bool], until: float | None) -> None:
        """A callback waits in the thread that publishes results, perhaps for one of those."""
        self._lead_or_stand_by(lambda: bool(self._news) or is_done(), until)
        self._publish()

    def _lead_or_stand_by(self, is_done: Callable[[], bool], until: float | None) -> None:
        with self.shield:
            is_leading = not self._guests and self._drive.acquire(blocking=False)
            if is_leading:
                self._lead(is_done, until)
        if not is_leading:
            self._stand_by(is_done, until)

    def _lead(self, is_done: Callable[[], bool], until: float | None) -> None:
        """With the drive in hand: one step after the other until there is reason to let go."""
        shield = self.shield
        try:
            while not (is_done() or shield.was_struck or self._guests):
                left_s = None if until is None else max(0.0, until - time.monotonic())
                self._step(left_s, is_done)
                if left_s == 0:
                    break
        finally:
            self._let_go()

    def _stand_by(self, is_done: Callable[[], bool], until: float | None) -> None:
        """Another thread drives: sleep until it is done for us, or leaves the drive to us."""
        waiter = _Waiter(is_done)
        try:
            self._standby.append(waiter)
            self.wake()
            if not is_done() and (self._drive.locked() or self._guests):
                left_s = _PATIENCE_S if until is None else until - time.monotonic()
                waiter.wait(min(left_s, _PATIENCE_S))
        finally:
            if waiter in self._standby:  # unless something struck before it was there
                self._standby.remove(waiter)

    def _hand_over(self) -> None:
        """After leaving the drive: another waiting thread takes it, or the helper."""
        for waiter in list(self._standby):
            waiter.ring()
            return
        self._helper.arm()

    def _step_if_free(self) -> bool:
        """One step without waiting, unless somebody drives already."""
        if self._driver == get_ident():
            return False
        with self.shield:
            if not self._drive.acquire(blocking=False):
                return False
            try:
                self._step(0)
            finally:
                self._let_go()
        if self._standby:
            self._hand_over()
        return True

    def _step(self, timeout_s: float | None, is_done: Callable[[], bool] = _never) -> None:
        """Hand out what waits, then take the events that are here (or wait for one)."""
        if self._error is not None:
            self._raise_error()
        self._driver = get_ident()
        self._phases.enter()
        try:
            self._is_asleep = timeout_s != 0  # from here on, whoever brings something wakes us
            self._is_unseen = False
            is_news = self._hand_out() or is_done()
            events = self._take(0 if is_news else timeout_s)
            self._is_asleep = False
            if events:
                self._take_note(events)
        except BaseException as error:
            self._break(error)
            raise
        finally:
            self._phases.leave()
            self._driver = None
        self._take_callbacks()
        self._arm_for_lanes()
        if self._news or self._callbacks:
            self._helper.arm(at_once=True)
        for waiter in list(self._standby):  # others come and go meanwhile
            if waiter.is_done():
                waiter.ring()

    def _take_callbacks(self) -> None:
        for observer in self._observers:
            while observer.callbacks:
                self._callbacks.append(observer.callbacks.popleft())

    def _arm_for_lanes(self) -> None:
        """Whoever has lanes has a helper: it hears when the door is gone, and ends them."""
        if self._has_new_lanes:
            self._helper.arm()
            self._has_new_lanes = False

    def _step_as_guest(self) -> None:
        """One step now, whoever drives: programs look for the workers that they have started."""
        self._is_unseen = True
        if not self._step_if_free() and self._driver != get_ident():
            with _Visit(self, _PATIENCE_S) as visit:
                if visit.has_drive:
                    self._step(0)
        self._helper.arm()

    def _hand_out(self) -> bool:
        """Look at what was posted and submitted; True when somebody may have waited for it."""
        posted = self._posted
        is_news = bool(posted)
        if is_news:
            events = []
            while posted:
                events.append(posted.popleft())
            return self._take_note(events) or is_news
        return self._assign(time.perf_counter_ns())

    def _assign(self, now_ns: int) -> bool:
        return self._carry_out(None, self.state.assign(now_ns), now_ns)

    def _take_note(self, events: list[c.Event]) -> bool:
        state, now_ns = self.state, time.perf_counter_ns()
        for event in events:
            self._carry_out(event, state.apply(event, now_ns), now_ns)
        return self._assign(now_ns)

    def _take(self, timeout_s: float | None) -> list[c.Event]:
        if timeout_s == 0:
            return self._inbox.wait(0)
        look_ns = self.state.next_look_ns()
        if look_ns is not None:  # wait no longer than until the state wants to be asked
            look_s = max(0.0, (look_ns - time.perf_counter_ns()) / 1e9)
            timeout_s = look_s if timeout_s is None else min(timeout_s, look_s)
        if timeout_s is None or timeout_s > _PATIENCE_S:
            timeout_s = _PATIENCE_S
        self._phases.is_awaited = self._callers > 0
        for observer in self._observers:
            observer.before_wait()
        events = self._inbox.wait(0 if self._posted else timeout_s)
        if not events and timeout_s == _PATIENCE_S:
            now_ns = time.perf_counter_ns()
            for observer in self._observers:
                observer.silence(now_ns)
        return events

    def _carry_out(self, event: c.Event | None, commands: list[c.Command], now_ns: int) -> bool:
        """Do what follows; True when a value was delivered or a job has ended."""
        is_news = False
        for observe in self._observing:
            observe(event, commands, now_ns)
        for command in commands:
            kind = type(command)
            is_news = is_news or kind is c.Deliver or kind is c.EndJob
            self._ACTS[kind](self, command)
        return is_news

    def _start_lane(self, command: c.StartLane) -> None:
        from poolwise.core import ending  # here, since workers load this module and start no lanes

        ending.register(self)
        self._has_new_lanes = not self._backend.runs_here
        self._backend.start_lane(command.lane)

    def _deliver(self, command: c.Deliver) -> None:
        chunk = command.chunk
        self._news.extend(
            chunk.job.sink.deliver(chunk, command.first, command.values, command.errors)
        )

    def _end_job(self, command: c.EndJob) -> None:
        self._news.extend(command.job.sink.end(command.error))

    _ACTS: ClassVar[dict[type, Callable[[Engine, Any], object]]] = {
        c.StartLane: _start_lane,
        c.SendChunk: lambda self, command: self._backend.send(command.lane, command.chunk),
        c.AskBack: lambda self, command: self._backend.send(command.lane, None),
        c.StopLane: lambda self, command: self._backend.stop_lane(command.lane, kill=command.kill),
        c.Deliver: _deliver,
        c.EndJob: _end_job,
    }
    """Not of the instance, which would be in a cycle: what a dropped pool held goes at once."""

    def _break(self, error: BaseException) -> None:
        """The state can no longer be trusted: nothing more is begun, everybody is told."""
        said = errors.PoolInterrupted(
            f"{error!r} struck inside the pool's bookkeeping; its tasks are lost. Make a new pool."
        )
        said.__cause__ = error
        self._error = said
        self.is_closed = True
        self._fail_all(said)
        self._backend.close()
        self._helper.arm(at_once=True)  # it tells those who wait in other ways

    def _fail_all(self, error: errors.PoolwiseError) -> None:
        """Tell everybody, also whose job was posted and has not been looked at."""
        while self._posted:
            event = self._posted.popleft()
            if isinstance(event, c.JobPosted):
                now_ns = time.perf_counter_ns()
                self._carry_out(event, self.state.apply(event, now_ns), now_ns)
        self._carry_out(None, self.state.fail_all(error), time.perf_counter_ns())

    # -- publishing results

    def tell(self) -> None:
        """Publish results and run callbacks, one by one. For the helper, and after its end.

        Never re-entered: what a callback brings about, such as the end of the pool, is published
        when it has returned.
        """
        if self._calling_back is not None:
            return
        self._publish()
        while self._callbacks:
            self._call_back(self._callbacks.popleft())
            self._publish()

    def _publish(self) -> None:
        news = self._news
        while news:
            callback = news.popleft()()
            if callback is not None:
                self._callbacks.append(callback)

    def _call_back(self, callback: Callback) -> None:
        self._calling_back = get_ident()
        try:
            callback()
        except (Exception, SystemExit):  # nor may it end the thread that has others to run
            import logging  # here, since few programs need it: a fifth of importing us

            logging.getLogger("poolwise").exception("a callback of a pool raised an exception")
        finally:
            self._calling_back = None
        self._look_again()

    def _look_again(self) -> None:
        """A result is ready only after its callback: those who wait for it must look again."""
        self.wake()
        for waiter in list(self._standby):
            if waiter.is_done():
                waiter.ring()

    # -- the end

    def close(self) -> None:
        """No more jobs; lanes end when all is done. See :meth:`join`."""
        if not self.is_closed:
            self.is_closed = True
            self.post(c.PoolClosed())

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until every lane is gone, then give everything back."""
        if self._error is None and not self.wait(self._is_over, timeout_s):
            return False
        with _Visit(self):
            self._is_joined = True
            self._fail_all(errors.PoolTerminated(_TOO_LATE))  # what another thread has just posted
            self._give_back()
        self._helper.stop()
        self.tell()
        return True

    def _is_over(self) -> bool:
        """No lane is left, nor anything to start one for, seen or not."""
        return not (self.state.lanes or self.state.jobs or self._posted)

    def terminate(self, error: errors.PoolwiseError, *, kill: bool = False) -> None:
        """End all lanes at once; every job that is not done fails with ``error``.

        Then waits for a callback that is running; by then all lanes are gone.

        :param kill: do not let the tasks hear of it first.
        """
        self._check_owner()
        self.is_closed = True
        with _Visit(self, _PATIENCE_AT_END_S) as visit:
            for observer in self._observers:
                observer.before_end()
            if self._error is None:
                self._error = error
                self._fail_all(error)
            self._is_ended = True
            for lane in self.state.lanes if kill or not visit.has_drive else ():
                self._backend.stop_lane(lane, kill=True)
            if visit.has_drive:
                self._give_back()
        self._helper.stop(None if visit.has_drive else 0)
        self.tell()

    def _give_back(self) -> None:
        self.state.lanes.clear()
        self._backend.close()
        for observer in self._observers:
            observer.end()
        from poolwise.core import ending

        ending.unregister(self)

    def _let_go(self) -> None:
        """Leave the drive; and do what a :meth:`terminate` could not wait to do meanwhile."""
        try:
            if self._is_ended:
                self._give_back()
        finally:
            self._drive.release()

    def start_all(self, at_most: int | None = None) -> None:
        """Start every lane now, work or not; or so many more.

        :raises OSError: a process could not be started; then none is left.
        :raises RuntimeError: a thread could not be started; the same.
        """
        error: Exception | None = None
        with _Visit(self):
            self._carry_out(None, self.state.start_all(at_most), time.perf_counter_ns())
            try:
                self._arm_for_lanes()
            except RuntimeError as no_thread:
                error = no_thread
        error = error or self._backend.start_error
        if error is None:
            return
        self.terminate(errors.PoolTerminated("not all workers could be started"))
        try:
            raise error
        finally:
            del error  # this frame is part of the traceback

    def look(self, question: Callable[[], T]) -> T:
        """The answer to a question about the state, after a step, while nobody changes it."""
        if self._driver == get_ident() or os.getpid() != self.pid:
            return question()
        with _Visit(self):
            if self._error is None:
                self._step(0)
            return question()

    @property
    def helper_ident(self) -> int | None:
        """The thread that drives while no caller does, if there is one now."""
        return self._helper.ident

    @property
    def backend(self) -> c.Backend:
        """The back end, which makes the lanes."""
        return self._backend

    @property
    def context(self) -> Any:
        """The multiprocessing context that makes the lanes, where lanes are processes."""
        return self._backend.context

    @property
    def processes(self) -> list[Any]:
        """The processes of the lanes, where lanes are processes."""
        return self._backend.processes

    def statistics(self) -> dict[str, int]:
        """Counts since the engine was made, and the number of workers alive."""
        return {**self.state.counts, "workers": len(self.state.lanes)}

    def report(self) -> Any:
        """The account of every worker and of the parent, until now or until the end.

        :raises ValueError: nobody keeps one.
        """
        if self._make_report is None:
            message = "this engine was opened without an account"
            raise ValueError(message)
        with _Visit(self):
            return self._make_report()

    @property
    def phases(self) -> c.Phases:
        """Is told by the doors when the calling thread reads the user's input."""
        return self._phases

    def drain_at_exit(self, drain: Callable[[], object]) -> None:
        """At the interpreter's end call ``drain`` first, instead of ending the lanes at once.

        :param drain: a bound method; its object is not kept alive.
        """
        self._drain = weakref.WeakMethod(drain)

    def drain(self) -> None:
        """The interpreter ends: see what is under way to its end, if that was asked for.

        If a signal ended the program, it is not waited for.
        """
        from poolwise.core.interrupts import has_ended_program

        if self._drain is None or self._error is not None or has_ended_program():
            return
        drain = self._drain()
        if drain is not None:
            drain()
        else:  # the door is gone
            self.finish()
            self.wait(lambda: not (self._posted or self.state.jobs or self.state.lanes))

    def end_with_interpreter(self) -> None:
        """The interpreter ends and nobody has closed this engine: end its lanes.

        Nobody is told: who waits for it in some thread waits on (see ``ending.py``).
        """
        self._helper.stop(_PATIENCE_S)
        with _Visit(self, _PATIENCE_AT_END_S) as visit:
            self._error = self._error or errors.PoolTerminated(
                "the interpreter ended before this task had"
            )
            self._is_over_for_good = self._is_ended = True
            self._guests += 1  # for good: from here on nobody drives
            for lane in () if visit.has_drive else self.state.lanes:
                self._backend.stop_lane(lane, kill=True)
            if visit.has_drive:
                self._give_back()

    def watch(self, door: object, calls: Any) -> None:
        """Finish what was begun and end once this object, by which the engine is used, is gone.

        :param calls: takes the calls of the door, and is told that there will be no more.
        """
        self._calls = calls
        self._door = weakref.ref(door, self._helper.bell.ring_as_callback)

    @property
    def is_left(self) -> bool:
        """The door is gone."""
        return self._door is not None and self._door() is None

    def finish(self) -> None:
        """Finish what was begun, then end the lanes: the door is gone."""
        if not self.is_closed:
            self.is_closed = True
            if self._calls is not None:
                self._calls.end()
            self._posted.append(c.PoolClosed())
        for job in list(self.state.jobs):
            if job.abandon_input():
                self._posted.append(c.InputEnded(job))

    def _raise_error(self) -> NoReturn:
        if self._is_over_for_good:
            from poolwise.core import ending

            ending.hang_if_daemon()
        raise errors.again(self._error or errors.PoolTerminated())

    def _check_owner(self) -> None:
        if os.getpid() != self.pid:
            message = (
                f"this pool belongs to process {self.pid}; process {os.getpid()} was forked from "
                "it and cannot use its workers. Make a pool of your own in the child."
            )
            raise errors.UsedAfterFork(message)
        if self._is_over_for_good:
            self._raise_error()


def _sees_events(observer: c.Observer) -> bool:
    return type(observer).observe is not c.Observer.observe


class _Visit:
    """The drive for one who must have it, whoever has it now.

    :param patience_s: how long to wait for it (None: as long as it takes, or until a signal's
        handler raises): whoever has it may be pickling something that never ends.
    """

    def __init__(self, engine: Engine, patience_s: float | None = None) -> None:
        self._engine = engine
        self._until = None if patience_s is None else time.monotonic() + patience_s
        self.has_drive = False

    def __enter__(self) -> Self:
        self._come()
        drive, shield = self._engine._drive, self._engine.shield  # noqa: SLF001 - one mechanism
        while not (has_drive := drive.acquire(timeout=_LOOK_S)):
            if self._until is not None and time.monotonic() > self._until:
                break
            if shield.was_struck:
                self._go()
                self._come()
        self.has_drive = has_drive
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.has_drive:
            self._engine._drive.release()  # noqa: SLF001
        self._go(error)

    def _come(self) -> None:
        engine = self._engine
        engine.shield.__enter__()
        engine._guests += 1  # noqa: SLF001
        engine._inbox.wake()  # noqa: SLF001

    def _go(self, error: BaseException | None = None) -> None:
        engine = self._engine
        engine._guests -= 1  # noqa: SLF001
        for waiter in list(engine._standby):  # noqa: SLF001
            waiter.ring()
        engine.shield.__exit__(None, error)


class _Waiter(Bell):
    """A thread that waits while another drives."""

    __slots__ = ("is_done",)

    def __init__(self, is_done: Callable[[], bool]) -> None:
        super().__init__()
        self.is_done = is_done


class _Helper:
    """Drives while no caller does; its thread is started when first needed.

    It sleeps until :meth:`arm`; then it looks for a while, and leaves fresh work to callers at
    first unless it is wanted at once.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = weakref.ref(engine)  # only its thread keeps it alive
        self.bell = Bell()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_awake = False
        self._is_wanted = False
        self.is_stopping = False
        self.is_driving = False

    def ring(self) -> None:
        """Look whether there is something to do, if the thread runs. Safe in a finalizer."""
        self.bell.ring()

    @property
    def ident(self) -> int | None:
        """Its thread's, while there is one."""
        thread = self._thread
        return None if thread is None else thread.ident

    def arm(self, *, at_once: bool = False) -> None:
        """Be ready to drive: in a little while, or at once."""
        if self.is_driving or (self._is_awake and not at_once):
            return
        self._is_wanted = self._is_wanted or at_once
        engine = self._engine()
        if self._thread is None and not self.is_stopping and engine is not None:
            self._start(engine)
        self.bell.ring()

    def _start(self, engine: Engine) -> None:
        with engine.shield, self._starting:
            if self._thread is not None:
                return  # another thread was faster
            thread = threading.Thread(
                target=self._run, args=(engine,), name="poolwise-helper", daemon=True
            )
            self._thread = thread  # before it runs: it may ask whether it is the helper
            try:
                thread.start()
            except BaseException:
                self._thread = None
                raise

    def stop(self, patience_s: float | None = None) -> None:
        """End the thread; it will not start again.

        :param patience_s: how long a callback that it runs is waited for (None: to its end).
        """
        self.is_stopping = True
        self.bell.ring()
        if (engine := self._engine()) is not None:
            engine.wake()
            with engine.shield, self._starting:  # whoever starts it has done so
                pass
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(patience_s)
            self._thread = None

    def _run(self, engine: Engine) -> None:
        idle = 0
        self._is_awake = True
        while not self.is_stopping:
            if idle >= 5:  # noqa: PLR2004 - looks of _GRACE_S at nothing to do
                self._is_awake = False  # from here on arm() rings
                if not engine.is_busy:
                    self.bell.wait()
                    idle = 0
                self._is_awake = True
            self.bell.clear()
            if not self._is_wanted:
                self.bell.wait(_GRACE_S)
            self._is_wanted = False
            engine.tell()
            idle = 0 if self._drive_on(engine) else idle + 1
            if engine.is_left:  # asked after the bell was cleared: it rings at that
                engine.finish()
                if engine.give_back_if_over():
                    break
        engine.tell()

    def _drive_on(self, engine: Engine) -> bool:
        """Drive until nothing is left to do or a caller wants to."""
        did_anything = False
        while engine.is_busy and not self.is_stopping and engine.step_as_helper(self):
            did_anything = True
            if engine.is_left:  # asked here too: an input without an end keeps it busy for ever
                engine.finish()
        return did_anything
