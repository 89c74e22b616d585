"""Checks what a pool wants of an engine against what that promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import BaseContext

    from poolwise.backends.remote.base import Remote
    from poolwise.core.contract import Backend
    from poolwise.options import PoolOptions

_WHERE = "(pool.backend.promises; docs/backends.md has the table)"

_INSTEAD = {
    "initializer": "give it to the engine, where you make that",
    "state": "bind it to the function (functools.partial), which is sent once to each worker",
    "maxtasksperchild": "let the engine replace its workers",
    "worker_output": "look at the engine's own logs",
    "context": "the engine starts its workers in its own way, so leave it out",
    **dict.fromkeys(("nice", "affinity", "max_memory", "recycle_above"), "give it to the engine"),
}


def make_executors(
    options: PoolOptions, find_context: Callable[[BaseContext | str | None], BaseContext]
) -> Backend:
    """Standard executors of our own, whose processes start as the program wants them to."""
    from poolwise.backends.remote.executors import OwnExecutors

    context = options.context
    backend = OwnExecutors(None if context is None else find_context(context))
    _prepare(backend, options)
    return backend


def prepare_engine(backend: Any, options: PoolOptions) -> None:
    """Give a back end on an engine of the program's what its workers shall begin with.

    :raises ValueError: that engine cannot do what is asked for.
    """
    _prepare(backend, options)
    if options.context is not None:
        _refuse(backend, "context")


def _prepare(backend: Remote, options: PoolOptions) -> None:
    promises = backend.promises
    can_do = {
        "initializer": promises.has_initializers or options.initializer is None,
        "state": promises.has_initializers or not options.state,
        "maxtasksperchild": promises.replaces_workers or options.tasks_per_worker is None,
        "worker_output": promises.relays_output or options.insight.output == "off",
        **dict.fromkeys(options.limits.asked_for(), promises.limits_workers),
    }
    for name, can in can_do.items():
        if not can:
            _refuse(backend, name)
    initializer: Any = options.initializer
    if options.state:
        from poolwise.shared.preload import Preload

        initializer = Preload(options.state, initializer, is_process=False)
    backend.prepare(initializer, options.initargs)


def _refuse(backend: Backend, name: str) -> None:
    message = (
        f"{name} cannot be had on the back end {backend.name!r}, whose workers this pool does not "
        f"make: {_INSTEAD[name]}, or choose a back end that promises it {_WHERE}"
    )
    raise ValueError(message)
