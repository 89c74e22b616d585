"""The worker's life: initializer, then receive a chunk, run it, answer; until told to stop."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from poolwise.memory.link import EncodedPayload, MessageLink
from poolwise.system import lifeline
from poolwise.wire import codec, delivery, failures, frames, pickling, waiting
from poolwise.wire.payload import DecodedPayload, Packed, view_of
from poolwise.worker.clock import PICKLE, RECEIVE, UNPICKLE, WAIT, StoppedClock, WorkerClock
from poolwise.worker.run import ChunkRun
from poolwise.worker.watch import Watch

if TYPE_CHECKING:
    from poolwise.memory.arena import Ends
    from poolwise.memory.link import Handover, WorkerEnds
    from poolwise.memory.segment import Segment
    from poolwise.system.own_memory import OwnMemory
    from poolwise.worker.output import Redirect, Relay
    from poolwise.worker.resources import Resources

BLOCKED = frozenset({signal.SIGINT, signal.SIGTERM})
"""Signals that a worker is started with blocked, and unblocks."""

_CHUNKS = frozenset({codec.CHUNK, codec.CHUNK | codec.BIG})
_RETURNED = _CHUNKS | {codec.GIVE_BACK}


def serve(
    ends: WorkerEnds,
    begin: Handover | EncodedPayload,
    level: str = "chunks",
    redirect: Redirect | None = None,
    resources: Resources | None = None,
) -> None:
    """Be a worker: the target of the process that a lane starts.

    :param begin: the initializer and its arguments.
    :param level: how much the ledger wants to know, one of :data:`poolwise.options.LEDGER_LEVELS`.
    :param redirect: leads what is printed, logged and warned of to the parent (None: it goes
        where it always went).
    :param resources: are taken before anything of the user's runs (None: as the parent has them).
    """
    task_fd, result_fd, life_fd = ends.take()
    signal.set_wakeup_fd(-1)  # forked from an event loop: its signals are not ours to announce
    signal.signal(signal.SIGINT, _leave_to_parent)
    lifeline.die_with(life_fd)
    is_forked = not isinstance(begin, EncodedPayload)
    if is_forked:
        from poolwise.worker.inherited import forget_half_imports, forget_unwritten

        forget_half_imports()
        forget_unwritten()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
    if redirect is not None:
        redirect.take()
    if not faulthandler.is_enabled():
        faulthandler.enable(2)  # a crash in C code says where it was
    worker = Worker(task_fd, result_fd, ends.memory, level)
    if redirect is not None:
        worker.relay_output(redirect.levels)
    if resources is not None and resources.tells_memory:
        from poolwise.system.own_memory import OwnMemory

        worker.tell_memory(OwnMemory(is_forked=is_forked))
    try:
        is_ready = worker.start(begin, resources)
    except BrokenPipeError:
        return  # the parent is gone
    if is_ready:
        worker.work()
        delivery.has_delivered_all = True


def _leave_to_parent(signum: int, frame: object) -> None:
    """Ctrl-C reaches the whole terminal group: the parent decides what becomes of the workers."""


def _open_ends(memory: tuple[Segment, ...]) -> Ends:
    from poolwise.memory.arena import open_ends

    return open_ends(memory)


class Worker:
    """Reads chunks from one pipe and answers on the other."""

    def __init__(
        self,
        task_fd: int,
        result_fd: int,
        memory: tuple[Segment, ...],
        level: str = "chunks",
    ) -> None:
        self._reader = frames.FrameReader(task_fd)
        self._writer = frames.FrameWriter(result_fd)
        self._link = MessageLink(self._writer, lambda: _open_ends(memory))
        self._poll = select.poll()
        self._poll.register(task_fd, select.POLLIN)
        self._waiter = waiting.Waiter(self._poll)
        self._inbox: deque[frames.Frame] = deque()
        self._reading = threading.Lock()
        self._is_waiting = False
        self._writing = threading.Lock()
        self._functions: dict[int, bytes | DecodedPayload | Callable[..., Any]] = {0: codec.call}
        self._kept: deque[tuple[int, int, list[Any]]] = deque(maxlen=2)
        self._watch = Watch(self._has_give_back)
        self._running_calls = False
        self._clock = StoppedClock() if level == "off" else WorkerClock()
        self._one_by_one = level == "items"
        self._main_ident = threading.get_ident()
        self._running: ChunkRun | None = None
        self._relay: Relay | None = None
        self._memory: OwnMemory | None = None

    def tell_memory(self, memory: OwnMemory) -> None:
        """Tell the parent how much memory this process has of its own."""
        self._memory = memory

    def relay_output(self, log_levels: Mapping[str, int]) -> None:
        """Send what is said in this process to the parent."""
        from poolwise.worker.output import Relay

        self._relay = Relay(self._send_output, self._position)
        self._relay.install(log_levels)

    def _position(self) -> tuple[int, int]:
        """The chunk that runs (0: none), and how many of its items are done."""
        run = self._running
        return (0, 0) if run is None else (run.chunk_id, run.done)

    def _send_output(self, queue: deque[bytes]) -> None:
        """Write what waits in the queue, unless somebody is writing: then it waits on."""
        while queue and self._writing.acquire(blocking=False):
            try:
                while queue:
                    self._writer.write(codec.OUTPUT, (queue.popleft(),))
            finally:
                self._writing.release()

    def start(self, begin: Handover | EncodedPayload, resources: Resources | None = None) -> bool:
        """Take the resources, run the initializer and say how it went.

        :param begin: the initializer, or None, and its arguments; to open it imports what they use.
        """
        try:
            if resources is not None:
                resources.take()
            initializer, initargs = begin.open(self._link)
            served_ns = time.perf_counter_ns()
            if initializer is not None:
                initializer(*initargs)
            del initializer, initargs
        except BaseException as error:
            _log_failed_start(error)
            _flush_streams()
            self._send(codec.FAILED_START, pickling.dumps(failures.encode(error)))
            return False
        _flush_streams()
        hello = codec.Hello(os.getpid(), served_ns, time.perf_counter_ns())
        self._send(codec.READY, pickling.dumps(tuple(hello)))
        self._send_memory()
        self._clock.restart(hello.ready_ns)
        return True

    def work(self) -> None:
        """Carry out messages until STOP, or until the parent is gone."""
        act: dict[int, Callable[[memoryview], None]] = {
            codec.FUNCTION: self._learn_function,
            codec.FUNCTION | codec.BIG: partial(self._learn_function, is_big=True),
            codec.CHUNK: self._run_chunk,
            codec.CHUNK | codec.BIG: partial(self._run_chunk, is_big=True),
            codec.FREED: self._take_back,
            codec.GIVE_BACK: lambda _: None,  # nothing is running: nothing to give
            codec.RESEND: self._answer_again,
        }
        try:
            while True:
                kind, payload = self._receive()
                if kind == codec.STOP:
                    self._send(codec.ENDING, self._clock.read().pack())
                    return
                act[kind](payload)
                del payload
        except (EOFError, BrokenPipeError):
            return

    # -- receiving

    def _receive(self) -> frames.Frame:
        with self._reading:
            if self._inbox:
                return self._inbox.popleft()
            self._is_waiting = True
        self._clock.to(WAIT)
        self._waiter.wait()
        self._clock.to(RECEIVE)
        self._inbox.extend(self._reader.read())
        while not self._inbox:
            self._waiter.wait()
            self._inbox.extend(self._reader.read())
        self._is_waiting = False
        return self._inbox.popleft()

    def _has_give_back(self) -> bool:
        """Read what has come, without blocking, while a chunk runs (in the watch thread).

        Not while the main thread waits: it would sleep on for what was taken from under it.
        """
        with self._reading:
            if self._is_waiting:
                return False
            while self._poll.poll(0):
                self._inbox.extend(self._reader.read())
            if not any(kind == codec.GIVE_BACK for kind, _ in self._inbox):
                return False
            self._return_queued()
        return True

    def _return_queued(self) -> None:
        frames = list(self._inbox)
        self._inbox.clear()
        self._inbox.extend(frame for frame in frames if frame[0] not in _RETURNED)
        for kind, payload in frames:
            if kind not in _CHUNKS:
                continue
            if kind & codec.BIG:
                self._link.refuse(payload, codec.CHUNK_AT)
            self._answer(codec.chunk_id(payload), 0, [], {}, 0, -1, None, last=True)

    # -- working

    def _open(self, payload: memoryview, at: int, *, is_big: bool) -> codec.Arrived:
        return self._link.open(payload, at) if is_big else payload[at:]

    def _learn_function(self, payload: memoryview, *, is_big: bool = False) -> None:
        function_id, at = self._forget_functions(payload)
        if is_big:
            self._functions[function_id] = opened = self._link.open(payload, at)
            brings_classes = codec.brings_classes(view_of(opened.pieces[0]))
        else:
            self._functions[function_id] = pickled = bytes(payload[at:])
            brings_classes = codec.brings_classes(pickled)
        if brings_classes:
            self._load_early(function_id)

    def _load_early(self, function_id: int) -> None:
        """Load a function before its tasks, whose items are of classes that come with it."""
        with contextlib.suppress(Exception):  # said to the first task that needs it
            self._function(function_id)

    def _forget_functions(self, payload: memoryview) -> tuple[int, int]:
        self._clock.to(UNPICKLE)
        function_id, gone, at = codec.unpack_function_head(payload)
        for old in gone:
            self._functions.pop(old, None)
        return function_id, at

    def _run_chunk(self, payload: memoryview, *, is_big: bool = False) -> None:
        self._clock.to(UNPICKLE)
        chunk_id = codec.chunk_id(payload)
        try:
            arrived = self._open(payload, codec.CHUNK_AT, is_big=is_big)
            function_id, prompt_ns, mode, items = codec.load_chunk(arrived)
        except BaseException as error:
            self._send_unread(chunk_id, error, is_function=False)
            return
        try:
            function = self._function(function_id)
        except BaseException as error:
            self._send_unread(chunk_id, error, is_function=True)
            return
        del payload, arrived
        self._running_calls = mode & ~codec.PACKED == codec.CALLS
        items = list(items)
        run = ChunkRun(
            chunk_id,
            function,
            mode,
            items,
            prompt_ns,
            self._answer,
            self._clock,
            one_by_one=self._one_by_one,
        )
        self._running = run
        if len(items) > 1:
            self._watch.guard(run)
        del items
        run.run()
        self._watch.release()
        self._running = None

    def _function(self, function_id: int) -> Callable[..., Any]:
        function = self._functions[function_id]
        if isinstance(function, bytes):
            function = codec.loads(function)
        elif isinstance(function, DecodedPayload):
            from poolwise.worker.fresh import load_function

            function = load_function(function)
        self._functions[function_id] = function
        return function

    # -- answering

    def _take_back(self, payload: memoryview) -> None:
        with self._writing:
            self._link.take_back(payload)

    def _send(self, kind: int, *parts: bytes | memoryview) -> None:
        with self._writing:
            self._writer.write(kind, parts)

    def _send_memory(self) -> None:
        if self._memory is not None:
            self._send(codec.MEMORY, pickling.dumps(self._memory.read()))

    def _send_unread(self, chunk_id: int, error: BaseException, *, is_function: bool) -> None:
        _flush_streams()
        self._send(
            codec.DECODE_FAILED, pickling.dumps((chunk_id, is_function, failures.encode(error)))
        )

    def _answer(  # noqa: PLR0913 - one message, unpacked
        self,
        chunk_id: int,
        first: int,
        values: list[Any],
        errors: dict[int, codec.Failure],
        run_ns: int,
        returned: int,
        times: codec.Times | None,
        *,
        last: bool,
    ) -> None:
        head = codec.AnswerHead._make((chunk_id, first, len(values), run_ns, returned, last, False))
        head, packed = self._pack_answer(head, values, errors, times)
        is_main = threading.get_ident() == self._main_ident
        if is_main:
            _flush_streams()
        if self._relay is not None and is_main and last:
            self._relay.end_of_chunk()
        if self._memory is not None and is_main and last:
            self._send_memory()
        with self._writing:
            reading = self._clock.read() if is_main else self._clock.read_beside()
            self._link.send(codec.ANSWER, head.pack() + reading.pack(), packed)
        if is_main and not last:
            self._clock.to(PICKLE)

    def _pack_answer(
        self,
        head: codec.AnswerHead,
        values: list[Any],
        errors: dict[int, codec.Failure],
        times: codec.Times | None,
    ) -> tuple[codec.AnswerHead, Packed]:
        if len(values) > 1 and self._running_calls and not codec.is_atomic(values):
            packed = codec.pack_itemwise(values, errors, times, failures.refused)
            return head._replace(is_itemwise=True), packed
        try:
            packed = codec.pack_answer(values, errors, times)
        except BaseException:
            if threading.get_ident() != self._main_ident:
                raise  # the task may be changing what it returned before; ask when it is done
            packed = codec.pack_itemwise(values, errors, times, failures.refused)
            return head._replace(is_itemwise=True), packed
        # A small answer is kept until the next two, in case the parent cannot read it.
        if len(values) > 1 and len(packed) <= 1 << 20:
            self._kept.append((head.chunk_id, head.first, values))
        return head, packed

    def _answer_again(self, payload: memoryview) -> None:
        chunk_id, first = codec.loads(payload)
        for kept_id, kept_first, values in self._kept:
            if (kept_id, kept_first) == (chunk_id, first):
                blobs = [[pickling.dumps(value), []] for value in values]
                self._send(codec.ITEMWISE, pickling.dumps((chunk_id, first, blobs)))
                return
        self._send(codec.ITEMWISE, pickling.dumps((chunk_id, first, None)))


def _flush_streams() -> None:
    """Write what the standard streams keep back, of a task's and of those that were there before.

    They keep some KiB back where they are no terminals, and SIGTERM, as at the end of
    ``with Pool()``, ends a worker before they are written. Takes 0.25 us where there is nothing.
    """
    out, err = sys.stdout, sys.stderr
    _flush(out)
    _flush(err)
    if sys.__stdout__ is not out:
        _flush(sys.__stdout__)
    if sys.__stderr__ is not err:
        _flush(sys.__stderr__)


def _flush(stream: Any) -> None:
    try:
        if stream is not None:
            stream.flush()
    except BaseException:  # noqa: S110 - closed, the disk full, or whatever a task has put there
        pass


def _log_failed_start(error: BaseException) -> None:
    """As workers of the standard executor do, if the program has set up logging."""
    import logging

    log = logging.getLogger("concurrent.futures")
    if log.hasHandlers():
        log.critical("Exception in initializer:", exc_info=error)
