"""A part of a call that a pool works on: values in order, and whether it goes as predicted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from poolwise import errors
from poolwise.choose import pools
from poolwise.choose.account import Account
from poolwise.choose.ended import Ended
from poolwise.choose.limits import LIMITS
from poolwise.choose.model import Growth
from poolwise.system import budget
from poolwise.wire.codec import Snapshot

if TYPE_CHECKING:
    from poolwise.choose.model import Kind, Machine, Measured, Prediction
    from poolwise.choose.run import Run


class Stretch:
    """Items from here on go to a pool; :meth:`next` gives the values of them.

    :param run: the call, whose items are read from now on by the pool.
    :param way: what was chosen.
    """

    def __init__(self, run: Run, way: Prediction, measured: Measured, machine: Machine) -> None:
        self.kind: Kind = way.kind
        self.workers = way.workers
        self._run = run
        self._began_s = self._reviewed_s = time.perf_counter()
        self._values_at = 0
        self._window_s = self._began_s
        self._refused = 0
        self._growth: Growth | None = None
        self.workers_held: pools.Workers | None = None
        self._open(measured, machine)

    # -- begin and end

    def _open(self, measured: Measured, machine: Machine) -> None:
        run = self._run
        self._is_own = False
        if run.options.pool is not None:
            self._pool = run.options.pool
        elif self.kind == "threads":
            self._open_threads(measured, machine)
        else:
            known = run.large_outside()
            capped = run.options.native_threads
            self.workers_held = pools.get(self.workers, known, caps_native=capped)
            self._pool = self.workers_held.pool
        is_ours = run.options.pool is None
        self._account = Account(self._pool, self.kind) if is_ours else None
        self._stream = self._start_stream()

    def _open_threads(self, measured: Measured, machine: Machine) -> None:
        size = self.workers
        if run_grows(measured, self._run.options.workers):
            size = min(self.workers, self._run.first_threads(machine.cpus))
            self._growth = Growth(size, self.workers)
            self._growth.begin(0, self._began_s)
            self.workers = size
        self._pool = pools.thread_pool(size, max(1, budget.share() // size))
        self._is_own = True

    def _start_stream(self) -> Any:
        run = self._run
        call, has_many = run.call.for_pool(in_processes=self.kind == "processes")
        pool: Any = self._pool
        ways = {
            (False, True): pool.imap, (True, True): pool.istarmap,
            (False, False): pool.imap_unordered, (True, False): pool.istarmap_unordered,
        }  # fmt: skip
        start = ways[has_many, run.is_ordered]
        options = run.options
        return start(call, run.intake.hand_out(), run.chunksize_of(self.kind), **options.call_rules)

    def close(self, *, kill: bool = False) -> None:
        """Begin nothing more: values are read no further.

        :param kill: what runs is ended as well, where it can be.
        """
        self._run.intake.stop()
        self._stream.close()
        self._run.plan.runs += self._values_at
        if self._is_own:
            self._pool.terminate()
        held, self.workers_held = self.workers_held, None
        if held is not None:
            held.release()
            if kill:
                pools.discard(held)

    # -- values

    def next(self) -> Any:
        """The next value.

        :raises Ended: all that was handed out is through.
        """
        stream, under_way = self._stream, self._run.intake.under_way
        read = stream._stream  # noqa: SLF001 - tells values that raise from a wait that does
        before = read.count_read
        try:
            value = stream.next()
        except BaseException as error:
            if read.count_read == before:
                if isinstance(error, StopIteration):
                    raise Ended from None
                raise
            if not under_way:
                raise  # an error of the input
            item, read.item_raised = read.item_raised, None
            return self._settle(under_way.popleft(), error, item)
        under_way.popleft()
        self._values_at += 1
        return value

    def _settle(self, oldest: Any, error: BaseException, refused: Any) -> Any:
        """Stand-in for an item that gave no value.

        :param oldest: the item under way that was handed out first: this one, where order is kept.
        :param refused: as the pool had it, if it could not be sent.
        """
        self._values_at += 1
        if isinstance(
            error, (errors.PoolTerminated, errors.PoolInterrupted, errors.InitializerFailed)
        ):
            raise error
        if self.kind == "processes" and errors.never_ran(error):
            self._refused += 1
            self._run.note_refused(error, is_rule=self._refused > LIMITS.few_refused)
            return self._run.run_here(oldest if self._run.is_ordered else _as_given(refused))
        return self._run.failed(error)

    # -- how it goes

    def review(self) -> Measured | None:
        """Look how it goes; what items cost now, each time that enough of them are through."""
        now_s = time.perf_counter()
        if now_s - self._reviewed_s < LIMITS.review_s:
            return None
        self._reviewed_s = now_s
        self._grow(now_s)
        if self._account is None or now_s - self._window_s < LIMITS.window_s:
            return None
        self._window_s = now_s
        return self._account.items(2 * self.workers, self._run.meter.gil)

    def _grow(self, now_s: float) -> None:
        growth = self._growth
        size = None if growth is None else growth.observe(self._values_at, now_s)
        if size is not None:
            self.workers = size
            self._pool.grow(size)
            self._run.plan.workers = size


def run_grows(measured: Measured, workers: int | None) -> bool:
    """Items wait, and nobody has said how many threads that makes."""
    return measured.is_mixed and workers is None


def _as_given(item: Any) -> Any:
    """An item as it was handed in, though the pool may have pickled it since."""
    return item.load() if isinstance(item, Snapshot) else item
