"""CPUs, threads and priority of a worker process."""

from __future__ import annotations

import os
from collections.abc import Mapping

from poolwise.record import record
from poolwise.system import native


@record
class Resources:
    """Resources of one worker: it takes them before anything of the user's runs in it.

    :param environment: its share of the CPUs, and what caps native threads.
    :param nice: is added to its niceness.
    :param cpus: all that it may run on (None: those of its parent).
    :param tells_memory: it reports its own memory, at its start and at the end of each chunk.
    """

    environment: Mapping[str, str]
    nice: int = 0
    cpus: frozenset[int] | None = None
    tells_memory: bool = False

    def take(self) -> None:
        """Apply them to this process, with the threads that importing has started.

        :raises OSError: a CPU is offline, or was taken from this process.
        """
        if self.cpus is not None:
            for thread in _threads():
                os.sched_setaffinity(thread, self.cpus)
        if self.nice:
            nice = os.getpriority(os.PRIO_PROCESS, 0) + self.nice
            for thread in _threads():
                os.setpriority(os.PRIO_PROCESS, thread, nice)
        os.environ.update(self.environment)
        native.cap_loaded(self.environment)


def _threads() -> list[int]:
    """Threads of this process: on Linux each has its own priority and affinity."""
    try:
        return [int(name) for name in os.listdir("/proc/self/task")]
    except OSError:
        return [0]
