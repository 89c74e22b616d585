"""Back ends by name, and an engine on one of them."""

from __future__ import annotations

import os
import sys
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from poolwise.core.batching import ChunkLimits
from poolwise.core.contract import Backend
from poolwise.errors import RemoteTraceback
from poolwise.options import WorkerLimits
from poolwise.record import record
from poolwise.system.cpus import cpu_count

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import BaseContext

    from poolwise.account.book import Book
    from poolwise.account.ledger import Report
    from poolwise.backends.intake import SharedIntake
    from poolwise.core.contract import Observer
    from poolwise.core.engine import Engine
    from poolwise.core.footprints import Footprints
    from poolwise.core.state import State
    from poolwise.options import CommonOptions, Insight, OutputMode, PoolOptions
    from poolwise.telemetry.output import OutputForwarder

VARIABLE = "POOLWISE_BACKEND"
"""The environment variable that names the back end of pools which ask for none."""

_OF_THIS_PROCESS = ("processes", "threads", "serial", "executor")


@record
class Style:
    """Habits of an interface that its users may have come to rely on.

    :param process_name: worker processes are named ``ForkPoolWorker-1`` and so on.
    :param are_daemons: what ``multiprocessing.current_process().daemon`` says in a worker.
    :param as_cause: makes the ``__cause__`` of a task's error of its traceback in the worker.
    """

    process_name: str = "PoolWorker"
    are_daemons: bool = False
    as_cause: Callable[[str], BaseException] = RemoteTraceback


def open_engine(options: PoolOptions, style: Style) -> Engine:
    """An engine on the back end that the options name, or are.

    :raises ValueError: there is no back end, or no start method, of that name.
    :raises TypeError: a value of ``state`` cannot be pickled.
    """
    # Here, since workers load this module and open nothing.
    from poolwise.account.book import Book
    from poolwise.core.engine import Engine
    from poolwise.core.state import State

    _refuse_limits(options.backend, options.limits)
    insight = options.insight
    forwarder, log_levels = _make_forwarder(insight.output)
    backend = _make_backend(options, style, log_levels)
    lanes = min(options.workers, backend.most_lanes or options.workers)
    footprints = _make_footprints(options.limits)
    state = State(
        lanes,
        tasks_per_lane=options.tasks_per_worker,
        starts_at_once=backend.starts_at_once,
        footprints=footprints,
    )
    book = Book(lanes, state=state, level=insight.ledger, backend=backend.name, limits=_read_limits)
    return Engine(
        backend,
        state,
        observers=_make_observers(insight, forwarder, state, book),
        phases=None if insight.ledger == "off" else book.clock,
        report=partial(_make_report, book, state, footprints),
    )


def open_intake(engine: Engine) -> SharedIntake:
    """Intake for the engine's back end: it fixes what calls are given."""
    from poolwise.backends.intake import CopyingIntake, SharedIntake  # workers load this module

    backend = engine.backend
    if backend.shares_memory:
        return SharedIntake()
    return CopyingIntake(engine.signals, is_near=backend.is_near)


def _make_backend(options: PoolOptions, style: Style, log_levels: dict[str, int] | None) -> Backend:
    """The back end that was handed in, or the one of that name."""
    name: Any = options.backend
    if isinstance(name, Backend):
        _prepare(name, options)
        return name
    level = options.insight.ledger
    initializer, initargs = options.initializer, options.initargs
    preload: Any = None
    if options.state:
        from poolwise.shared.preload import Preload

        is_process = name == "processes"
        initializer = preload = Preload(options.state, initializer, is_process=is_process)
    if name == "executor":
        from poolwise.backends.remote.prepare import make_executors

        return make_executors(options, _context)
    if name == "serial":
        from poolwise.backends.threads import Serial

        return Serial(initializer, initargs, level=level)
    if name == "threads":
        from poolwise.backends.threads import Threads

        return Threads(initializer, initargs, level=level)
    if name != "processes":
        message = (
            f"unknown backend {name!r}: choose 'processes', 'threads', 'serial', 'executor', "
            "'loky', 'dask' or 'ray'; an address such as 'dask://host:8786'; or hand in a "
            "concurrent.futures executor, a dask Client, or a poolwise.core.contract.Backend"
        )
        raise ValueError(message)
    context = _context(options.context)
    if preload is not None and context.get_start_method() != "fork":
        preload.pack()
    from poolwise.backends.allotment import Allotment
    from poolwise.backends.processes import Processes

    return Processes(
        context,
        initializer,
        initargs,
        name=style.process_name,
        are_daemons=style.are_daemons,
        level=level,
        log_levels=log_levels,
        as_cause=style.as_cause,
        allotment=Allotment(options.limits, options.workers),
    )


def _refuse_limits(name: Any, limits: WorkerLimits) -> None:
    asked = limits.asked_for()
    if asked and name in ("threads", "serial"):
        message = (
            f"{asked[0]} cannot be had on the back end {name!r}, whose tasks run in this process: "
            "leave it out, or take backend='processes'"
        )
        raise ValueError(message)


def _make_footprints(limits: WorkerLimits) -> Footprints | None:
    if not limits.weighs_workers:
        return None
    from poolwise.core.footprints import Footprints

    return Footprints(limits.max_memory_bytes, limits.recycle_above_bytes)


def find_backend(given: CommonOptions, workers: int | None) -> tuple[CommonOptions, int]:
    """The options with the back end that is meant, and how many workers there are to be.

    :param workers: as asked for (None: as many as the back end has, or CPUs).
    :raises ExtraMissing: the library for it is not installed.
    :raises EngineFailed: nobody answers at that address.
    """
    wanted: Any = given.get("backend") or os.environ.get(VARIABLE, "").strip() or _usual()
    if not isinstance(wanted, Backend) and wanted not in _OF_THIS_PROCESS:
        from poolwise.backends.remote.find import find

        wanted = find(wanted) or wanted
    usual = wanted.usual_lanes if isinstance(wanted, Backend) else None
    if workers is None:
        workers = usual or _count_granted(WorkerLimits.of(given))
    return {**given, "backend": wanted}, workers


def _count_granted(limits: WorkerLimits) -> int:
    """CPUs that workers may run on."""
    cpus = cpu_count()
    return min(cpus, len(limits.affinity)) if isinstance(limits.affinity, frozenset) else cpus


@cache
def _usual() -> str:
    """The back end where none was asked for: our own processes, if they can be had here."""
    from poolwise.backends.platform import lacks_for_processes

    return "executor" if lacks_for_processes() else "processes"


def _prepare(backend: Backend, options: PoolOptions) -> None:
    """Tell a back end that was handed in what its workers shall begin with, if it can be told."""
    if not hasattr(backend, "prepare"):
        _refuse_beside(options)
        return
    from poolwise.backends.remote.prepare import prepare_engine

    prepare_engine(backend, options)


def limits_of_timed(backend: Backend) -> ChunkLimits:
    """Bounds of the chunks of a job whose tasks have a time limit.

    Where values are told only at a chunk's end, each task is a chunk: else the limit would be one
    for all of them.

    :raises ValueError: no task can be stopped there.
    """
    if not backend.promises.has_time_limits:
        message = (
            f"task_timeout cannot be had on the back end {backend.name!r}: its engine cannot stop "
            "a task that runs, so the worker would stay busy with it. Leave it out, or choose a "
            "back end that promises it (pool.backend.promises; docs/backends.md has the table)"
        )
        raise ValueError(message)
    return backend.limits if backend.promises.answers_early else ChunkLimits(most_ns=0)


def _refuse_beside(options: PoolOptions) -> None:
    """Refuse options that a back end which is handed in was to be given when it was made."""
    beside = {
        "initializer": options.initializer is not None,
        "context": options.context is not None,
        "state": bool(options.state),
        "worker_output": options.insight.output != "off",
        **dict.fromkeys(options.limits.asked_for(), True),
    }
    if wrong := [name for name, is_given in beside.items() if is_given]:
        message = (
            f"{wrong[0]} has no meaning beside a back end of your own: give it to that, where you "
            "make it"
        )
        raise ValueError(message)


def _context(context: BaseContext | str | None) -> BaseContext:
    """A multiprocessing context, by itself, by its start method, or the program's own."""
    if context is not None and not isinstance(context, str):
        return context
    import multiprocessing

    return multiprocessing.get_context(context)


def _make_observers(
    insight: Insight, forwarder: OutputForwarder | None, state: State, book: Book
) -> list[Observer]:
    from poolwise.telemetry.listener import Listener, StuckWatch

    observers: list[Observer] = []
    if insight.ledger != "off":
        observers += [book, StuckWatch(state, book, insight.on_event)]
    if insight.on_event is not None or forwarder is not None:
        observers.append(Listener(state, insight.on_event, forwarder))
    return observers


def _make_report(book: Book, state: State, footprints: Footprints | None) -> Report:
    from poolwise.account.statement import make_report

    book.note_busy()
    notes: list[str] = []
    if footprints is not None:
        from poolwise.account.memory_notes import say_memory

        notes = say_memory(footprints, state.most_lanes, state.counts["recycled"])
    version = sys.modules["poolwise"].__version__
    return make_report(book, state.counts, version=version, notes=notes)


def _make_forwarder(mode: OutputMode) -> tuple[OutputForwarder | None, dict[str, int] | None]:
    """Forwarder of what workers say, and the levels that their loggers are to have."""
    if mode == "off":
        return None, None
    from poolwise.telemetry.output import OutputForwarder, levels_of_loggers

    return OutputForwarder(prints=mode == "on"), levels_of_loggers()


def _read_limits() -> tuple[int, int | None]:
    """Number of CPUs granted, and for how long the control group was throttled (ns)."""
    from poolwise.system import cgroups

    throttling = cgroups.throttling()
    return cpu_count(), None if throttling is None else throttling.throttled_ns
