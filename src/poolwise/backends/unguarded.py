"""A main module that starts processes without ``if __name__ == "__main__":`` around it.

Under spawn and forkserver a new process imports the main module first. If that starts processes,
multiprocessing raises an error there, whose traceback of some 60 lines each new process prints.
So the process ends before that, with an exit code that its parent understands, who says it once.
"""

from __future__ import annotations

import os
import sys

from poolwise import errors


def end_if_importing_main() -> None:
    """Called where a process is about to be started by one that is not forked."""
    from multiprocessing import process

    this = process.current_process()
    if not getattr(this, "_inheriting", False):
        return
    if "PoolWorker" not in this.name and sys.stderr is not None:  # perhaps no pool waits for it
        why = errors.Death(os.getpid(), errors.UNGUARDED).why_early
        sys.stderr.write(f"{this.name} ends: {why}\n")
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(errors.UNGUARDED)  # an exception would be printed, or caught by the module
