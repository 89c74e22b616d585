"""A back end without lanes: it answers when it is asked to, in the thread that drives."""

from __future__ import annotations

import threading
from collections import deque

from poolwise.core import contract as c
from poolwise.core.engine import Engine
from poolwise.core.state import State
from poolwise.errors import Death


class FakeBackend(c.Backend):
    """Answers each chunk with its items, one answer for each look; and notes what it was told.

    :param on_send: called with each chunk instead of answering it.
    """

    def __init__(self, on_send=None):
        self.told = []
        self.closed = threading.Event()
        self.events = deque()
        self._bell = threading.Event()
        self._on_send = on_send or self.answer
        self._lane_of = {}

    # -- the five verbs

    def open(self, _clock):
        return self

    def start_lane(self, lane):
        self.told.append(("start", lane))
        self.put(c.LaneReady(lane))

    def send(self, lane, chunk):
        if chunk is not None:
            self._lane_of[chunk.id] = lane
            self._on_send(chunk)

    def stop_lane(self, lane, *, kill):
        self.told.append(("kill" if kill else "stop", lane))
        self.put(c.LaneDied(lane, Death(1, 0)))

    def close(self):
        self.closed.set()

    # -- its answers

    def answer(self, chunk):
        """All of it is done."""
        values = [
            call.call[0](*call.call[1]) if chunk.job.has_calls else call for call in chunk.items
        ]
        self.put(
            c.ChunkDone(self._lane_of[chunk.id], chunk.id, c.Outcome(0, values, {}, run_ns=1000))
        )

    def lane_of(self, chunk):
        """The lane that the chunk was sent to."""
        return self._lane_of[chunk.id]

    def put(self, event):
        """Something has happened; may be called from any thread."""
        self.events.append(event)
        self._bell.set()

    # -- the inbox

    def wait(self, timeout_s):
        if not self.events and timeout_s != 0:
            self._bell.wait(timeout_s)
        self._bell.clear()
        found = []
        while self.events:
            found.append(self.events.popleft())
        return found

    def wake(self):
        self._bell.set()


def open_fake(lanes=2, on_send=None, observers=()):
    """An engine, and its fake back end."""
    backend = FakeBackend(on_send)
    return Engine(backend, State(lanes), observers=observers), backend
