"""Watches from the launcher whether tasks still end, and asks for stacks when nothing moves.

Once a second, what the probes have recorded since is taken in (a few kilobytes). Where for some
seconds no task has ended and the program computes nothing, every process of it is asked once for
the stacks of its threads (`boot/_poolwise_observer/stacks.py`); the records then hold what
everybody waited for, also if Ctrl-C changes that. After `LONG_S` one line says so on the terminal.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from poolwise.doctor.boot._poolwise_observer import recorder, stacks
from poolwise.doctor.records.store import list_slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from poolwise.doctor.launch.sampler import Sampler, Seen

LOOK_S = 1.0
"""Between two looks at the records."""

IDLE_S = 2.5
"""Time without CPU use and without the end of a task after which stacks are asked for."""

LONG_S = 20.0
"""Time without the end of a task after which the terminal says so."""

IDLE_SHARE = 0.1
"""A program that uses less of a CPU than this is idle: pools look after their workers."""

ANSWER_S, PAUSE_S, QUIET = 0.3, 0.01, 4
"""A process has so long to write its stacks, which takes it about a millisecond if it has a CPU;
it is through when nothing more came for a few looks."""

ENDED = frozenset({recorder.TASK, recorder.SEND, recorder.RESULT, recorder.THREAD, recorder.CALL})
"""Kinds of records that are written once: as something was handed out, or came to its end."""

PATCHED = frozenset({recorder.BEAT, recorder.METER})
"""Kinds that are rewritten in place, with how many there were so far."""


@dataclass
class _File:
    """The position up to which a file of records is read, and the counters in it."""

    offset: int = 0
    counters: dict[int, int] = field(default_factory=dict)


class Progress:
    """Tells, from the growing records of a run, whether something was done since the last look."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._files: dict[str, _File] = {}
        self.has_pools = False

    def has_moved(self) -> bool:
        """Take in what was written since."""
        names = [name for name in os.listdir(self._directory) if name.endswith(".rec")]
        moved = [self._read(name) for name in names]
        return any(moved)

    def _read(self, name: str) -> bool:
        known = self._files.setdefault(name, _File())
        with open(os.path.join(self._directory, name), "rb") as file:
            moved = [
                self._count(known, at, slot)
                for old in list(known.counters)
                for at, slot in islice(list_slots(file, old), 1)
            ]
            for at, slot in list_slots(file, known.offset):
                if not slot[0]:
                    break
                known.offset = at + recorder.SLOT_BYTES
                moved.append(self._take(known, at, slot))
        return any(moved)

    def _take(self, known: _File, at: int, slot: tuple[int, ...]) -> bool:
        self.has_pools = self.has_pools or slot[0] == recorder.BEAT
        if slot[0] in PATCHED:
            return self._count(known, at, slot)
        return slot[0] in ENDED

    @staticmethod
    def _count(known: _File, at: int, slot: tuple[int, ...]) -> bool:
        number = slot[1] if slot[0] == recorder.BEAT else slot[2]
        before, known.counters[at] = known.counters.get(at, 0), number
        return number > before


class Watch:
    """Watches, while a program runs, for how long nothing has ended in it.

    :param say: called at most once for each standstill with what `record()` gives by then.
    """

    def __init__(self, root: int, directory: str, say: Callable[[dict[str, Any]], None]) -> None:
        self._root = root
        self._directory = directory
        self._say = say
        self._progress = Progress(directory)
        self._moved_ns = self._busy_ns = self._looked_ns = time.perf_counter_ns()
        self._ticks = 0
        self._dumped: dict[int, str] = {}
        self._dead: dict[int, int] = {}
        self._dumped_ns = 0
        self._dumps = 0
        self._has_spoken = False

    def look(self, sampler: Sampler) -> None:
        """Look at the records, if it is time to, and do what a standstill asks for."""
        now_ns = time.perf_counter_ns()
        if now_ns - self._looked_ns < LOOK_S * 1e9:
            return
        self._note_work(sampler, now_ns)
        if self._progress.has_moved():
            self._moved_ns, self._has_spoken = now_ns, False
            self._dumped, self._dead = {}, {}
        still_s = (now_ns - self._moved_ns) / 1e9
        if still_s > IDLE_S and now_ns - self._busy_ns > IDLE_S * 1e9:
            self.ask(sampler)
        if still_s > LONG_S and not self._has_spoken:
            self._has_spoken = True
            self._dead.update(list_dead(sampler.processes))
            self._say(self.record())

    def still_s(self) -> float:
        """Time for which nothing has ended, and nothing was computed."""
        last_ns = max(self._moved_ns, self._busy_ns)
        return (time.perf_counter_ns() - last_ns) / 1e9

    def _note_work(self, sampler: Sampler, now_ns: int) -> None:
        second = os.sysconf("SC_CLK_TCK")
        ticks = sum(seen.cpu_ticks for seen in sampler.processes.values())
        used_s, self._ticks = (ticks - self._ticks) / second, ticks
        if used_s > IDLE_SHARE * (now_ns - self._looked_ns) / 1e9:
            self._busy_ns = now_ns
        self._looked_ns = now_ns

    def ask(self, sampler: Sampler) -> None:
        """Ask all processes for their stacks, once in a standstill."""
        is_simple = not self._progress.has_pools and len(sampler.processes) == 1
        enough = 3  # a program that stands still again and again is known by then
        if self._dumped or self._dumps >= enough or is_simple:
            return
        self._dumps += 1
        self._dead = list_dead(sampler.processes)
        self._dumped_ns = time.perf_counter_ns()
        path = os.path.join(self._directory, stacks.NAME)
        for pid in list(sampler.processes)[:64]:
            if can_ask(pid, path):
                self._dumped[pid] = ask(pid, path)

    def record(self) -> dict[str, Any]:
        """The facts for `run.json`."""
        return {
            "moved_ns": self._moved_ns,
            "busy_ns": self._busy_ns,
            "dumped_ns": self._dumped_ns,
            "stacks": {str(pid): text for pid, text in self._dumped.items()},
            "dead": {str(pid): code for pid, code in self._dead.items()},
            "at_ns": time.perf_counter_ns(),
        }


def can_ask(pid: int, path: str) -> bool:
    """True if this process answers our signal, and into our file: else it would end of it."""
    bit = 1 << (stacks.number() - 1)
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            caught = next(line for line in file if line.startswith("SigCgt:"))
        names = os.listdir(f"/proc/{pid}/fd")
        files = [os.readlink(f"/proc/{pid}/fd/{n}") for n in names if int(n) >= stacks.HIGH]
    except (OSError, StopIteration, ValueError):
        return False
    return bool(int(caught.split()[1], 16) & bit) and os.path.realpath(path) in files


def ask(pid: int, path: str) -> str:
    """The stacks of one process's threads, as `faulthandler` writes them."""
    before = os.path.getsize(path)
    try:
        os.kill(pid, stacks.number())
    except OSError:
        return ""
    size, quiet, until_s = before, 0, time.monotonic() + ANSWER_S
    while quiet < QUIET and time.monotonic() < until_s:
        time.sleep(PAUSE_S)
        known, size = size, os.path.getsize(path)
        quiet = quiet + 1 if size == known > before else 0
    with open(path, encoding="utf-8", errors="replace") as file:
        file.seek(before)
        return file.read()


def list_dead(processes: dict[int, Seen]) -> dict[int, int]:
    """Processes that have ended and that nobody has asked after -> exit code, or minus a signal."""
    found = {}
    for pid in processes:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                words = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if words[0] == "Z":
            found[pid] = os.waitstatus_to_exitcode(int(words[-1]))
    return found
