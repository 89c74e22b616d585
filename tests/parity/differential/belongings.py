"""What a process has that a pool may leave behind: threads, descriptors, children, generators."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

from tests.parity.differential.inputs import Inputs


class Belongings:
    """What this process has now, to find what has come since."""

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._descriptors = _descriptors()

    def wait_until_gone(self, inputs: Inputs, grace_s: float) -> list[str]:
        """What has come since and is there still when it has had time to go."""
        until, pause_s = time.monotonic() + grace_s, 0.001
        while (left := self._list_new(inputs)) and time.monotonic() < until:
            time.sleep(pause_s)
            pause_s = min(0.05, pause_s * 1.5)
            gc.collect()
        return left

    def _list_new(self, inputs: Inputs) -> list[str]:
        threads = set(threading.enumerate()) - self._threads
        left = [f"thread {thread.name}" for thread in threads]
        fresh = set(_descriptors().items()) - set(self._descriptors.items())
        left += [f"descriptor of {target}" for _, target in sorted(fresh)]
        if inputs.opened > inputs.closed:
            left.append("open generator")
        return [*left, "process"] if _has_children() else left


def _descriptors() -> dict[str, str]:
    """Where each descriptor leads to; the one that lists them is gone when it is asked."""
    found = {}
    for path in Path("/proc/self/fd").iterdir():
        try:
            found[path.name] = str(path.readlink())
        except OSError:
            continue
    return found


def _has_children() -> bool:
    """There is a child that runs, or that nobody has waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
