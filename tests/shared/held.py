"""What a process holds of shared memory, and how to wait until it lets go."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path


def held_by(pid: int | str = "self") -> list[str]:
    """The segments of this package that a process has open or mapped, each as often as it does."""
    links = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(fd.readlink()))
        except OSError:
            continue  # closed meanwhile
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return [line for line in [*links, *maps] if "memfd:poolwise-shared" in line]


def wait_until(is_true: Callable[[], object], limit_s: float = 60.0) -> bool:
    """Wait for a condition; False when it does not come true in time."""
    deadline = time.monotonic() + limit_s
    while not is_true():
        if time.monotonic() > deadline:
            return False
        gc.collect()
        time.sleep(0.005)
    return True
