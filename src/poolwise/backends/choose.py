"""Names of back ends, and an engine on the one that was named."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from poolwise.core.book import Book
from poolwise.core.engine import Engine
from poolwise.core.listener import Listener, StuckWatch
from poolwise.core.state import State
from poolwise.errors import RemoteTraceback
from poolwise.options import DEFAULT_INSIGHT, Insight

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.context import BaseContext

    from poolwise.backends.intake import SharedIntake
    from poolwise.core.contract import Backend, Observer
    from poolwise.core.echo import Echo
    from poolwise.core.ledger import Report
    from poolwise.options import OutputMode
    from poolwise.shared.preload import Preload

BackendName = Literal["processes", "threads", "serial"]


def open_engine(  # noqa: PLR0913 - what a pool is made of
    name: str,
    lanes: int,
    context: BaseContext | str | None,
    initializer: object,
    initargs: tuple[Any, ...],
    *,
    tasks_per_lane: int | None = None,
    process_name: str = "PoolWorker",
    are_daemons: bool = False,
    state: Mapping[str, Any] | None = None,
    insight: Insight = DEFAULT_INSIGHT,
    as_cause: Callable[[str], BaseException] = RemoteTraceback,
) -> Engine:
    """An engine with ``lanes`` lanes of the back end called ``name``.

    :param are_daemons: what ``multiprocessing.current_process().daemon`` says in a worker.
    :param insight: how much is kept and told of what goes on.
    :param as_cause: makes the ``__cause__`` of a task's error of its traceback in the worker.
    :param state: what each worker has from its start (:mod:`poolwise.shared.preload`).
    :raises ValueError: there is no back end, or no start method, of that name.
    :raises TypeError: ``initializer`` is not callable, or a value of ``state`` cannot be pickled.
    """
    if initializer is not None and not callable(initializer):
        message = "initializer must be a callable"
        raise TypeError(message)
    if state:
        initializer = preload = _preload(state, initializer, is_process=name == "processes")
    level = insight.ledger
    echo, log_levels = _make_echo(insight.output)
    make_engine = partial(_make_engine, name, tasks_per_lane, insight, echo)
    if name == "serial":
        from poolwise.backends.threads import Serial

        return make_engine(Serial(initializer, initargs, level=level), 1, runs_here=True)
    if name == "threads":
        from poolwise.backends.threads import Threads

        return make_engine(Threads(initializer, initargs, level=level), lanes)
    if name != "processes":
        message = f"unknown backend {name!r}: choose 'processes', 'threads' or 'serial'"
        raise ValueError(message)
    context = _context(context)
    is_fork = context.get_start_method() == "fork"
    if state and not is_fork:
        preload.pack()
    from poolwise.backends.processes import Processes

    backend = Processes(
        context,
        initializer,
        initargs,
        name=process_name,
        are_daemons=are_daemons,
        level=level,
        log_levels=log_levels,
        as_cause=as_cause,
    )
    return make_engine(backend, lanes, starts_at_once=is_fork)


def open_intake(name: str, engine: Engine) -> SharedIntake:
    """How the back end called ``name`` fixes what calls are given."""
    from poolwise.backends.intake import CopyingIntake, SharedIntake

    return CopyingIntake(engine.shield) if name == "processes" else SharedIntake()


def _context(context: BaseContext | str | None) -> BaseContext:
    """A multiprocessing context, by itself, by its start method, or the program's own."""
    if context is not None and not isinstance(context, str):
        return context
    import multiprocessing

    return multiprocessing.get_context(context)


def _make_engine(  # noqa: PLR0913 - what decides, keeps the account and tells
    name: str,
    tasks_per_lane: int | None,
    insight: Insight,
    echo: Echo | None,
    backend: Backend,
    lanes: int,
    *,
    starts_at_once: bool = True,
    runs_here: bool = False,
) -> Engine:
    state = State(lanes, tasks_per_lane=tasks_per_lane, starts_at_once=starts_at_once)
    book = Book(lanes, state=state, level=insight.ledger, backend=name, limits=_read_limits)
    observers: list[Observer] = []
    if insight.ledger != "off":
        observers += [book, StuckWatch(state, book, insight.on_event)]
    if insight.on_event is not None or echo is not None:
        observers.append(Listener(state, insight.on_event, echo))
    return Engine(
        backend,
        state,
        observers=observers,
        phases=None if insight.ledger == "off" else book.clock,
        report=partial(_make_report, book, state),
        runs_here=runs_here,
    )


def _make_report(book: Book, state: State) -> Report:
    from poolwise.core.statement import make_report

    book.note_busy()
    return make_report(book, state.counts, version=sys.modules["poolwise"].__version__)


def _make_echo(mode: OutputMode) -> tuple[Echo | None, dict[str, int] | None]:
    """What says again what workers say, and the levels that their loggers shall have."""
    if mode == "off":
        return None, None
    from poolwise.core.echo import Echo, levels_of_loggers

    return Echo(prints=mode == "on"), levels_of_loggers()


def _read_limits() -> tuple[int, int | None]:
    """How many CPUs this process may use, and for how long its control group was stopped (ns)."""
    from poolwise.wire import cgroups
    from poolwise.wire.cpus import cpu_count

    throttling = cgroups.throttling()
    return cpu_count(), None if throttling is None else throttling.throttled_ns


def _preload(
    state: Mapping[str, Any], initializer: Callable[..., object] | None, *, is_process: bool
) -> Preload:
    from poolwise.shared.preload import Preload

    return Preload(state, initializer, is_process=is_process)
