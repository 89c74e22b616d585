"""Names of back ends, and an engine on the one that was named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from poolwise.core.engine import Engine
from poolwise.core.state import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.context import BaseContext

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
    state: Mapping[str, Any] | None = None,
) -> Engine:
    """An engine with ``lanes`` lanes of the back end called ``name``.

    :param state: what each worker has from its start (:mod:`poolwise.shared.preload`).
    :raises ValueError: there is no back end, or no start method, of that name.
    :raises TypeError: ``initializer`` is not callable, or a value of ``state`` cannot be pickled.
    """
    if initializer is not None and not callable(initializer):
        message = "initializer must be a callable"
        raise TypeError(message)
    if state:
        initializer = preload = _preload(state, initializer, is_process=name == "processes")
    if name == "serial":
        from poolwise.backends.threads import Serial

        known = State(1, tasks_per_lane=tasks_per_lane)
        return Engine(Serial(initializer, initargs), known, runs_here=True)
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
    if state and not is_fork:
        preload.pack()
    known = State(lanes, tasks_per_lane=tasks_per_lane, starts_at_once=is_fork)
    return Engine(Processes(context, initializer, initargs, name=process_name), known)


def _preload(
    state: Mapping[str, Any], initializer: Callable[..., object] | None, *, is_process: bool
) -> Preload:
    from poolwise.shared.preload import Preload

    return Preload(state, initializer, is_process=is_process)
