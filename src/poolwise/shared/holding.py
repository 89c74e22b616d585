"""One segment of shared memory as one process holds it, and when it may let go.

A handle names memory by who holds it, so the holder must not let go before the handle is opened.
Often it would: in ``pool.apply_async(f, (poolwise.share(a),))`` nobody keeps the array once it is
pickled, nor does a worker keep a shared array that it returned. Therefore every handle carries a
ticket, and who opens it signs for it in the memory itself. A holder that is dropped while tickets
are out lingers until all are signed for. This needs no message of any pool, so it works in all;
ours keep every task until it is answered for, so what they send needs no ticket.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
import time
import weakref
from collections import deque
from multiprocessing import util
from typing import TYPE_CHECKING, Any, Literal

from poolwise.errors import OutOfSharedMemory, SharedMemoryGone
from poolwise.memory.segment import Segment
from poolwise.wire import delivery

if TYPE_CHECKING:
    from poolwise.memory.segment_posix import Mapping, Mode

LINGER_S = 120.0
"""A handle nobody opens (its worker was killed, its task cancelled) holds memory no longer than
this after its owner was dropped. Our pools keep what they send until it is answered for; in the
pipe of others, some hundred tasks may wait that nobody keeps. Found by no benchmark."""

LEAVE_S = 10.0
"""A worker of some other pool that ends waits so long for what it returned to be opened: long,
since ``multiprocessing.Pool`` hangs when a result cannot be. Found by no benchmark."""

_PAUSES_S = (0.005, 0.25)
"""Period in which a lingering holder looks whether it may let go: first, and at last."""

ModeName = Literal["read-only", "copy-on-write", "read-write"]

MODES: dict[str, Mode] = {"read-only": "r", "copy-on-write": "c", "read-write": "rw"}

Handle = tuple[Any, ...]
"""The address of a segment, and a ticket if its sender may drop what it sent; pickles small."""

_held: weakref.WeakValueDictionary[object, Held] = weakref.WeakValueDictionary()
"""Segments that this process holds, by identity: however many handles come, one descriptor."""


class Tickets:
    """Numbers for handles of one segment, and whether they were all signed for.

    A process issues consecutive numbers from a random start, so that the marks of different
    processes, or of a parent and its forked child, are not taken for one another.
    """

    __slots__ = ("_end", "_first", "_pid")

    def __init__(self) -> None:
        self._pid = 0

    def issue(self) -> int:
        """The next number."""
        with _issuing:
            if self._pid != os.getpid():
                self._first = self._end = int.from_bytes(os.urandom(7), "little")
                self._pid = os.getpid()
                _leave_late()
            self._end += 1
            return self._end - 1

    def are_out(self, segment: Segment) -> bool:
        """Some handle was made by this process that nobody has opened yet."""
        if self._pid != os.getpid():
            return False
        marks = segment.marks()
        signed = set(memoryview(marks)[: len(marks) & ~7].cast("Q"))
        return not signed.issuperset(range(self._first, self._end))


class Held:
    """A segment as this process holds it: open, to be mapped and handed on.

    Alive as long as a mapping of it or an object that stands for it. Closed with the last, unless
    handles are on their way: see :class:`Tickets`.
    """

    __slots__ = ("__weakref__", "_mapped", "_tickets", "segment")

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self._tickets = Tickets()
        self._mapped: weakref.WeakValueDictionary[Mode, Mapping] = weakref.WeakValueDictionary()
        # No __del__: in a cycle of garbage the segment's own may come first, and close it.
        weakref.finalize(self, _let_go, segment, self._tickets).atexit = False
        _held[segment.address()[0]] = self

    @classmethod
    def create(cls, size_bytes: int) -> Held:
        """New memory of zeros, none of it reserved; one byte at least, for less cannot be mapped.

        :raises OutOfSharedMemory: the system refuses.
        """
        return cls(Segment.create(max(1, size_bytes), findable=True))

    def map(self, mode: Mode) -> Mapping:
        """All of it in this process; one mapping serves everybody, except for copies on write.

        :raises OutOfSharedMemory: no address space or no descriptors are left.
        :raises SharedMemoryGone: it was closed.
        """
        mapping = self._mapped.get(mode)
        if mapping is None:
            mapping = self.segment.map(mode)
            mapping.segment = self
            if mode != "c":
                self._mapped[mode] = mapping
        return mapping

    def handle(self) -> Handle:
        """Token with which another process opens it: once, with :func:`receive`.

        :raises SharedMemoryGone: it was closed.
        """
        is_kept = delivery.of_thread.is_guaranteed
        return *self.segment.address(), None if is_kept else self._tickets.issue()

    @property
    def has_tickets_out(self) -> bool:
        """Some handle is on its way."""
        return not self.segment.is_closed and self._tickets.are_out(self.segment)


def receive(handle: Handle) -> Held:
    """Open what a handle names, and sign for it.

    :raises SharedMemoryGone: who made the handle has ended, or has closed the memory.
    :raises OutOfSharedMemory: this process has no descriptors left.
    """
    *address, ticket = handle
    held = _held.get(address[0])
    if held is None or held.segment.is_closed:
        held = Held(Segment.open(tuple(address)))
    if ticket is not None:
        held.segment.sign(ticket.to_bytes(8, sys.byteorder))
    return held


def is_let_go(handle: Handle) -> bool:
    """True if the maker of a handle has ended, or has closed the memory."""
    *address, _ = handle
    try:
        Segment.open(tuple(address)).close()
    except SharedMemoryGone:
        return True
    except OutOfSharedMemory:  # no descriptors are left, which tells nothing
        return False
    return False


# -- tickets and lingering

_issuing = threading.Lock()

_lingering: deque[tuple[float, Segment, Tickets]] = deque()
_is_watched = threading.Lock()
_leaves_late_in: set[int] = set()


def _let_go(segment: Segment, tickets: Tickets) -> None:
    """Close the segment, now or when its tickets are signed for.

    Called where objects die, which is anywhere, inside of any lock: so it takes none.
    """
    if segment.is_closed or not tickets.are_out(segment):
        segment.close()
    else:
        _lingering.append((time.monotonic() + LINGER_S, segment, tickets))
        _watch()


def _watch() -> None:
    if _is_watched.acquire(blocking=False):
        try:
            _thread.start_new_thread(_wait_for_signatures, ())
        except RuntimeError:  # the interpreter is ending
            _is_watched.release()


def _wait_for_signatures() -> None:
    pause_s, longest_s = _PAUSES_S
    while _lingering:
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, longest_s)
        _release_signed()
    _is_watched.release()
    if _lingering:  # one came in that very moment
        _watch()


def _release_signed() -> None:
    for _ in range(len(_lingering)):
        until_s, segment, tickets = _lingering.popleft()
        if time.monotonic() < until_s and tickets.are_out(segment):
            _lingering.append((until_s, segment, tickets))
        else:
            segment.close()


def _leave_late() -> None:
    """Let a worker that ends wait for its last results to be opened; its end lets go of them."""
    from multiprocessing.process import parent_process

    if parent_process() is not None and os.getpid() not in _leaves_late_in:
        _leaves_late_in.add(os.getpid())
        util.Finalize(None, _wait_before_leaving, exitpriority=100)


def _wait_before_leaving() -> None:
    until_s, pause_s = time.monotonic() + LEAVE_S, _PAUSES_S[0]
    while _has_tickets_out() and time.monotonic() < until_s:
        time.sleep(pause_s)
        _release_signed()


def _has_tickets_out() -> bool:
    if delivery.has_delivered_all:
        return False
    return bool(_lingering) or any(held.has_tickets_out for held in list(_held.values()))


def _forget_lingering() -> None:
    """In a forked child: what lingers is its parent's business."""
    global _is_watched, _issuing  # held, maybe, by a thread that is not here
    _is_watched, _issuing = threading.Lock(), threading.Lock()
    _lingering.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lingering)
