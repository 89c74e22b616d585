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
    """How long the thread that made it has been runnable without a CPU, in all its life.

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


def read_usage() -> "Any":
    """This thread's `getrusage` (0.6 us), None where there is none."""
    return _getrusage(_THREAD) if _getrusage else None


def _find_getrusage() -> "tuple[Any, int]":
    try:
        from resource import RUSAGE_THREAD, getrusage
    except ImportError:  # Windows has neither, macOS only the second
        return None, 0
    return getrusage, RUSAGE_THREAD


_getrusage, _THREAD = _find_getrusage()
