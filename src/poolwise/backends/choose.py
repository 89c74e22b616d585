"""Back ends by name, and an engine on one of them."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from poolwise.core.contract import Backend
from poolwise.errors import RemoteTraceback
from poolwise.record import record

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import BaseContext

    from poolwise.account.book import Book
    from poolwise.account.ledger import Report
    from poolwise.backends.intake import SharedIntake
    from poolwise.core.contract import Observer
    from poolwise.core.engine import Engine
    from poolwise.core.state import State
    from poolwise.options import Insight, OutputMode, PoolOptions
    from poolwise.telemetry.output import OutputForwarder


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

    insight = options.insight
    forwarder, log_levels = _make_forwarder(insight.output)
    backend = _make_backend(options, style, log_levels)
    lanes = min(options.workers, backend.most_lanes or options.workers)
    state = State(
        lanes, tasks_per_lane=options.tasks_per_worker, starts_at_once=backend.starts_at_once
    )
    book = Book(lanes, state=state, level=insight.ledger, backend=backend.name, limits=_read_limits)
    return Engine(
        backend,
        state,
        observers=_make_observers(insight, forwarder, state, book),
        phases=None if insight.ledger == "off" else book.clock,
        report=partial(_make_report, book, state),
    )


def open_intake(engine: Engine) -> SharedIntake:
    """Intake for the engine's back end: it fixes what calls are given."""
    from poolwise.backends.intake import CopyingIntake, SharedIntake  # workers load this module

    return SharedIntake() if engine.backend.shares_memory else CopyingIntake(engine.signals)


def _make_backend(options: PoolOptions, style: Style, log_levels: dict[str, int] | None) -> Backend:
    """The back end that was handed in, or the one of that name."""
    name: Any = options.backend
    if isinstance(name, Backend):
        _refuse_beside(options)
        return name
    level = options.insight.ledger
    initializer, initargs = options.initializer, options.initargs
    preload: Any = None
    if options.state:
        from poolwise.shared.preload import Preload

        is_process = name == "processes"
        initializer = preload = Preload(options.state, initializer, is_process=is_process)
    if name == "serial":
        from poolwise.backends.threads import Serial

        return Serial(initializer, initargs, level=level)
    if name == "threads":
        from poolwise.backends.threads import Threads

        return Threads(initializer, initargs, level=level)
    if name != "processes":
        message = (
            f"unknown backend {name!r}: choose 'processes', 'threads' or 'serial', or hand in a "
            "poolwise.core.contract.Backend"
        )
        raise ValueError(message)
    context = _context(options.context)
    if preload is not None and context.get_start_method() != "fork":
        preload.pack()
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
    )


def _refuse_beside(options: PoolOptions) -> None:
    """Refuse options that a back end which is handed in was to be given when it was made."""
    beside = {
        "initializer": options.initializer is not None,
        "context": options.context is not None,
        "state": bool(options.state),
        "worker_output": options.insight.output != "off",
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


def _make_report(book: Book, state: State) -> Report:
    from poolwise.account.statement import make_report

    book.note_busy()
    return make_report(book, state.counts, version=sys.modules["poolwise"].__version__)


def _make_forwarder(mode: OutputMode) -> tuple[OutputForwarder | None, dict[str, int] | None]:
    """Forwarder of what workers say, and the levels that their loggers are to have."""
    if mode == "off":
        return None, None
    from poolwise.telemetry.output import OutputForwarder, levels_of_loggers

    return OutputForwarder(prints=mode == "on"), levels_of_loggers()


def _read_limits() -> tuple[int, int | None]:
    """Number of CPUs granted, and for how long the control group was throttled (ns)."""
    from poolwise.system import cgroups
    from poolwise.system.cpus import cpu_count

    throttling = cgroups.throttling()
    return cpu_count(), None if throttling is None else throttling.throttled_ns
