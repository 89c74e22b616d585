"""Names of back ends, and an engine on the one that was named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from poolwise.core.engine import Engine
from poolwise.core.state import State

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext

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
) -> Engine:
    """An engine with ``lanes`` lanes of the back end called ``name``.

    :raises ValueError: there is no back end, or no start method, of that name.
    :raises TypeError: ``initializer`` is not callable.
    """
    if initializer is not None and not callable(initializer):
        message = "initializer must be a callable"
        raise TypeError(message)
    if name == "serial":
        from poolwise.backends.threads import Serial

        state = State(1, tasks_per_lane=tasks_per_lane)
        return Engine(Serial(initializer, initargs), state, runs_here=True)
    if name == "threads":
        from poolwise.backends.threads import Threads

        return Engine(Threads(initializer, initargs), State(lanes, tasks_per_lane=tasks_per_lane))
    if name != "processes":
        message = f"unknown backend {name!r}: choose 'processes', 'threads' or 'serial'"
        raise ValueError(message)
    import multiprocessing

    from poolwise.backends.processes import Processes

    if context is None or isinstance(context, str):
        context = multiprocessing.get_context(context)
    is_fork = context.get_start_method() == "fork"
    state = State(lanes, tasks_per_lane=tasks_per_lane, starts_at_once=is_fork)
    return Engine(Processes(context, initializer, initargs, name=process_name), state)
