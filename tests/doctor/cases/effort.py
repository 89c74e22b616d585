"""Work of a known size."""

from __future__ import annotations

import time


def compute(cpu_ms: float) -> int:
    """Take so many milliseconds of this thread's CPU time with plain Python, and return a number.

    Counting CPU time and not wall time keeps the amount of work the same beside other programs.
    """
    end_s = time.thread_time() + cpu_ms / 1000
    table: dict[int, str] = {}
    while time.thread_time() < end_s:
        for key in range(60):
            table[key] = f"{key}:{len(table)}"
    return len(table)
