"""Event loop of a pool: takes events, asks the state, carries out its commands.

One thread at a time steps it, the leader (``leader.py``); every other thread only puts events into
a queue. Results are published and callbacks run outside the leader lock (``background.py``).
"""

from __future__ import annotations

import os
import time
import weakref
from _thread import get_ident
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from poolwise import errors
from poolwise.core import contract as c
from poolwise.core.background import BackgroundThread, Publisher
from poolwise.core.leader import PATIENCE_S, Leader
from poolwise.core.signals import DeferredSignals, seen

if TYPE_CHECKING:
    from poolwise.core.state import State

T = TypeVar("T")

_PATIENCE_AT_END_S = 0.5
"""A leader that is pickling is waited for so long when a pool is terminated."""

_TOO_LATE = "the pool was closed, and its workers have ended, before this call"


def _never() -> bool:
    return False


class Engine:
    """Runs jobs on the lanes of one back end.

    :param backend: makes the lanes.
    :param state: decides.
    :param observers: see what happens.
    :param phases: the stopwatch of the leader.
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
        self._publisher = Publisher()
        self._stepping: int | None = None
        self._background = BackgroundThread(self)
        self._error: errors.PoolwiseError | None = None
        self.is_closed = False
        self._is_ended = self._is_given_back = False
        self.pid = os.getpid()
        self._submissions = 0
        self._is_unseen = False  # a leader that is woken for it may leave before it has looked
        self._drain: weakref.WeakMethod[Callable[[], object]] | None = None
        self._door: weakref.ref[object] | None = None
        self._calls: Any = None
        self.unclosed: weakref.ref[object] | None = None
        """Its callback warns of a door that was dropped unclosed. Here, since a weak reference in
        a cycle of garbage is not called back."""
        self._is_over_for_good = self._is_joined = False
        self._inbox = backend.open(self._phases)
        self._has_new_lanes = False
        self.signals = DeferredSignals(self._inbox.wake, is_needed=not backend.runs_here)
        self._leader = Leader(self._inbox.wake, self.signals)

    # -- for every thread

    def post(self, event: c.Event) -> None:
        """Queue an event; the leader takes it, or the calling thread if nobody leads.

        :raises UsedAfterFork: in a process forked from the pool's owner.
        :raises PoolTerminated: the pool was ended in this moment; nothing will come of the event.
        """
        self._check_owner()
        self.enqueue(event)
        if self._error is not None:  # set before those that were posted are failed
            self._raise_error()
        self.kick()

    def enqueue(self, event: c.Event) -> None:
        """Queue an event for the :meth:`wait` that follows.

        :raises PoolTerminated: the pool was joined in this moment.
        """
        self._posted.append(event)
        if self._is_joined and isinstance(event, c.JobPosted):
            raise errors.PoolTerminated(_TOO_LATE)

    def post_from_finalizer(self, event: c.Event) -> None:
        """Queue an event that can wait. Safe in finalizers, which run in the midst of anything."""
        if os.getpid() == self.pid:
            self._posted.append(event)
            self.wake()
            self._background.ring()

    def submitted(self) -> None:
        """A call was submitted: look at once if a lane is idle, else now and then.

        :raises PoolTerminated: the pool was ended in this moment, which knew nothing of the call.
        """
        self._submissions += 1
        # While all lanes are busy, submitting looks for their answers now and then: a look costs
        # about 5 us, a submission 1 us.
        is_due = not self._submissions % 128
        if self.state.wants_work or is_due or self._error is not None:
            self._check_owner()
            seen.is_interrupted = False
            if len(self.state.lanes) < self.state.room:
                self._step_to_start()
            else:
                self.kick()
        else:
            self._background.arm()

    def _step_to_start(self) -> None:
        """One step now, whoever leads: programs look for the workers that they have started."""
        self._is_unseen = True
        if not self._step_if_free() and self._stepping != get_ident():
            with self._leader.exclusive(PATIENCE_S) as has_lock:
                if has_lock:
                    self._step(0)
        self._background.arm()

    def kick_if_idle(self) -> None:
        """There may be more to do: look at once if a lane has nothing to do.

        Never raises, also after termination.
        """
        if self.state.wants_work and self._error is None:
            self.kick()

    def kick(self) -> None:
        """Step now if nobody leads, else wake the leader: something has changed."""
        self._is_unseen = True
        if not self._step_if_free():
            self.wake()
        self._background.arm()

    def wake(self) -> None:
        """End the leader's wait for events."""
        self._leader.wake()

    def ensure_background(self) -> None:
        """A caller blocks in a way that cannot lead: let the background thread lead at once."""
        self._background.arm(at_once=True)

    def wait(self, is_done: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Lead or follow until ``is_done()``; False when that took longer than ``timeout_s``.

        Begins with a look at what was queued and submitted before.

        :raises UsedAfterFork: in a process forked from the pool's owner.
        """
        self._check_owner()
        seen.is_interrupted = False
        if self._stepping == get_ident():
            message = "a pool cannot wait for itself while it unpickles or delivers a result"
            raise RuntimeError(message)
        until = None if timeout_s is None else time.monotonic() + timeout_s
        self._leader.waiting_callers += 1
        try:
            while not is_done():
                if until is not None and time.monotonic() >= until:
                    return False
                if self._publisher.is_in_callback:
                    self._wait_in_callback(is_done, until)
                else:
                    self._leader.lead_or_follow(self._step, is_done, until)
            return True
        finally:
            self._leader.waiting_callers -= 1
            if self._is_ended:
                self._close_if_ended()
            if not self._leader.promote_follower() and self.is_busy:
                self._background.arm()

    def _wait_in_callback(self, is_done: Callable[[], bool], until: float | None) -> None:
        """A callback waits in the thread that publishes results, perhaps for one of those."""
        publisher = self._publisher
        self._leader.lead_or_follow(self._step, lambda: bool(publisher.results) or is_done(), until)
        publisher.publish()

    def step_in_background(self) -> bool:
        """One step of the background thread; False when callers lead or the engine is broken."""
        did_step = self._error is None and self._leader.step_unless_wanted(self._step)
        if self._is_ended:
            self._close_if_ended()
        return did_step

    def close_if_over(self) -> bool:
        """Close the back end if nothing lives any more: the door is gone."""
        if self._error is None and (self._posted or self.state.lanes):
            return False
        with self._leader.exclusive():
            self._give_back()
        return True

    @property
    def is_in_callback(self) -> bool:
        """The calling thread runs a callback of this pool."""
        return self._publisher.is_in_callback

    def dropped(self, error: BaseException | None) -> bool:
        """True if ``error`` says that the pool was terminated before the call had ended."""
        return self._error is not None and isinstance(error, errors.PoolTerminated)

    @property
    def is_busy(self) -> bool:
        """True if something is under way that needs a leader."""
        is_unseen = self._is_unseen and self._error is None
        return bool(self._posted) or is_unseen or self.state.is_busy

    # -- one step, under the leader lock

    def _step_if_free(self) -> bool:
        """One step without waiting, unless another thread leads, or this one is in a step."""
        if self._stepping == get_ident():
            return False
        did_step = self._leader.step_if_free(self._step)
        if self._is_ended:
            self._close_if_ended()
        return did_step

    def _step(self, timeout_s: float | None, is_done: Callable[[], bool] = _never) -> None:
        """Hand out what waits, then take the events that are here (or wait for one)."""
        if self._error is not None:
            self._raise_error()
        self._stepping = get_ident()
        self._phases.enter()
        leader = self._leader
        try:
            leader.is_asleep = timeout_s != 0  # from here on, whoever brings something wakes it
            self._is_unseen = False
            is_news = self._hand_out() or is_done()
            events = self._take(0 if is_news else timeout_s)
            leader.is_asleep = False
            if events:
                self._take_note(events)
        except BaseException as error:
            self._break(error)
            raise
        finally:
            self._phases.leave()
            self._stepping = None
        self._arm_background()
        leader.notify()

    def _arm_background(self) -> None:
        """Have the background thread do what is left over from a step."""
        publisher = self._publisher
        for observer in self._observers:
            while observer.callbacks:
                publisher.callbacks.append(observer.callbacks.popleft())
        if publisher.results or publisher.callbacks:
            self._background.arm(at_once=True)
        elif self._has_new_lanes:  # which somebody must end when the door is gone
            self._background.arm()
        self._has_new_lanes = False

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
        if timeout_s is None or timeout_s > PATIENCE_S:
            timeout_s = PATIENCE_S
        self._phases.is_awaited = self._leader.waiting_callers > 0
        for observer in self._observers:
            observer.before_wait()
        events = self._inbox.wait(0 if self._posted else timeout_s)
        if not events and timeout_s == PATIENCE_S:
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
        self._publisher.results.extend(
            chunk.job.sink.deliver(chunk, command.first, command.values, command.errors)
        )

    def _end_job(self, command: c.EndJob) -> None:
        self._publisher.results.extend(command.job.sink.end(command.error))

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
        self.ensure_background()  # it publishes to those who wait in other ways

    def _fail_all(self, error: errors.PoolwiseError) -> None:
        """Tell everybody, also whose job was posted and has not been looked at."""
        while self._posted:
            event = self._posted.popleft()
            if isinstance(event, c.JobPosted):
                now_ns = time.perf_counter_ns()
                self._carry_out(event, self.state.apply(event, now_ns), now_ns)
        self._carry_out(None, self.state.fail_all(error), time.perf_counter_ns())

    # -- outside the leader lock

    def publish(self) -> None:
        """Publish results and run callbacks. For the background thread, and after its end."""
        self._publisher.run(self._look_again)

    def _look_again(self) -> None:
        self.wake()
        self._leader.notify()

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
        with self._leader.exclusive():
            self._is_joined = True
            self._fail_all(errors.PoolTerminated(_TOO_LATE))  # what another thread has just posted
            self._give_back()
        self._background.stop()
        self.publish()
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
        with self._leader.exclusive(_PATIENCE_AT_END_S) as has_lock:
            for observer in self._observers:
                observer.before_end()
            if self._error is None:
                self._error = error
                self._fail_all(error)
            self._end_lanes(kill=kill, has_lock=has_lock)
        self._close_if_ended()
        self._background.stop(None if has_lock else 0)
        self.publish()

    def _end_lanes(self, *, kill: bool, has_lock: bool) -> None:
        """End all lanes at once; without the lock the leader gives back the rest (see below)."""
        self._is_ended = True
        for lane in self.state.lanes if kill or not has_lock else ():
            self._backend.stop_lane(lane, kill=True)
        if has_lock:
            self._give_back()

    def _close_if_ended(self) -> None:
        """Give back what an end without the leader lock had to leave.

        Asked by each leader after it has let go of the lock, and by who ended the pool after it
        has said so: one of the two gets the lock then.
        """
        if not self._is_given_back:
            self._leader.step_if_free(self._give_back)

    def _give_back(self, _: float | None = None) -> None:
        self._is_given_back = True
        self.state.lanes.clear()
        self._backend.close()
        for observer in self._observers:
            observer.end()
        from poolwise.core import ending

        ending.unregister(self)

    def start_all(self, at_most: int | None = None) -> None:
        """Start every lane now, work or not; or so many more.

        :raises OSError: a process could not be started; then none is left.
        :raises RuntimeError: a thread could not be started; the same.
        """
        error: Exception | None = None
        with self._leader.exclusive():
            self._carry_out(None, self.state.start_all(at_most), time.perf_counter_ns())
            try:
                self._arm_background()
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

    def grow(self, lanes: int) -> None:
        """Have so many lanes from now on, if there are fewer.

        :raises OSError: a process could not be started; then none is left.
        """
        with self._leader.exclusive():
            self.state.grow(min(lanes, self._backend.most_lanes or lanes))
        self.start_all()

    def look(self, question: Callable[[], T]) -> T:
        """The answer to a question about the state, after a step, while nobody changes it."""
        if self._stepping == get_ident() or os.getpid() != self.pid:
            return question()
        with self._leader.exclusive():
            if self._error is None:
                self._step(0)
            return question()

    @property
    def background_ident(self) -> int | None:
        """The thread that leads while no caller does, if there is one now."""
        return self._background.ident

    @property
    def backend(self) -> c.Backend:
        """The back end, which makes the lanes."""
        return self._backend

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
        with self._leader.exclusive():
            return self._make_report()

    @property
    def phases(self) -> c.Phases:
        """Phases of the parent; doors report that the calling thread reads the user's input."""
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
        self._background.stop(PATIENCE_S)
        with self._leader.exclusive(_PATIENCE_AT_END_S) as has_lock:
            self._error = self._error or errors.PoolTerminated(
                "the interpreter ended before this task had"
            )
            self._is_over_for_good = True
            self._leader.block()
            self._end_lanes(kill=False, has_lock=has_lock)

    def watch(self, door: object, calls: Any) -> None:
        """Finish what was begun and end once this object, by which the engine is used, is gone.

        :param calls: takes the calls of the door, and is told that there will be no more.
        """
        self._calls = calls
        self._door = weakref.ref(door, self._background.bell.ring_as_callback)

    @property
    def is_abandoned(self) -> bool:
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
