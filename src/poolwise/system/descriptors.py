"""File descriptors of this process: closed in whatever it forks, and how many it may have.

A copy of a pipe's end in another process would hide the death of its owner: no end of file would
ever come. So the descriptors of each lane are listed, and a child forked from this process (by us
or by anybody, through ``os.fork``) closes the whole list first thing; programs that are exec'ed
never inherit them.

A lane of processes holds six descriptors here, two of them as in ``multiprocessing``. The usual
limit of 1024 is used up by 170 lanes, which a large machine has, and the program wants some too. So
the soft limit is raised in time, as runtimes of other languages do when they start; the hard limit
stays.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_own: set[int] = set()


def own(fd: int) -> int:
    """List ``fd`` as this process's own: children forked later close their copy."""
    _own.add(fd)
    return fd


def disown(fd: int) -> None:
    """Close a descriptor listed by :func:`own`."""
    _own.discard(fd)
    os.close(fd)


def _close_copies() -> None:
    for fd in _own:
        try:
            os.close(fd)
        except OSError:
            pass  # closed by the program itself: nothing to hide any more
    _own.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_copies)

_FEW = 50
"""Numbers up to this one are not worth a look at the limit. No benchmark found it."""


def make_room(fd: int) -> None:
    """Raise the limit if ``fd``, opened just now, says that half of what it allows is open."""
    if fd < _FEW or sys.platform == "win32":
        return
    from poolwise.system.limits import resource

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
    """Name the limit in the error where no descriptor is left."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
        raise OSError(error.errno, _advice(error.errno)) from error


def _advice(number: int) -> str:
    from poolwise.system.limits import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        f"{os.strerror(number)}: this process may have {soft} (ulimit -n), of which a worker takes "
        "six. Raise that limit, or ask for fewer workers"
    )
