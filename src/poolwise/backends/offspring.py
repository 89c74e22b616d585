"""Workers are children of the process that started them, and of none that is forked from it.

``multiprocessing`` keeps a list of the processes it started. A child made by a bare ``os.fork``
inherits the list, and at its end would wait for its siblings, which no process can.

It also forbids daemons, as the workers of a pool are, to start processes: what ends a daemon leaves
its children behind. Ours end with whoever started them (``system/lifeline.py``), so they may.
"""

from __future__ import annotations

import os
import weakref
from _thread import get_ident
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import process as processes
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_started: weakref.WeakSet[BaseProcess] = weakref.WeakSet()

_starting: set[int] = set()
"""The threads that are starting a worker at this moment."""


def start(process: BaseProcess) -> None:
    """Start a worker of ours, also where this process is a daemon."""
    with _allowed():
        process.start()
    _started.add(process)


@contextmanager
def _allowed() -> Iterator[None]:
    this: Any = processes.current_process()
    if not this.daemon:
        yield
        return
    config = this._config  # noqa: SLF001 - where BaseProcess.start looks
    if type(config) is not _Config:
        this._config = _Config(config)  # noqa: SLF001
    me = get_ident()
    _starting.add(me)
    try:
        yield
    finally:
        _starting.discard(me)


class _Config(dict[str, Any]):
    """The settings of a daemon, which a thread that starts a worker of ours takes for no daemon.

    The flag itself stays as it is: other threads may look at it, or start processes, meanwhile.
    """

    def get(self, key: str, default: Any = None) -> Any:
        if key == "daemon" and get_ident() in _starting:
            return False
        return super().get(key, default)


def _forget() -> None:
    _starting.clear()
    children: set[BaseProcess] = getattr(processes, "_children", set())
    children.difference_update(_started)
    _started.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
