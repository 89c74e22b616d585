"""The application chooses the pool, a library only uses it: ``using()`` and ``current()``.

A library that calls :func:`current` (or ``poolwise.map``, which does) runs serially until the
application around it has chosen something. What is chosen holds for the block, in this thread and
in the asyncio tasks that the block starts; workers inherit nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from poolwise.doors.base import Door

_chosen: ContextVar[Door | None] = ContextVar("poolwise_current", default=None)


@contextmanager
def using(pool_or_backend: Any, processes: int | None = None) -> Iterator[Any]:
    """Let libraries use this pool, or a pool on this back end, for the length of a block.

    :param pool_or_backend: a pool or an executor of ours, which is left open at the end; or what
        ``Pool(backend=)`` takes, of which a pool is made for the block. None is serial again.
    :param processes: of the pool that is made.
    :raises ValueError: there is no such back end.
    """
    if pool_or_backend is None or isinstance(pool_or_backend, Door):
        with _chosen_for_now(pool_or_backend):
            yield pool_or_backend
        return
    from poolwise.pool import Pool

    with Pool(processes, backend=pool_or_backend) as pool, _chosen_for_now(pool):
        yield pool
        pool.close()  # what was handed in and not waited for is done
        pool.join()


@contextmanager
def _chosen_for_now(pool: Door | None) -> Iterator[None]:
    token = _chosen.set(pool)
    try:
        yield
    finally:
        _chosen.reset(token)


def current() -> Any:
    """The pool that the application has chosen; None where nobody has: then be serial."""
    return _chosen.get()
