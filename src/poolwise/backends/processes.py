"""Lanes that are child processes: a pair of pipes each, nothing shared between two of them.

Processes are started through the user's own multiprocessing context, so that what a program sets
there (start method, executable, preloads, its own Process class) holds, and a worker looks to
the program as one of the standard pool's.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from poolwise import errors
from poolwise.backends import offspring
from poolwise.backends.answers import detached, load_each, not_loadable
from poolwise.backends.unguarded import end_if_importing_main
from poolwise.core import contract as c
from poolwise.core.contract import DECIDE, PICKLE, RECEIVE, SEND, UNPICKLE
from poolwise.core.signals import interruptible
from poolwise.memory.arena import Ends, PoolMemory
from poolwise.memory.link import Handover, MessageLink, WorkerEnds
from poolwise.system import descriptors, exit_watch, lifeline
from poolwise.system.descriptors import limit_named, make_room
from poolwise.wire import codec, delivery, failures, frames, offers, pickling, pipes, waiting
from poolwise.wire.payload import BroadcastPayload, Packed, Payload
from poolwise.worker.main import BLOCKED, serve

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess

    from poolwise.backends.allotment import Allotment
    from poolwise.core.job import Chunk, Function
    from poolwise.memory.segment import Segment
    from poolwise.telemetry.output import StdioReaders
    from poolwise.worker.output import Redirect
    from poolwise.worker.resources import Resources

_GRACE_S = 0.15
"""Workers that are ended get SIGTERM first, and SIGKILL when they have not left after this."""

_NOT_SENT = float("inf")


class _Lane:
    """Parent's side of one worker: its process, pipes and unanswered chunks."""

    __slots__ = (
        "awaits_again", "cpus", "ends", "fault", "held", "id", "known", "launched_ns", "link",
        "offers", "process", "reader", "reading", "result_fd", "task_fd", "watch_fd",
        "watch_is_ours", "writer",
    )  # fmt: skip

    def __init__(
        self,
        lane_id: int,
        process: BaseProcess,
        task_fd: int,
        result_fd: int,
        open_ends: Callable[[], Ends],
    ) -> None:
        self.id = lane_id
        self.process = process
        self.task_fd = task_fd
        self.result_fd: int | None = result_fd
        self.writer = frames.FrameWriter(task_fd)
        self.link = MessageLink(self.writer, open_ends)
        self.reader = frames.FrameReader(result_fd)
        self.cpus: frozenset[int] | None = None
        self.known: set[int] = set()
        self.offers: dict[int, offers.Offers] = {}
        self.watch_fd, self.watch_is_ours = exit_watch.open_watch(process)
        self.awaits_again: c.ChunkDone | None = None
        self.held: deque[frames.Frame] = deque()
        self.launched_ns = time.perf_counter_ns()
        self.reading: codec.Reading | None = None
        self.fault: str | None = None
        self.ends: dict[int, float] = {}
        """End of each unanswered chunk in the task pipe, in bytes."""

    def find_unread(self) -> frozenset[int]:
        """Chunks that a worker that has ended had not taken in, so did not die of."""
        unread_bytes = pipes.count_unread(self.task_fd)
        if unread_bytes is None:
            return frozenset()
        read_bytes = self.writer.written_bytes - unread_bytes
        return frozenset(chunk_id for chunk_id, end in self.ends.items() if end > read_bytes)


class Processes(c.Backend):
    """The back end of process pools.

    :param context: makes the processes (``multiprocessing.get_context()``).
    :param name: processes are named ``ForkPoolWorker-1`` and so on, with this for ``PoolWorker``.
    :param are_daemons: the workers say that they are, so that libraries inside tasks start no
        processes; pools of ours they may have all the same.
    :param level: how much the ledger wants to know (``options.LEDGER_LEVELS``).
    :param log_levels: workers send what they print, log and warn of (see ``worker.main.serve``).
    :param as_cause: makes the ``__cause__`` of a task's error of its traceback in the worker.
    :param allotment: gives each worker its CPUs and threads (None: as this process has them).
    """

    name = "processes"

    def __init__(  # noqa: PLR0913 - what a worker is made of
        self,
        context: BaseContext,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        name: str = "PoolWorker",
        are_daemons: bool = False,
        level: str = "chunks",
        log_levels: Mapping[str, int] | None = None,
        as_cause: Callable[[str], BaseException] = errors.RemoteTraceback,
        allotment: Allotment | None = None,
    ) -> None:
        self.context = context
        self._allotment = allotment
        self._initializer = initializer
        self._initargs = initargs
        self._process_name = name
        self._are_daemons = are_daemons
        self._level = level
        self._log_levels = log_levels
        self._is_forking = self.starts_at_once = context.get_start_method() == "fork"
        self._hands_environment = context.get_start_method() == "spawn"
        self._as_cause = as_cause
        self._lanes: dict[int, _Lane] = {}
        self._functions: dict[int, weakref.ref[Function]] = {}
        """Those that some job still has. No WeakValueDictionary: that is Python code, and this is
        on the way of each item."""
        self._events: list[c.Event] = []
        self._poll = select.poll()
        self._on_ready: dict[int, Callable[[int], object]] = {}
        self._waiter = waiting.Waiter(self._poll)
        self._readers: StdioReaders | None = None
        self._wakes: pipes.WakePipe | None = None

    @property
    def processes(self) -> list[BaseProcess]:
        """The processes of the lanes that live, in the order they were started."""
        return [lane.process for lane in list(self._lanes.values())]

    # -- the five verbs

    def open(self, phases: c.Phases) -> Processes:
        # At the interpreter's end it joins all children. It must be registered before the engine
        # is, whose turn then comes first: it ends them.
        import multiprocessing.util  # noqa: F401

        self._phases = phases
        if self._allotment is not None and self._is_forking:
            self._allotment.load_control()
        with limit_named():
            life_ends, wake_ends = pipes.open_two(os.pipe)
        self._life = lifeline.Lifeline(life_ends)
        wakes = pipes.WakePipe(wake_ends)
        self._memory = PoolMemory()
        self._watch(wakes.reader, select.POLLIN, wakes.drain)
        if self._log_levels is not None:
            from poolwise.telemetry.output import StdioReaders

            self._readers = StdioReaders(self._watch, self._unwatch, self._tell, self._log_levels)
        self._wakes = wakes
        return self

    def start_lane(self, lane: int) -> None:
        try:
            with limit_named():
                self._lanes[lane] = self._start(lane)
        except Exception as error:
            self.start_error = error
            self._events.append(c.LaneDied(lane, errors.Death(None, None), error))

    def send(self, lane: int, chunk: Chunk | None) -> None:
        held = self._lanes[lane]
        delivery.of_thread.is_guaranteed = True  # the core has the chunk until it is answered for
        try:
            if chunk is None:
                held.writer.write(codec.GIVE_BACK, ())
            else:
                held.ends[chunk.id] = _NOT_SENT
                if self._send_function(held, chunk) and self._send_items(held, chunk):
                    held.ends[chunk.id] = held.writer.written_bytes + held.writer.pending_bytes
                else:
                    del held.ends[chunk.id]
        except BrokenPipeError:
            return  # it has died: the event is on its way
        finally:
            delivery.of_thread.is_guaranteed = False
            self._phases.to(DECIDE)
        if held.writer.pending_bytes:
            self._watch(held.task_fd, select.POLLOUT, lambda _: self._write_more(held))

    def stop_lane(self, lane: int, *, kill: bool) -> None:
        held = self._lanes.get(lane)
        if held is None:
            return
        if kill:
            held.process.kill()
            return
        try:
            held.writer.write(codec.STOP, ())
        except BrokenPipeError:
            pass  # it has died: the event is on its way

    def close(self) -> None:
        if self._wakes is None:
            return
        self._unwatch(self._wakes.reader)
        self._wakes = None
        lanes = list(self._lanes.values())
        for lane in lanes:
            lane.process.terminate()
        _wait_for_ends(lanes, _GRACE_S)
        for lane in lanes:
            if lane.process.is_alive():
                lane.process.kill()
            lane.process.join()
            self._discard(lane)
        self._life.close()
        self._memory.close()
        self._readers = self.start_error = None  # what they hold would be in a cycle with this

    # -- the inbox

    def wait(self, timeout_s: float | None) -> list[c.Event]:
        if self._events:
            timeout_s = 0
        if timeout_s != 0:
            self._phases.rest()
        ready = self._waiter.wait(timeout_s)
        for fd, mask in ready:
            self._phases.to(RECEIVE)
            if (act := self._on_ready.get(fd)) is not None:  # else one before it ended its lane
                act(mask)
        if ready or timeout_s != 0:
            self._phases.to(DECIDE)
        events, self._events = self._events, []
        return events

    def wake(self) -> None:
        wakes = self._wakes
        if wakes is not None:
            wakes.wake()

    def _watch(self, fd: int, mask: int, act: Callable[[int], object]) -> None:
        self._poll.register(fd, mask)
        self._on_ready[fd] = act

    def _unwatch(self, fd: int) -> None:
        if self._on_ready.pop(fd, None) is not None:
            self._poll.unregister(fd)

    # -- starting

    def _start(self, number: int) -> _Lane:
        (task_reader, task_writer), (result_reader, result_writer) = pipes.open_two()
        make_room(result_writer)
        for fd in (task_writer, result_reader):
            os.set_blocking(descriptors.own(fd), False)
        handed: Sequence[Segment] = ()
        redirect: Redirect | None = None
        process: Any = None
        handover: Handover | None = None
        try:
            redirect = self._readers.open(number) if self._readers is not None else None
            handed, kept = self._memory.for_lane()
            ends = WorkerEnds(task_reader, result_writer, self._life.reader, handed)
            begin = self._initializer, self._initargs
            handover = Handover(begin, self._memory if handed else None)
            resources = self._allot()
            process = self.context.Process(
                target=serve, args=(ends, handover, self._level, redirect, resources)
            )
            process.name = process.name.replace("Process", self._process_name)
            process.daemon = self._are_daemons
            if not self._is_forking:
                end_if_importing_main()
                _start_servers(self.context.get_start_method())
            with self._environment(), _signals_blocked(), _quiet_about_threads():
                offspring.start(process)
            lane = _Lane(number, process, task_writer, result_reader, lambda: self._lend(kept))
            lane.cpus = None if resources is None else resources.cpus
            lane.link.record_lent(handover.blocks)
        except BaseException:
            if handover is not None:
                self._memory.take_back(handover.blocks)
            descriptors.disown(task_writer)
            descriptors.disown(result_reader)
            self._close_output(number)
            if process is not None and process.is_alive():
                process.terminate()
                process.join()
            raise
        finally:
            for segment in handed:
                segment.close()
            if redirect is not None:
                redirect.close()
            os.close(task_reader)
            os.close(result_writer)
        self._watch(result_reader, select.POLLIN, lambda _: self._read(lane))
        self._watch(lane.watch_fd, select.POLLIN, lambda _: self._bury(lane))
        return lane

    def _allot(self) -> Resources | None:
        if self._allotment is None:
            return None
        others = [lane.cpus for lane in self._lanes.values()]
        return self._allotment.for_worker(others, has_environment=self._hands_environment)

    def _environment(self) -> AbstractContextManager[None]:
        """Environment in which a worker is started: one that is forked changes its own."""
        if self._allotment is None or not self._hands_environment:
            return nullcontext()
        return self._allotment.environment()

    def _tell(self, event: c.Event) -> None:
        self._events.append(event)

    def _close_output(self, number: int) -> None:
        if self._readers is not None:
            self._readers.close(number)

    def _lend(self, ends: Ends) -> Ends:
        """Prepare shared memory: something large passes through a lane for the first time."""
        self._memory.say_refusal()
        return ends

    # -- sending

    def _send_function(self, lane: _Lane, chunk: Chunk) -> bool:
        """See to it that the lane knows the chunk's function; False when it cannot be pickled."""
        self._phases.to(PICKLE)
        function = chunk.job.function
        if chunk.job.has_calls or function.id in lane.known:
            return True
        try:
            packed = function.packed or self._pack_function(lane, function)
        except BaseException as error:
            said = detached(error, self._as_cause)
            self._events.append(c.ChunkRefused(lane.id, chunk.id, said, is_function=True))
            return False
        forget = partial(self._functions.pop, function.id)  # gets the reference as the default
        self._functions[function.id] = weakref.ref(function, forget)
        gone = [known for known in lane.known if known not in self._functions]
        lane.known.difference_update(gone)
        lane.known.add(function.id)
        head = codec.pack_function_head(function.id, gone)
        self._phases.to(SEND)
        if isinstance(packed, bytes):
            chunk.function_bytes = lane.writer.write(codec.FUNCTION, (head, packed))
        else:
            chunk.function_bytes = len(packed)
            lane.link.send(codec.FUNCTION, head, packed)
        self._phases.to(PICKLE)
        return True

    def _pack_function(self, lane: _Lane, function: Function) -> bytes | BroadcastPayload:
        """Its pickle, noted for other lanes too unless it offers what only one of them can take."""
        by_value = function.by_value or self._is_out_of_reach(function.call)
        call = function.call if by_value or function.kept is None else function.kept
        offers.take()
        with interruptible:
            packed = pickling.pack_function(call, by_value=by_value)
        given = packed if isinstance(packed, bytes) else self._memory.deposit(packed)
        if offered := offers.take():
            lane.offers[-function.id] = offers.Offers(offered)
        else:
            function.packed = given
        return given

    def _is_out_of_reach(self, call: Callable[..., Any]) -> bool:
        """Defined at a prompt or in a notebook, where a fresh interpreter cannot import it."""
        if getattr(call, "__module__", None) != "__main__":
            return False
        import __main__

        started_fresh = self.context.get_start_method() != "fork"
        return started_fresh and not hasattr(__main__, "__file__")

    def _send_items(self, lane: _Lane, chunk: Chunk) -> bool:
        """Send the chunk; False when it is refused."""
        job, phases = chunk.job, self._phases
        begun_ns = phases.at_ns
        offers.take()
        try:
            with interruptible:
                packed = self._pack(lane, chunk)
        except BaseException as error:
            refusal = failures.mark_unsent(detached(error, self._as_cause))
            self._events.append(c.ChunkRefused(lane.id, chunk.id, refusal))
            return False
        finally:
            offered = offers.take()
            held = offers.Offers(offered) if offered else None
        if len(chunk.items) > 1 and (held is not None or _hold_offers(chunk)):
            self._events.append(c.ChunkRefused(lane.id, chunk.id, None))
            return False
        if held is not None:
            lane.offers[chunk.id] = held
        placed: dict[int, BroadcastPayload] = {}
        if job.common and isinstance(packed, Payload):
            placed = self._memory.find_deposits(packed, job.common, job.deposits)
        chunk.sent_bytes = len(packed)
        if placed:
            chunk.sent_bytes -= sum(len(each) for each in placed.values())
        chunk.pickle_ns = phases.to(SEND) - begun_ns
        lane.link.send(codec.CHUNK, codec.pack_chunk_id(chunk.id), packed, placed)
        return True

    def _pack(self, lane: _Lane, chunk: Chunk) -> Packed:
        job = chunk.job
        if job.has_calls:
            by_value = chunk.by_value
            calls = [task.call if by_value else task.kept or task.call for task in chunk.items]
            return codec.pack_calls((0, job.prompt_ns), calls, by_value=by_value)
        return codec.pack_items((job.function.id, job.prompt_ns), job.mode, chunk.items)

    def _write_more(self, lane: _Lane) -> None:
        self._phases.to(SEND)
        try:
            is_through = lane.writer.flush()
        except BrokenPipeError:
            is_through = True  # it has died: the event is on its way
        if is_through:
            self._unwatch(lane.task_fd)

    # -- receiving

    def _read(self, lane: _Lane) -> bool:
        """Take in what a worker says; False when there is nothing (more)."""
        try:
            said = lane.reader.read()
        except BlockingIOError:
            return False
        except EOFError:
            if not exit_watch.is_ending(lane.watch_fd, lane.process.pid):
                lane.fault = "its pipe to the pool was closed"
            self._end_of_results(lane)
            return False
        except (MemoryError, ValueError) as error:
            self._give_up_garbled(lane, error)
            return False
        for frame in said:
            if lane.awaits_again is not None and frame[0] != codec.ITEMWISE:
                lane.held.append(frame)
                continue
            try:
                self._hear(lane, *frame)
            except Exception as error:
                self._give_up_garbled(lane, error)
                return False
        return True

    def _give_up_garbled(self, lane: _Lane, error: Exception) -> None:
        """Its answers cannot be taken in any more, or another has written among them.

        The other lanes go on.
        """
        what = "cannot be taken in" if isinstance(error, MemoryError) else "makes no sense"
        lane.fault = f"what came through its pipe {what} ({error!r})"
        self._end_of_results(lane)

    def _end_of_results(self, lane: _Lane) -> None:
        if lane.result_fd is not None:
            self._unwatch(lane.result_fd)
            descriptors.disown(lane.result_fd)
            lane.result_fd = None
            lane.process.kill()  # as a rule it has ended; one that only lost its pipe is no use

    def _hear(self, lane: _Lane, kind: int, payload: memoryview) -> None:
        if kind == codec.ANSWER:
            self._hear_answer(lane, payload)
        elif kind == codec.ANSWER | codec.BIG:
            self._hear_answer(lane, payload, is_big=True)
        elif kind == codec.FREED:
            lane.link.take_back(payload)
        elif kind == codec.ITEMWISE:
            self._on_itemwise(lane, payload)
        elif kind == codec.DECODE_FAILED:
            chunk_id, is_function, failure = codec.loads(payload)
            lane.offers.pop(chunk_id, None)
            lane.ends.pop(chunk_id, None)
            error = self._decode(failure)
            self._events.append(c.ChunkUnread(lane.id, chunk_id, error, is_function))
        else:
            self._hear_of_lane(lane, kind, payload)

    def _hear_of_lane(self, lane: _Lane, kind: int, payload: memoryview) -> None:
        """Take a frame about the worker itself: its start, its output, its end."""
        if kind == codec.READY:
            self._hear_ready(lane, codec.Hello._make(codec.loads(payload)))
        elif kind == codec.OUTPUT:
            self._events.append(c.LaneSpoke(lane.id, *codec.loads(payload)))
        elif kind == codec.MEMORY:
            self._events.append(c.LaneWeighed(lane.id, *codec.loads(payload)))
        elif kind == codec.ENDING:
            lane.reading = codec.Reading.unpack(payload)
        else:
            failure = self._decode(codec.loads(payload))
            self._bury(lane, failure)

    def _hear_ready(self, lane: _Lane, hello: codec.Hello) -> None:
        launched_ns = hello.served_ns if self._is_forking else lane.launched_ns
        name = lane.process.name
        self._events.append(c.LaneReady(lane.id, name, hello.pid, launched_ns, *hello[1:]))

    def _hear_answer(self, lane: _Lane, payload: memoryview, *, is_big: bool = False) -> None:
        begun_ns = self._phases.to(UNPICKLE)
        head = codec.AnswerHead.unpack(payload)
        if head.is_last:  # what it has not taken by now goes to another one, if at all
            lane.offers.pop(head.chunk_id, None)
            lane.ends.pop(head.chunk_id, None)
        outcome = c.Outcome(
            head.first, [], {}, head.run_ns, len(payload), head.returned, bool(head.is_last)
        )
        outcome.reading = codec.Reading.unpack(payload, codec.READING_AT)
        try:
            arrived = self._open_answer(lane, payload, outcome, is_big=is_big)
            with interruptible:
                values, failed, outcome.times = codec.load_values(
                    arrived, is_itemwise=head.is_itemwise
                )
        except BaseException as error:
            if not self._is_lost(lane, head, error):
                self._hear_unreadable(lane, head, outcome, error)
            return
        if failed:
            outcome.errors = {at: self._decode(failed[at]) for at in failed}
        outcome.values = _load_packed(values, outcome.errors) if head.is_itemwise else values
        if outcome.errors and self._is_any_lost(lane, head, outcome.errors):
            return
        if self._readers is not None and head.is_last:
            # While another chunk runs, the unfinished line may be that one's: chunks that are
            # given back are answered in the midst of it.
            self._readers.read(lane.id, ends_line=not lane.ends)
        outcome.load_ns = self._phases.to(RECEIVE) - begun_ns
        self._events.append(c.ChunkDone(lane.id, head.chunk_id, outcome))

    def _open_answer(
        self, lane: _Lane, payload: memoryview, outcome: c.Outcome, *, is_big: bool
    ) -> codec.Arrived:
        if not is_big:
            return payload[codec.ANSWER_AT :]
        opened = lane.link.open(payload, codec.ANSWER_AT)
        outcome.nbytes = opened.nbytes
        return opened

    def _decode(self, failure: codec.Failure) -> BaseException:
        with interruptible:
            return failures.decode(failure, self._as_cause)

    def _is_any_lost(
        self, lane: _Lane, head: codec.AnswerHead, found: dict[int, BaseException]
    ) -> bool:
        return any(self._is_lost(lane, head, error.__cause__) for error in found.values())

    def _is_lost(self, lane: _Lane, head: codec.AnswerHead, error: BaseException | None) -> bool:
        """True, and reported, if an answer speaks of memory that went with its worker."""
        if not isinstance(error, errors.SharedMemoryGone):
            return False
        if exit_watch.is_ending(lane.watch_fd, lane.process.pid):
            said = c.ChunkLost(lane.id, head.chunk_id, not_loadable(error), bool(head.is_last))
            self._events.append(said)
            return True
        return False

    def _hear_unreadable(
        self, lane: _Lane, head: codec.AnswerHead, outcome: c.Outcome, error: BaseException
    ) -> None:
        """One of the values cannot be rebuilt here: find out which, from the worker."""
        outcome.values = [None] * head.size
        outcome.errors = {at: not_loadable(error) for at in range(head.size)}
        if head.size > 1:
            lane.awaits_again = c.ChunkDone(lane.id, head.chunk_id, outcome)
            lane.writer.write(codec.RESEND, (pickling.dumps((head.chunk_id, head.first)),))
        else:
            self._events.append(c.ChunkDone(lane.id, head.chunk_id, outcome))

    def _on_itemwise(self, lane: _Lane, payload: memoryview) -> None:
        """The values of an answer that could not be read, one by one, if they still exist."""
        done = lane.awaits_again
        _, _, pickled = codec.loads(payload)
        if done is None:
            return
        if pickled is not None:
            done.outcome.errors = {}
            done.outcome.values = _load_packed(pickled, done.outcome.errors)
        self._go_on(lane, done)

    def _go_on(self, lane: _Lane, done: c.ChunkDone) -> None:
        """Take up what was held back while an answer was awaited."""
        lane.awaits_again = None
        self._events.append(done)
        while lane.held and lane.awaits_again is None:
            self._hear(lane, *lane.held.popleft())

    # -- the end of a lane

    def _bury(self, lane: _Lane, failure: BaseException | None = None) -> None:
        """The worker has ended, or its initializer failed: hear its last words and tell."""
        while lane.result_fd is not None and self._read(lane):
            pass
        if lane.id not in self._lanes:
            return  # its last words were that the initializer failed
        if lane.awaits_again is not None:
            self._go_on(lane, lane.awaits_again)
        lane.process.join()
        death = errors.Death(lane.process.pid, lane.process.exitcode, lane.fault)
        unread = lane.find_unread()
        if self._readers is not None:
            self._readers.read(lane.id, ends_line=True)
        self._discard(lane)
        self._events.append(c.LaneDied(lane.id, death, failure, lane.reading, unread))

    def _discard(self, lane: _Lane) -> None:
        del self._lanes[lane.id]
        self._unwatch(lane.watch_fd)
        self._unwatch(lane.task_fd)
        self._close_output(lane.id)
        if lane.result_fd is not None:
            self._unwatch(lane.result_fd)
            descriptors.disown(lane.result_fd)
        descriptors.disown(lane.task_fd)
        lane.link.close()
        if lane.watch_is_ours:
            os.close(lane.watch_fd)


def _hold_offers(chunk: Chunk) -> bool:
    """Some of its items were pickled before, and offer descriptors."""
    if not offers.were_made():
        return False
    kept = chunk.items
    if chunk.job.has_calls:
        kept = [task.kept for task in chunk.items]
    return any(type(item) is codec.Snapshot and item.offers is not None for item in kept)


def _load_packed(packed: list[list[Any]], failed: dict[int, BaseException]) -> list[Any]:
    return load_each((partial(codec.load_value, one) for one in packed), failed)


def _wait_for_ends(lanes: list[_Lane], timeout_s: float) -> None:
    poll = select.poll()
    left = {lane.watch_fd for lane in lanes}
    for fd in left:
        poll.register(fd, select.POLLIN)
    until = time.monotonic() + timeout_s
    while left and (left_s := until - time.monotonic()) > 0:
        for fd, _ in poll.poll(left_s * 1000.0):
            poll.unregister(fd)
            left.discard(fd)


def _start_servers(method: str) -> None:
    """Start what fresh processes of the whole program share, while no signal is blocked.

    The resource tracker unblocks SIGINT when it is started. The fork server would keep what is
    blocked, and so would all that it forks: the standard pool waits for ever for a worker that
    does not hear SIGTERM.
    """
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()
    if method == "forkserver":
        from multiprocessing import forkserver

        forkserver.ensure_running()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """A worker that is being started must not meet Ctrl-C before it knows what to do with it.

    Nor the program's handler of SIGTERM: what that raised at once would be printed and ignored.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _quiet_about_threads() -> Iterator[None]:
    """Python 3.12 warns when a process with threads forks; our helper thread is none to warn of."""
    ours = {thread for thread in threading.enumerate() if thread.name == "poolwise-helper"}
    if not ours or threading.active_count() > len(ours) + 1:
        yield
        return
    with warnings.catch_warnings():
        # The child inherits this filter: it must not silence anything of the program's own.
        warnings.filterwarnings("ignore", ".* is multi-threaded, use of fork", DeprecationWarning)
        yield
