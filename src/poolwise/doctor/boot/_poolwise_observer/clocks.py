"""Clocks and counters of the calling thread. All times are nanoseconds of one shared clock."""

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

now = time.perf_counter_ns  # CLOCK_MONOTONIC on Linux: the same in every process
thread_cpu = time.thread_time_ns
process_cpu = time.process_time_ns


class RunQueue:
    """Counts how long its thread has been runnable without a CPU.

    Second field of /proc/thread-self/schedstat, on a kept-open file: 1.2 us a reading. -1 where
    the system does not tell.
    """

    __slots__ = ("_file", "_identity")

    def __init__(self) -> None:
        try:
            self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
            self._identity = _identify(self._file)
        except OSError:
            self._file = -1

    def __call__(self) -> int:
        """The time so far, in nanoseconds."""
        if self._file < 0:
            return -1
        try:
            return int(os.pread(self._file, 96, 0).split()[1])
        except (OSError, ValueError, IndexError):  # a program that closes all files took ours
            self._file = -1
            return -1

    def __del__(self) -> None:
        try:
            if self._file >= 0 and _identify(self._file) == self._identity:
                os.close(self._file)
        except (OSError, AttributeError, TypeError):
            pass  # closed by the program, or the interpreter is going down


def _identify(file: int) -> "tuple[int, int]":
    status = os.fstat(file)
    return status.st_dev, status.st_ino


def own_bytes() -> int:
    """Memory of this process that it shares with none (Linux); -1: not known."""
    try:
        with open("/proc/self/status", "rb") as status:
            found = [line.split()[1] for line in status if line.startswith(b"RssAnon:")]
        return int(found[0]) << 10
    except (OSError, ValueError, IndexError):
        return -1


class Counters:
    """Counts what a thread uses from `start` to `stop`. Belongs to the thread that makes it."""

    __slots__ = ("_before", "_between", "_run_queue", "_stopped")

    def __init__(self) -> None:
        self._run_queue = RunQueue()
        self._before: Any = None
        self._between = self._stopped = -1

    def start(self) -> None:
        """Begin to count; CPU time is read last, so that reading the others is not counted."""
        usage = _getrusage(_THREAD) if _getrusage else None
        queued = self._run_queue()
        self._between = queued - self._stopped if queued >= 0 and self._stopped >= 0 else -1
        self._before = usage, queued, process_cpu(), thread_cpu()

    def stop(self) -> "tuple[int, int, int, int, int, int]":
        """The use of resources since the start, -1 where the system does not tell.

        Nanoseconds of CPU of the thread, of its process, and without a CPU; switches (those it
        wanted in the upper half); nanoseconds without a CPU between the stop before and this
        start; and the CPU time of the process since it began.
        """
        cpu, all_cpu, queued = thread_cpu(), process_cpu(), self._run_queue()
        usage0, queued0, all_cpu0, cpu0 = self._before
        waited = queued - queued0 if queued >= 0 and queued0 >= 0 else -1
        self._stopped = queued
        switches = -1
        if usage0 is not None:
            usage = _getrusage(_THREAD)
            forced = usage.ru_nivcsw - usage0.ru_nivcsw
            switches = (usage.ru_nvcsw - usage0.ru_nvcsw) << 32 | forced
        return cpu - cpu0, all_cpu - all_cpu0, waited, switches, self._between, all_cpu


def _find_getrusage() -> "tuple[Any, int]":
    try:
        from resource import RUSAGE_THREAD, getrusage
    except ImportError:  # Windows has neither, macOS only the second
        return None, 0
    return getrusage, RUSAGE_THREAD


_getrusage, _THREAD = _find_getrusage()
