"""A thread beside the caller's: it looks on while an item runs, and can act before that ends.

Long items would otherwise keep the caller from deciding anything until the first of them is done.
The threads are kept for calls that follow soon: to start one costs more than many a call.
"""

from __future__ import annotations

import _thread
import os
import threading
import time
from typing import TYPE_CHECKING

from poolwise.choose.limits import LIMITS
from poolwise.system import gil

if TYPE_CHECKING:
    from poolwise.choose.run import Run

_free: list[Onlooker] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free.clear)  # the child has none of these threads


def arm(run: Run) -> None:
    """Have somebody look on while this call is run in its caller's thread."""
    try:
        onlooker = _free.pop()
    except IndexError:
        onlooker = Onlooker()
    onlooker.look_at(run)


class Onlooker:
    """One thread, and the call it looks at."""

    def __init__(self) -> None:
        self._bell = _thread.allocate_lock()
        self._bell.acquire()
        self._run: Run | None = None
        # Named as the engine's helper is, which nobody need be warned of when a worker is forked.
        threading.Thread(target=self._serve, name="poolwise-helper", daemon=True).start()

    def look_at(self, run: Run) -> None:
        """Begin with this call."""
        self._run = run
        self._bell.release()

    def _serve(self) -> None:
        while self._bell.acquire(timeout=1.0) or not self._has_left():
            run = self._run
            try:
                if run is not None:
                    self._look(run)
            except OSError:
                pass  # the thread that ran items has ended
            self._run = run = None
            _free.append(self)

    def _has_left(self) -> bool:
        """No call has come for a while, and none will: it is not among the free ones any more."""
        try:
            _free.remove(self)
        except ValueError:  # a race: a call has just taken it, and is about to ring
            self._bell.acquire()
            return False
        return True

    def _look(self, run: Run) -> None:
        before = time.perf_counter_ns(), run.cpu_ns()
        time.sleep(LIMITS.grace_s)
        if run.is_serial and _is_waiting(before, (time.perf_counter_ns(), run.cpu_ns())):
            run.disturbances += 1
            import poolwise.choose.stretch
            import poolwise.pool  # noqa: F401 - the caller waits, and will need it

            run.disturbances += 1
        is_asked = True
        while run.is_serial:
            if not run.is_gil_known and (run.is_hopeful or run.is_in_first_item):
                self._knock(run)
                run.is_gil_known = True
            elif run.is_in_first_item and is_asked:
                is_asked = not run.act_beside()
            else:
                run.cut_long_block()
            time.sleep(LIMITS.look_beside_s if is_asked else LIMITS.longest_block_s)

    def _knock(self, run: Run) -> None:
        run.disturbances += 1
        try:
            run.meter.is_quiet = True
            run.meter.gil = gil.look(
                lambda: run.is_in_caller or not run.is_lazy,
                lambda: not run.is_serial,
                run.cpu_ns,
                run.queued_ns,
            )
        except OSError:
            pass  # the thread that ran items has ended: a lazy call is read in another one now
        finally:
            run.meter.is_quiet = False
            run.disturbances += 1


def _is_waiting(before: tuple[int, int], now: tuple[int, int]) -> bool:
    """A thread that used little CPU between two readings of wall and CPU time."""
    return now[1] - before[1] < (1 - LIMITS.waiting_share) * (now[0] - before[0])
