"""The back end of lanes on an engine: one chunk is one call, whatever the engine is.

An engine brings workers, transport and their faults. What comes on top is the same for all: items
travel in chunks whose size follows from what a call was measured to cost, what many chunks need is
sent once, and whatever goes wrong becomes an event that names its chunk.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from poolwise import errors
from poolwise.backends.answers import detached
from poolwise.backends.remote import messages
from poolwise.core import contract as c
from poolwise.core.batching import ChunkLimits
from poolwise.core.bell import Bell
from poolwise.core.contract import DECIDE, PICKLE, RECEIVE, SEND, UNPICKLE
from poolwise.core.ending import end_before_executors
from poolwise.core.signals import interruptible
from poolwise.wire import failures
from poolwise.worker import remote

if TYPE_CHECKING:
    from poolwise.backends.remote.seat import Future, Seat
    from poolwise.core.job import Chunk

_flights = count(1)


class Flight:
    """One call on its way.

    :param act: takes what came of it.
    :param chunk: that it carries (None: it is about the lane).
    """

    __slots__ = ("act", "call", "chunk", "future", "is_alone", "lane", "needed", "number", "said",
                 "sent_ns")  # fmt: skip

    def __init__(
        self, lane: Lane, act: Callable[[Flight, Any], object], chunk: Chunk | None = None
    ) -> None:
        self.number = next(_flights)
        self.lane = lane
        self.act = act
        self.chunk = chunk
        self.call: tuple[Any, ...] = ()
        self.needed: dict[str, messages.Put] = {}
        self.future: Future | None = None
        self.is_alone = not lane.flights
        self.said: Any = None
        self.sent_ns = 0


class Lane:
    """State of one lane, as this process knows it."""

    def __init__(self, lane_id: int, seat: Seat) -> None:
        self.id = lane_id
        self.seat = seat
        self.flights: dict[int, Flight] = {}
        self.waiting: deque[Flight] = deque()
        self.known: set[str] = set()
        self.is_leaving = False
        self.pid: int | None = None
        self.born_ns = self.at_ns = time.perf_counter_ns()
        self.pings_left = 0
        self.reading = [0] * 10

    def read(self, spent: tuple[int, ...]) -> tuple[int, ...]:
        """The lane's clock, by ours: the worker tells how long it was busy, the rest is waiting.

        Chunks of one lane may run side by side, in two workers: they share the time that passed.
        """
        now_ns = time.perf_counter_ns()
        passed_ns, busy_ns = now_ns - self.at_ns, sum(spent[3:6])
        if busy_ns > passed_ns:
            spent = tuple(ns * passed_ns // busy_ns for ns in spent)
            busy_ns = sum(spent[3:6])
        self.at_ns = self.reading[0] = now_ns
        self.reading[1] += passed_ns - busy_ns
        for at in (3, 4, 5, 7, 8):  # unpickling, running, pickling, on CPU, without one
            self.reading[at] += spent[at]
        return tuple(self.reading)


class Remote(c.Backend):
    """Base of back ends whose lanes are on an engine.

    :param imports_main: workers have the program's main module, so its functions go by name.
    """

    name = "engine"
    slice_ns = 50_000_000
    """A chunk that has run for so long gives back what it has not begun: costs were misjudged."""
    pings = 3
    """Calls that measure what a call costs, when the first lane has begun."""

    def __init__(self, *, imports_main: bool) -> None:
        self._imports_main = self.is_near = imports_main
        self.limits = ChunkLimits()
        self.overhead_ns: int | None = None
        """The least that a call was seen to cost beside its work."""
        self._pool = uuid4().hex
        self._setup: bytes | None = None
        self._lanes: dict[int, Lane] = {}
        self._arrived: deque[Flight] = deque()
        self._events: list[c.Event] = []
        self._bell = Bell()
        self._failure: errors.PoolwiseError | None = None
        self._phases = c.Phases()
        self._is_closed = False

    # -- what an engine brings

    def _make_seat(self, lane: int) -> Seat:
        """A seat for a new lane.

        :raises Exception: there is none to be had.
        """
        raise NotImplementedError

    def _find_failure(self, error: BaseException) -> errors.PoolwiseError | None:
        """The engine as a whole is of no more use, if that is what this error says."""
        return None

    def _collect(self, flights: list[Flight]) -> Iterable[tuple[Flight, Any]]:
        """The results of calls that are done, or their errors."""
        for flight in flights:
            try:
                yield flight, flight.future.result()  # type: ignore[union-attr] # it is done
            except BaseException as error:
                yield flight, Failed(error)

    def _give_up_engine(self) -> None:
        """Give back what of the engine is this back end's own."""

    # -- before it is opened

    def prepare(self, initializer: Callable[..., object] | None, initargs: tuple[Any, ...]) -> None:
        """Have each worker run this before its first chunk.

        :raises Exception: it cannot be pickled.
        """
        if initializer is not None:
            call = partial(initializer, *initargs)
            with messages.sharing(is_near=self.is_near):
                self._setup = messages.pack_callable(call, by_value=not self._imports_main)

    # -- the five verbs

    def open(self, phases: c.Phases) -> Remote:
        self._phases = phases
        end_before_executors()
        return self

    def start_lane(self, lane: int) -> None:
        if self._failure is not None:
            died = c.LaneDied(lane, errors.Death(None, None), errors.again(self._failure))
            self._events.append(died)
            return
        try:
            held = self._lanes[lane] = Lane(lane, self._make_seat(lane))
            self._fly(Flight(held, self._begun), remote.begin, self._pool, self._setup)
        except Exception as error:
            self._lanes.pop(lane, None)
            said: Exception = self._find_failure(error) or error
            self.start_error = said
            died = c.LaneDied(lane, errors.Death(None, None), said)
            self._events.append(died)

    def send(self, lane: int, chunk: Chunk | None) -> None:
        held = self._lanes.get(lane)
        if held is None:
            return  # it has died: the event is on its way
        if chunk is None:
            self._take_back(held)
            return
        try:
            self._send(held, chunk)
        finally:
            self._phases.to(DECIDE)

    def stop_lane(self, lane: int, *, kill: bool) -> None:
        held = self._lanes.get(lane)
        if held is None:
            return
        held.is_leaving = True
        if kill:
            self._end_lane(held, errors.Death(held.pid, None), kill=True)
        elif not (held.flights or held.waiting):
            self._end_lane(held, errors.Death(held.pid, 0))

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        for lane in list(self._lanes.values()):
            self._leave(lane, kill=True)
        self._arrived.clear()
        self.start_error = None
        self._give_up_engine()

    # -- the inbox

    def wait(self, timeout_s: float | None) -> list[c.Event]:
        if not self._events and not self._arrived and timeout_s != 0:
            self._phases.rest()
            self._bell.wait(timeout_s)
        self._bell.clear()
        self._phases.to(RECEIVE)
        arrived = []
        while self._arrived:
            arrived.append(self._arrived.popleft())
        for flight, said in self._collect(arrived) if arrived else ():
            self._land(flight, said)
        self._phases.to(DECIDE)
        events, self._events = self._events, []
        return events

    def wake(self) -> None:
        self._bell.ring()

    # -- sending

    def _send(self, lane: Lane, chunk: Chunk) -> None:
        self._phases.to(PICKLE)
        begun_ns = self._phases.at_ns
        flight = Flight(lane, self._answered, chunk)
        try:
            is_function = True
            with interruptible, messages.sharing(is_near=self.is_near):
                function = self._pack_function(lane, chunk)
                is_function = False
                main, buffers = self._pack_items(lane, chunk, flight)
        except BaseException as error:
            said = detached(error)
            self._events.append(c.ChunkRefused(lane.id, chunk.id, said, is_function=is_function))
            return
        if function is not None:
            flight.needed[function.digest] = function
        chunk.sent_bytes = len(main) + sum(len(one) for one in buffers if type(one) is bytes)
        chunk.pickle_ns = self._phases.to(SEND) - begun_ns
        most_ns = max(chunk.job.prompt_ns, self.slice_ns)
        digest = None if function is None else function.digest
        head = self._pool, most_ns, digest, self.is_near
        flight.call = head, main, buffers
        lane.waiting.append(flight)
        self._begin_waiting()

    def _begin_waiting(self) -> None:
        """Begin the chunks that may begin."""
        for lane in list(self._lanes.values()):
            while lane.waiting and self._has_room(lane):
                flight = lane.waiting.popleft()
                self._begin_flight(flight, flight.needed.keys() - lane.known)

    def _has_room(self, lane: Lane) -> bool:
        """True if the lane's next chunk may be sent, though what it holds is not answered for."""
        return True

    def _begin_flight(self, flight: Flight, digests: Iterable[str]) -> None:
        """Send a chunk, with those of the large things it needs that these digests name."""
        lane, chunk = flight.lane, flight.chunk
        new = {digest: flight.needed[digest] for digest in digests}
        if not lane.seat.is_own:  # another worker may have it
            new.update((key, put) for key, put in flight.needed.items() if put.is_small)
        lane.known.update(new)
        if chunk is not None:
            chunk.function_bytes += sum(put.nbytes for put in new.values())
        try:
            handles = [put.handle_for(lane.seat) for put in new.values()]
            self._fly(flight, remote.run, *flight.call, list(new), *handles)
        except Exception as error:
            self._fail_flight(flight, error)

    def _fly(self, flight: Flight, function: Callable[..., Any], *args: Any) -> None:
        flight.lane.flights[flight.number] = flight
        flight.sent_ns = time.perf_counter_ns()
        try:
            flight.future = future = flight.lane.seat.submit(function, *args)
        except BaseException:
            del flight.lane.flights[flight.number]
            raise
        future.add_done_callback(partial(self._hear, flight))

    def _hear(self, flight: Flight, _: Any) -> None:
        """A call is over, in some thread of the engine's."""
        self._arrived.append(flight)
        self._bell.ring()

    def _pack_function(self, lane: Lane, chunk: Chunk) -> messages.Put | None:
        job = chunk.job
        if job.has_calls:
            return None
        put: messages.Put | None = job.function.packed
        if put is None:
            put = messages.put_function(job.function, imports_main=self._imports_main)
            job.function.packed = put
        return put

    def _pack_items(
        self, lane: Lane, chunk: Chunk, flight: Flight
    ) -> tuple[bytes, list[bytes | str]]:
        packed = messages.pack_items(chunk, imports_main=self._imports_main)
        main, buffers = messages.part(packed, chunk.job, flight.needed)
        return main, buffers

    def _take_back(self, lane: Lane) -> None:
        """Give back chunks that the engine has not begun."""
        back = [lane.waiting.pop() for _ in range(len(lane.waiting))]
        for flight in reversed(list(lane.flights.values())):
            if flight.chunk is not None and self._cancel(flight):
                del lane.flights[flight.number]
                back.append(flight)
        for flight in back:
            if flight.chunk is not None:
                outcome = c.Outcome(0, [], {}, returned=-1)
                self._events.append(c.ChunkDone(lane.id, flight.chunk.id, outcome))

    def _cancel(self, flight: Flight) -> bool:
        """Take a call back; False when it has begun, or nobody knows."""
        return flight.future is not None and bool(flight.future.cancel())

    # -- receiving

    def _land(self, flight: Flight, said: Any) -> None:
        lane = flight.lane
        if lane.flights.pop(flight.number, None) is None:
            return  # it was taken back, or its lane has been left
        if isinstance(said, Failed):
            self._fail_flight(flight, said.error)
            return
        flight.act(flight, said)
        self._begin_waiting()
        is_through = not (lane.flights or lane.waiting)
        if lane.is_leaving and is_through and lane.id in self._lanes:
            self._end_lane(lane, errors.Death(lane.pid, 0))

    def _begun(self, flight: Flight, said: tuple[Any, ...]) -> None:
        """A lane is there: look who it is, and measure what a call costs if nobody knows."""
        lane = flight.lane
        version, python, _, lane.pid, failure = said
        wrong: BaseException | None = messages.find_mismatch(version, python, self.name)
        if failure is not None:
            wrong = failures.decode(failure)
        if wrong is not None:
            self._leave(lane, kill=True)
            self._events.append(c.LaneDied(lane.id, errors.Death(lane.pid, None), wrong))
            return
        lane.pings_left = self.pings if self.overhead_ns is None else 0
        self._ping(flight, None)

    def _ping(self, flight: Flight, _: object) -> None:
        lane = flight.lane
        if flight.act == self._ping:
            self._measure(time.perf_counter_ns() - flight.sent_ns)
        if not lane.pings_left:
            self._be_ready(lane)
            return
        lane.pings_left -= 1
        try:
            self._fly(Flight(lane, self._ping), remote.ping)
        except Exception as error:
            self._fail_flight(Flight(lane, self._ping), error)

    def _be_ready(self, lane: Lane) -> None:
        lane.at_ns = now_ns = time.perf_counter_ns()
        name = f"{self.name}-{lane.id}"
        self._events.append(
            c.LaneReady(lane.id, name, lane.pid, lane.born_ns, lane.born_ns, now_ns)
        )

    def _measure(self, cost_ns: int) -> None:
        """A call cost so much beside its work: chunks shall be long enough to be worth it."""
        if self.overhead_ns is not None and cost_ns >= self.overhead_ns:
            return
        self.overhead_ns = cost_ns
        usual, limits = ChunkLimits(), self.limits
        limits.least_ns = max(usual.least_ns, 9 * cost_ns)  # then nine tenths of a lane is work
        limits.parent_ns = max(usual.parent_ns, cost_ns // 2)  # the engine's threads run here too
        limits.most_ns = max(usual.most_ns, 20 * cost_ns)
        limits.ahead_ns = max(usual.ahead_ns, 2 * cost_ns)

    def _answered(self, flight: Flight, said: remote.Answer) -> None:
        lane, chunk = flight.lane, flight.chunk
        assert chunk is not None  # noqa: S101 - this act is for chunks
        kind = said[0]
        if kind == remote.LACKS:
            self._begin_flight(flight, said[1])
        elif kind == remote.UNREAD:
            _, is_function, failure = said
            error = failures.decode(failure)
            self._events.append(c.ChunkUnread(lane.id, chunk.id, error, is_function))
        else:
            self._hear_values(flight, chunk, said)

    def _hear_values(self, flight: Flight, chunk: Chunk, said: remote.Answer) -> None:
        lane = flight.lane
        now_ns = time.perf_counter_ns()
        if flight.is_alone:
            self._measure(max(1, now_ns - flight.sent_ns - sum(said[5][3:6])))
        begun_ns = self._phases.to(UNPICKLE)
        outcome = messages.read_answer(said)
        outcome.reading = lane.read(said[5])
        if outcome.times is not None:  # by the worker's clock, which may be another machine's
            at, slowest_ns, end_ns, histogram = outcome.times
            outcome.times = at, slowest_ns, now_ns - (said[6] - end_ns), histogram
        outcome.load_ns = self._phases.to(RECEIVE) - begun_ns
        self._events.append(c.ChunkDone(lane.id, chunk.id, outcome))

    # -- when it goes otherwise

    def _fail_flight(self, flight: Flight, error: BaseException) -> None:
        """The engine gave an error instead of an answer."""
        lane, chunk = flight.lane, flight.chunk
        death = lane.seat.find_death(error)
        failure = None if death else self._find_failure(error)
        if failure is not None:
            lane.flights[flight.number] = flight
            self._fail_engine(failure)
        elif death is not None:
            lane.flights[flight.number] = flight
            self._end_lane(lane, death)
        elif chunk is None:
            self._leave(lane, kill=True)
            said = messages.no_worker(self.name, error)
            self._events.append(c.LaneDied(lane.id, errors.Death(None, None), said))
        else:
            said = messages.lost_by_engine(self.name, chunk, error)
            self._events.append(c.ChunkLost(lane.id, chunk.id, said))
            self._end_lane(lane, errors.Death(lane.pid, None), is_lost=True)

    def _fail_engine(self, failure: errors.PoolwiseError) -> None:
        """Give back what is under way: nothing can run any more, and no lane will start."""
        self._failure = failure
        for lane in list(self._lanes.values()):
            for flight in [*lane.flights.values(), *lane.waiting]:
                if flight.chunk is not None:
                    self._events.append(c.ChunkLost(lane.id, flight.chunk.id, failure))
            self._end_lane(lane, errors.Death(None, None), is_lost=True)

    def _end_lane(
        self, lane: Lane, death: errors.Death, *, kill: bool = False, is_lost: bool = False
    ) -> None:
        """The lane is no more. What it holds behind its first chunk was not begun."""
        held = [flight.chunk.id for flight in lane.flights.values() if flight.chunk is not None]
        unread = frozenset(flight.chunk.id for flight in lane.waiting if flight.chunk is not None)
        self._leave(lane, kill=kill or is_lost)
        failure = self._failure if is_lost and not held else None
        self._events.append(c.LaneDied(lane.id, death, failure, tuple(lane.reading), unread))

    def _leave(self, lane: Lane, *, kill: bool) -> None:
        self._lanes.pop(lane.id, None)
        flights, lane.flights = list(lane.flights.values()), {}
        lane.waiting.clear()
        for flight in flights:
            self._cancel(flight)
        lane.seat.leave(kill=kill)


class Failed:
    """Exception of a call, in the place of its result."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
