"""Work outside the leader lock: results are published, callbacks run, idle engines watched.

One background thread does all of it, as in the standard pools: a caller may hold a lock that a
callback wants. It also leads (``leader.py``) while no caller does.
"""

from __future__ import annotations

import threading
import weakref
from _thread import get_ident
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from poolwise.core.bell import Bell

if TYPE_CHECKING:
    from poolwise.core.engine import Engine
    from poolwise.core.job import Callback

_GRACE_S = 0.002
"""Fresh work is left to the caller for this long: most callers wait for it at once, and then a
second thread would only be in their way. No benchmark found the figure; 1 to 5 ms are alike in
``benchmarks/submit_result``."""

_IDLE_LOOKS = 5
"""The thread stays awake for this many looks (of ``_GRACE_S``) at nothing to do."""


class Publisher:
    """Queue of results for waiting threads and of the program's callbacks, which run one by one.

    A callback that waits for a result gets it as soon as the value is here, before that result's
    own callback has run.
    """

    def __init__(self) -> None:
        self.results: deque[Callable[[], Callback | None]] = deque()
        self.callbacks: deque[Callback] = deque()
        self._running_in: int | None = None

    @property
    def is_in_callback(self) -> bool:
        """The calling thread runs a callback."""
        return self._running_in == get_ident()

    def publish(self) -> None:
        """Wake the threads that wait for results in other ways than by leading."""
        results = self.results
        while results:
            callback = results.popleft()()
            if callback is not None:
                self.callbacks.append(callback)

    def run(self, after_each: Callable[[], object]) -> None:
        """Publish results and run callbacks.

        Never re-entered: what a callback brings about, such as the end of the pool, is published
        when it has returned.

        :param after_each: a result is ready only after its callback: who waits must look again.
        """
        if self._running_in is not None:
            return
        self.publish()
        while self.callbacks:
            self._call(self.callbacks.popleft())
            after_each()
            self.publish()

    def _call(self, callback: Callback) -> None:
        self._running_in = get_ident()
        try:
            callback()
        except (Exception, SystemExit):  # nor may it end the thread that has others to run
            import logging  # here, since few programs need it: a fifth of importing us

            logging.getLogger("poolwise").exception("a callback of a pool raised an exception")
        finally:
            self._running_in = None


class BackgroundThread:
    """Leads while no caller does, and publishes; started when it is first needed.

    It sleeps until :meth:`arm`; then it looks for a while, and leaves fresh work to callers at
    first unless it is wanted at once.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = weakref.ref(engine)  # only the thread itself keeps it alive
        self.bell = Bell()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_awake = False
        self._is_wanted = False
        self._is_leading = False
        self.is_stopping = False

    def ring(self) -> None:
        """Look whether there is something to do, if the thread runs. Safe in a finalizer."""
        self.bell.ring()

    @property
    def ident(self) -> int | None:
        """Identifier of the thread, while there is one."""
        thread = self._thread
        return None if thread is None else thread.ident

    def arm(self, *, at_once: bool = False) -> None:
        """Be ready to lead: in a little while, or at once."""
        if self._is_awake and not at_once:
            return
        self._is_wanted = self._is_wanted or at_once
        if self._is_leading:
            return  # it publishes after each step
        engine = self._engine()
        if self._thread is None and not self.is_stopping and engine is not None:
            self._start(engine)
        self.bell.ring()

    def _start(self, engine: Engine) -> None:
        with engine.signals, self._starting:
            if self._thread is not None:
                return  # another thread was faster
            thread = threading.Thread(
                target=self._run, args=(engine,), name="poolwise-helper", daemon=True
            )
            self._thread = thread  # before it runs: it may ask whether it is this one
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
            with engine.signals, self._starting:  # whoever starts it has done so
                pass
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(patience_s)
            self._thread = None

    def _run(self, engine: Engine) -> None:
        idle = 0
        self._is_awake = True
        while not self.is_stopping:
            if idle >= _IDLE_LOOKS:
                self._is_awake = False  # from here on arm() rings
                if not engine.is_busy:
                    self.bell.wait()
                    idle = 0
                self._is_awake = True
            self.bell.clear()
            if not self._is_wanted:
                self.bell.wait(_GRACE_S)
            self._is_wanted = False
            engine.publish()
            idle = 0 if self._lead_on(engine) else idle + 1
            if engine.is_abandoned:  # asked after the bell was cleared: it rings at that
                engine.finish()
                if engine.close_if_over():
                    break
        engine.publish()

    def _lead_on(self, engine: Engine) -> bool:
        """Lead until nothing is left to do or a caller wants to; True when a step was made."""
        did_anything = False
        while engine.is_busy and not self.is_stopping and self._step(engine):
            did_anything = True
            engine.publish()
            if engine.is_abandoned:  # asked here too: an endless input keeps it busy for ever
                engine.finish()
        return did_anything

    def _step(self, engine: Engine) -> bool:
        self._is_leading = True
        try:
            return engine.step_in_background()
        finally:
            self._is_leading = False
