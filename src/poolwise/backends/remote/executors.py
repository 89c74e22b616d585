"""Lanes on a standard executor: one that the program hands in, or one of our own for each lane."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from poolwise import errors
from poolwise.backends.remote.base import Flight, Lane, Remote
from poolwise.backends.remote.messages import engine_failed
from poolwise.backends.remote.polled import Poller
from poolwise.backends.remote.seat import Future, Seat
from poolwise.core.contract import Promises
from poolwise.worker import remote

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess
    from threading import Thread

    from poolwise.core.job import Chunk

_WITH_MAIN = ("concurrent.futures.", "loky.", "joblib.externals.loky.")
"""Executors whose workers have the program's main module, by where their classes are from."""


class _SharedSeat(Seat):
    """A seat on an executor that may run a call in any of its workers."""

    is_own = False

    def __init__(self, executor: Executor, poller: Poller) -> None:
        self._submit = executor.submit
        self._poller = poller

    def submit(self, function: Callable[..., Any], *args: Any) -> Future:
        future = self._submit(function, *args)
        if hasattr(future, "add_done_callback"):
            return future
        return self._poller.follow(future)


class OnExecutor(Remote):
    """The back end on an executor of the program's, which is never shut down from here."""

    promises = Promises(
        has_initializers=False,
        has_time_limits=False,
        replaces_workers=False,
        answers_early=False,
        outlives_workers=False,
        tells_exit_codes=False,
        relays_output=False,
        limits_workers=False,
    )

    def __init__(self, executor: Executor) -> None:
        kind = type(executor)
        where = f"{kind.__module__}.{kind.__qualname__}"
        super().__init__(imports_main=where.startswith(_WITH_MAIN))
        self.name = kind.__qualname__
        self._executor = executor
        self._poller = Poller()
        self.most_lanes = self.usual_lanes = _count_workers(executor)

    def _make_seat(self, lane: int) -> Seat:
        return _SharedSeat(self._executor, self._poller)

    def _cancel(self, flight: Flight) -> bool:
        """Take a call back where that is safe: some executors lose a worker by it (executorlib)."""
        return self._imports_main and super()._cancel(flight)

    def _find_failure(self, error: BaseException) -> errors.PoolwiseError | None:
        if isinstance(error, errors.EngineFailed):
            return errors.again(error)
        if isinstance(error, BrokenExecutor):
            return engine_failed(
                f"the {self.name} that this pool runs on is broken ({error}): a worker of it died, "
                "and it cannot replace one. What it ran is lost; make a new one, and a new pool",
                error,
            )
        if isinstance(error, (CancelledError, RuntimeError)):
            return engine_failed(
                f"the {self.name} that this pool runs on was shut down ({error!r}) before the "
                "pool's work was done. End the pool first, or make a new executor and a new pool",
                error,
            )
        return None


def _count_workers(executor: Executor) -> int | None:
    """Number of calls that an executor runs at once, where it says so."""
    for name in ("_max_workers", "max_workers", "num_workers"):
        number = getattr(executor, name, None)
        if isinstance(number, int) and number > 0:
            return number
    try:
        return len(executor)  # type: ignore[arg-type] # as ipyparallel's views have one
    except TypeError:
        return None


class OnThreads(OnExecutor):
    """An executor on threads of this process, which are given the objects themselves."""

    shares_memory = True

    def _send(self, lane: Lane, chunk: Chunk) -> None:
        job = chunk.job
        items = [task.call for task in chunk.items] if job.has_calls else list(chunk.items)
        flight = Flight(lane, self._answered, chunk)
        try:
            most_ns = max(job.prompt_ns, self.slice_ns)
            self._fly(flight, remote.run_here, job.mode, job.function.call, items, most_ns)
        except Exception as error:
            self._fail_flight(flight, error)


def on_executor(executor: Executor) -> OnExecutor:
    """The back end on this executor."""
    is_threads = isinstance(executor, ThreadPoolExecutor)
    if is_threads and type(executor).__name__ != "InterpreterPoolExecutor":  # which is one, too
        return OnThreads(executor)
    return OnExecutor(executor)


# -- our own


class _OwnSeat(Seat):
    """A standard executor of one process, for one lane."""

    def __init__(self, context: BaseContext) -> None:
        from concurrent.futures import ProcessPoolExecutor

        self._executor = ProcessPoolExecutor(1, mp_context=context)
        self._process: BaseProcess | None = None
        self._manager: Thread | None = None

    def submit(self, function: Callable[..., Any], *args: Any) -> Future:
        future = self._executor.submit(function, *args)
        processes = getattr(self._executor, "_processes", None)
        if self._process is None and processes:
            (self._process,) = processes.values()
            self._manager = getattr(self._executor, "_executor_manager_thread", None)
        return future

    @property
    def process(self) -> BaseProcess | None:
        """The lane's process, once there is one."""
        return self._process

    def find_death(self, error: BaseException) -> errors.Death | None:
        if not isinstance(error, BrokenExecutor):
            return None
        process = self._process
        if process is None:
            return errors.Death(None, None)
        if self._manager is not None:  # which waits for the process: only one thread can
            self._manager.join()
        return errors.Death(process.pid, process.exitcode)

    def leave(self, *, kill: bool) -> None:
        if kill and self._process is not None:
            self._process.kill()
        self._executor.shutdown(wait=False, cancel_futures=True)


class OwnExecutors(Remote):
    """The back end for systems on which our own processes have never run, such as Windows.

    Each lane is a :class:`concurrent.futures.ProcessPoolExecutor` of one process: so a worker that
    dies, or must be stopped, costs what it ran and nothing else.

    :param context: starts the processes (None: afresh, since a program with threads cannot fork).
    """

    name = "executor"
    promises = Promises(answers_early=False, relays_output=False, limits_workers=False)

    def __init__(self, context: BaseContext | None = None) -> None:
        super().__init__(imports_main=True)
        if context is None:
            import multiprocessing

            context = multiprocessing.get_context("spawn")
        self.context = context
        self._seats: list[_OwnSeat] = []

    @property
    def processes(self) -> list[BaseProcess]:
        """The processes of the lanes that live."""
        seats = [lane.seat for lane in list(self._lanes.values())]
        return [seat.process for seat in seats if isinstance(seat, _OwnSeat) and seat.process]

    def _make_seat(self, lane: int) -> Seat:
        seat = _OwnSeat(self.context)
        self._seats = [one for one in self._seats if one.process is None or one.process.is_alive()]
        self._seats.append(seat)
        return seat

    def _give_up_engine(self) -> None:
        for seat in self._seats:
            if seat.process is not None:
                seat.process.join()
        self._seats.clear()
