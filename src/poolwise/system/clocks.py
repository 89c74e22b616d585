"""Clocks of a thread and of its process, and what passed between two readings of them."""

from __future__ import annotations

import os
import threading
import time
from time import perf_counter_ns, process_time_ns, thread_time_ns

from poolwise.system.run_queue import RunQueue

Reading = tuple[int, int, int, int]
"""Wall, CPU of the thread, CPU of the process, waiting for a CPU; cumulative, in ns."""


def read_clocks(queue: RunQueue) -> Reading:
    """The clocks of the calling thread, which made the queue."""
    queued = queue.read_ns()
    return perf_counter_ns(), thread_time_ns(), process_time_ns(), queued


def thread_clock() -> int:
    """Clock of the calling thread's CPU time that other threads can read; 0 where there is none."""
    clock_of = getattr(time, "pthread_getcpuclockid", None)
    return 0 if clock_of is None else int(clock_of(threading.get_ident()))


def read_demand_ns() -> int:
    """CPU time of this process's living threads and what they stood in the run queue for.

    On a busy machine a process whose threads take turns for the GIL gets less than one CPU; it
    wants one all the same.
    """
    try:
        queues = [RunQueue(int(thread)) for thread in os.listdir("/proc/self/task")]
    except OSError:
        return process_time_ns()  # another system
    total = sum(sum(queue.read()) for queue in queues)
    return total or process_time_ns()
