"""Count of the CPUs that this process may use, and whether its threads can use them at once."""

from __future__ import annotations

import math
import os
import sys

from poolwise.system import cgroups

WORKERS_VARIABLE = "POOLWISE_WORKERS"


def cpu_count() -> int:
    """Number of workers that can run at once here: the default size of every pool.

    The environment variable ``POOLWISE_WORKERS`` decides when it is set. Else it is the smaller
    of the CPUs that this process may run on (its affinity, or ``PYTHON_CPU_COUNT`` where the
    interpreter knows it) and the CPU quotas of its control groups, version 1 and 2, at every
    level, rounded up: two workers spend a quota of 1.5 CPUs, one cannot. On systems without
    affinity (macOS, Windows) it is the number of CPUs.

    :raises ValueError: ``POOLWISE_WORKERS`` is not a whole number of 1 or more.
    """
    wanted = _workers_from_environment()
    if wanted is not None:
        return wanted
    usable = _usable_cpus()
    quota = min((quota.cpus for quota in cgroups.quotas()), default=math.inf)
    return usable if quota >= usable else max(1, math.ceil(quota))


def _workers_from_environment() -> int | None:
    text = os.environ.get(WORKERS_VARIABLE, "").strip()
    if not text:
        return None
    if text.isdecimal() and int(text):
        return int(text)
    message = (
        f"the environment variable {WORKERS_VARIABLE} is {text!r}, which is not a number of "
        "workers: set it to a whole number of 1 or more, or unset it"
    )
    raise ValueError(message)


def _usable_cpus() -> int:
    """The CPUs that the scheduler may give this process, before any quota; at least 1."""
    if hasattr(os, "process_cpu_count"):  # since Python 3.13
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def is_free_threaded() -> bool:
    """This interpreter has no lock that threads would wait for."""
    is_enabled = getattr(sys, "_is_gil_enabled", None)
    return is_enabled is not None and not is_enabled()
