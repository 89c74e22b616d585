"""The limit on how many files a process may have open: a lane takes some of them.

A lane of processes holds six descriptors here, two of them as in ``multiprocessing``. The usual
limit of 1024 is used up by 170 lanes, which a large machine has, and the program wants some too.
So this process's own limit (the soft one) is raised in time, as runtimes of other languages do when
they start. The one that was set for it (the hard one) stays.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_FEW = 50
"""Numbers up to this one are not worth a look at the limit. No benchmark found it."""


def make_room(fd: int) -> None:
    """Raise the limit if ``fd``, opened just now, says that half of what it allows is open."""
    if fd < _FEW or sys.platform == "win32":
        return
    from poolwise.wire.rlimits import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or fd < soft // 2:
        return
    wanted = 4 * soft if hard == resource.RLIM_INFINITY else min(4 * soft, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        pass  # a sandbox forbids it, or the system has a limit of its own: it may do as it is


@contextmanager
def limit_named() -> Iterator[None]:
    """Where no descriptor is left, say which limit it was."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        raise OSError(error.errno, _advice(error.errno)) from error


def _advice(number: int) -> str:
    from poolwise.wire.rlimits import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        f"{os.strerror(number)}: this process may have {soft} (ulimit -n), of which a worker takes "
        "six. Raise that limit, or ask for fewer workers"
    )
