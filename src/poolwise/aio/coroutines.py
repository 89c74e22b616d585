"""Coroutine functions in workers: a group of calls runs on the worker's event loop at once.

Loaded by workers that run them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class _Loop:
    """The worker's loop; kept, since clients and locks that calls make belong to it."""

    at: asyncio.AbstractEventLoop | None = None


def run_group(calls: Sequence[Call], at_once: int) -> list[tuple[bool, Any]]:
    """Outcomes of calls (True and the value, False and the error), so many running at a time."""
    if _Loop.at is None:
        from multiprocessing.util import Finalize

        _Loop.at = asyncio.new_event_loop()
        Finalize(None, _Loop.at.close, exitpriority=10)
    return _Loop.at.run_until_complete(_run_all(calls, at_once))


async def _run_all(calls: Sequence[Call], at_once: int) -> list[tuple[bool, Any]]:
    free = asyncio.Semaphore(at_once)

    async def run(call: Call) -> tuple[bool, Any]:
        function, args, kwargs = call
        async with free:
            try:
                return True, await function(*args, **kwargs)
            except BaseException as error:
                if not isinstance(error, Exception):
                    raise
                return False, error

    return await asyncio.gather(*map(run, calls))
