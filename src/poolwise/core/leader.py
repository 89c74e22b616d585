"""Leader/follower pattern: of the threads that wait for a pool, one leads and the others follow.

The leader steps the engine until it has what it waits for, so a task alone costs no switch between
threads. Followers sleep; one of them is promoted when the leader leaves. While no caller waits, a
background thread leads (``background.py``).

The leader lock guards the state, the back end, its inbox and the observers. What other threads
touch without it are deques, whose methods are atomic, and flags that are only looked at.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from poolwise.core.bell import Bell

if TYPE_CHECKING:
    from poolwise.core.signals import DeferredSignals

PATIENCE_S = 1.0
"""After so long without news it is asked whether a task is stuck; and nothing waits longer for the
leader lock in order to start a worker, or for a callback as the interpreter ends. And a signal is
seen that came just before the main thread began to wait: Python does not end the wait for it."""

_LOOK_S = 0.05
"""Period in which a thread that waits for the leader lock looks for signals."""


class Leader:
    """Lock of the thread that steps an engine, and the threads that wait behind it.

    ``is_asleep`` says that the leader waits for events, or is about to. ``waiting_callers`` counts
    the threads that wait for results and lead themselves.

    :param wake: ends the leader's wait for events; may be called from any thread.
    :param signals: are deferred while the lock is held.
    """

    def __init__(self, wake: Callable[[], None], signals: DeferredSignals) -> None:
        self.is_asleep = False
        self.waiting_callers = 0
        self._end_wait = wake
        self._signals = signals
        self._lock = threading.Lock()
        self._exclusive_requests = 0
        self._followers: deque[_Follower] = deque()

    def wake(self) -> None:
        """End the leader's wait for events, if it waits."""
        if self.is_asleep:
            self._end_wait()

    def lead_or_follow(
        self,
        step: Callable[[float | None, Callable[[], bool]], object],
        is_done: Callable[[], bool],
        until: float | None,
    ) -> None:
        """Wait for ``is_done()``, and return early when it must be decided again who leads.

        :param step: waits for events at most for so many seconds, and takes them.
        :param until: the time (``time.monotonic``) after which not to wait.
        """
        with self._signals:
            is_leading = not self._exclusive_requests and self._lock.acquire(blocking=False)
            if is_leading:
                self._lead(step, is_done, until)
        if not is_leading:
            self._follow(is_done, until)

    def _lead(
        self,
        step: Callable[[float | None, Callable[[], bool]], object],
        is_done: Callable[[], bool],
        until: float | None,
    ) -> None:
        signals = self._signals
        try:
            while not (is_done() or signals.is_pending or self._exclusive_requests):
                left_s = None if until is None else max(0.0, until - time.monotonic())
                step(left_s, is_done)
                if left_s == 0:
                    break
        finally:
            self._lock.release()

    def _follow(self, is_done: Callable[[], bool], until: float | None) -> None:
        follower = _Follower(is_done)
        try:
            self._followers.append(follower)
            self.wake()
            # Asked after it stands in the queue: else a race with a leader that leaves.
            if not is_done() and (self._lock.locked() or self._exclusive_requests):
                left_s = PATIENCE_S if until is None else until - time.monotonic()
                follower.wait(min(left_s, PATIENCE_S))
        finally:
            if follower in self._followers:  # unless a signal raised before it was there
                self._followers.remove(follower)

    def step_if_free(self, step: Callable[[float | None], object]) -> bool:
        """One step without waiting for events; False when another thread leads."""
        with self._signals:
            if not self._lock.acquire(blocking=False):
                return False
            try:
                step(0)
            finally:
                self._lock.release()
        self.promote_follower()
        return True

    def step_unless_wanted(self, step: Callable[[float | None], object]) -> bool:
        """One step that may wait for events; False when a caller leads or wants to."""
        is_wanted = self.waiting_callers or self._exclusive_requests
        if is_wanted or not self._lock.acquire(blocking=False):
            return False
        try:
            step(None)
        except Exception:  # noqa: S110 - the engine is broken, and has kept the error for everybody
            pass
        finally:
            self._lock.release()
        self.promote_follower()
        return True

    @contextmanager
    def exclusive(self, patience_s: float | None = None) -> Iterator[bool]:
        """The leader lock for one who must have it, whoever leads now; gives whether it was had.

        :param patience_s: how long to wait for it (None: as long as it takes, or until a signal's
            handler raises): the leader may be pickling something that never ends.
        """
        until = None if patience_s is None else time.monotonic() + patience_s
        while True:
            with self._signals:  # left for a moment when a signal has come: its handler runs then
                self._exclusive_requests += 1
                self._end_wait()
                try:
                    has_lock = self._acquire(until)
                    if has_lock is not None:
                        try:
                            yield has_lock
                        finally:
                            if has_lock:
                                self._lock.release()
                        return
                finally:
                    self._exclusive_requests -= 1
                    for follower in list(self._followers):
                        follower.ring()

    def _acquire(self, until: float | None) -> bool | None:
        """True if the lock was had in time; None when a signal came first."""
        while not self._lock.acquire(timeout=_LOOK_S):
            if until is not None and time.monotonic() > until:
                return False
            if self._signals.is_pending:
                return None
        return True

    def block(self) -> None:
        """Let nobody lead any more, for good."""
        self._exclusive_requests += 1

    def notify(self) -> None:
        """Wake the followers that have what they wait for."""
        for follower in list(self._followers):  # others come and go meanwhile
            if follower.is_done():
                follower.ring()

    def promote_follower(self) -> bool:
        """Let a follower lead, if there is one: who leads no longer calls this."""
        for follower in list(self._followers):
            follower.ring()
            return True
        return False


class _Follower(Bell):
    """A thread that waits while another leads."""

    __slots__ = ("is_done",)

    def __init__(self, is_done: Callable[[], bool]) -> None:
        super().__init__()
        self.is_done = is_done
