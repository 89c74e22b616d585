"""Looks at a program from beside it: what each of its threads does, as the kernel tells.

Fifty times a second, later less often, the state and the kernel's wait channel of every thread are
written as a line of `samples.txt`: time, process, thread, state, channel, CPU time in ticks. It
costs the program nothing. Linux only; elsewhere nothing is sampled and blocked time has no cause.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import IO

from poolwise.doctor.launch.asking import Asker
from poolwise.doctor.records.run import SAMPLE_INTERVAL_S

SPREAD = 3000
"""Later, a sample every 1/3000 of the time so far: a run of a day has as many as one of a minute,
times three."""

SHARE_OF_CPU = 0.02
"""Sampling waits longer where it would take more of a CPU than this."""

SEARCH_EVERY = 5
"""New processes are looked for with every fifth sample."""

LIBRARIES = {
    "openblas": "OpenBLAS",
    "libmkl": "MKL",
    "libblis": "BLIS",
    "libgomp": "OpenMP (GNU)",
    "libomp": "OpenMP (LLVM)",
    "libiomp": "OpenMP (Intel)",
    "libarrow": "Arrow",
    "polars": "Polars",
    "libtbb": "TBB",
}
"""Part of a file's name -> the library that keeps threads of its own."""


@dataclass
class Seen:
    """The facts of one process so far."""

    first_ns: int
    last_ns: int = 0
    parent: int = 0
    threads: int = 0
    cpu_ticks: int = 0
    is_python: bool = False
    libraries: list[str] | None = field(default=None)


class Sampler:
    """Samples the tree of processes below `root`.

    :param output: where the lines go.
    """

    def __init__(self, root: int, output: IO[str]) -> None:
        self.root = root
        self.processes: dict[int, Seen] = {}
        self.samples = 0
        self.spent_s = 0.0
        self._output = output
        self._began_s = time.monotonic()
        self._asker = Asker(root)

    def sample(self) -> float:
        """Look once. Returns how many seconds to wait before the next look."""
        began_s = time.thread_time()
        if self.samples % SEARCH_EVERY == 0:
            self._search()
        for pid, seen in list(self.processes.items()):
            self._look(pid, seen)
        self.samples += 1
        cost_s = time.thread_time() - began_s
        self.spent_s += cost_s
        elapsed_s = time.monotonic() - self._began_s
        return max(SAMPLE_INTERVAL_S, elapsed_s / SPREAD, cost_s / SHARE_OF_CPU)

    def _search(self) -> None:
        """Find processes that were started since, and forget those that have ended."""
        now_ns = time.perf_counter_ns()
        alive = descendants(self.root)
        for pid, parent in alive.items():
            if pid not in self.processes:
                self.processes[pid] = Seen(now_ns, parent=parent)
            seen = self.processes[pid]
            seen.is_python = seen.is_python or is_python(pid)
            if seen.libraries is None and seen.threads > 1:
                seen.libraries = read_libraries(pid)

    def _look(self, pid: int, seen: Seen) -> None:
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            return
        seen.last_ns = time.perf_counter_ns()
        seen.threads = max(seen.threads, len(threads))
        used = 0
        # So many threads of a process are looked at; servers with hundreds all do the
        # same.
        for thread in threads[:64]:
            try:
                state, ticks = read_state(f"/proc/{pid}/task/{thread}")
                channel = _read(f"/proc/{pid}/task/{thread}/wchan") if state in "SD" else ""
            except (OSError, IndexError, ValueError):
                continue
            if thread == str(self.root):
                self._asker.saw(state)
            now_ns = time.perf_counter_ns()
            used += ticks
            self._output.write(f"{now_ns} {pid} {thread} {state} {channel or '-'} {ticks}\n")
        seen.cpu_ticks = max(seen.cpu_ticks, used)


def descendants(root: int) -> dict[int, int]:
    """Every living process of the tree below `root`, itself included -> its parent."""
    found = {}
    fresh = {root: 0}
    while fresh:
        found.update(fresh)
        fresh = {child: pid for pid in fresh for child in _children(pid) if child not in found}
    return found


def _children(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        lists = [_read(f"/proc/{pid}/task/{thread}/children") for thread in threads]
    except OSError:  # it has ended
        return []
    return [int(word) for words in lists for word in words.split()]


def read_state(folder: str) -> tuple[str, int]:
    """State letter and CPU time in ticks of a process or thread, from its /proc folder."""
    fields = _read_stat(folder)
    return fields[0], int(fields[11]) + int(fields[12])


def is_python(pid: int) -> bool:
    """True if a process runs a Python interpreter, by the name of its program."""
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")).startswith("python")
    except OSError:
        return False


def read_libraries(pid: int) -> list[str]:
    """The libraries with threads of their own that a process has loaded."""
    try:
        maps = _read(f"/proc/{pid}/maps")
    except OSError:
        return []
    files = {line.rpartition("/")[2] for line in maps.splitlines() if ".so" in line}
    found = {LIBRARIES[part] for part in LIBRARIES for file in files if part in file}
    return sorted(found)


def read_machine_s() -> tuple[float, float]:
    """CPU-seconds of the whole machine since it started: busy, and taken by its host."""
    try:
        ticks = [int(word) for word in _read("/proc/stat").split("\n", 1)[0].split()[1:]]
    except (OSError, ValueError):
        return 0.0, 0.0
    user, nice, system, idle, iowait, irq, softirq, steal = ticks[:8]
    del idle, iowait
    second = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / second, steal / second


def _read_stat(folder: str) -> list[str]:
    """The fields of `stat` behind the name (which may hold spaces): state first."""
    return _read(f"{folder}/stat").rpartition(")")[2].split()


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()
