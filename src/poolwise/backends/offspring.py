"""Workers are children of the process that started them, and of none that is forked from it.

``multiprocessing`` keeps a list of the processes it started. A child made by a bare ``os.fork``
inherits the list, and at its end would wait for its siblings, which no process can.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_started: weakref.WeakSet[BaseProcess] = weakref.WeakSet()


def note(process: BaseProcess) -> None:
    """This process has started that one."""
    _started.add(process)


def _forget() -> None:
    from multiprocessing import process

    children: set[BaseProcess] = getattr(process, "_children", set())
    children.difference_update(_started)
    _started.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
