"""Reads the directory that an observed run left behind, of this version or an earlier one.

    run.json       the launcher's view: command, times, exit code, load, processes
    samples.txt    states and wait channels of threads, as the launcher saw them
    stacks.txt     with --profile: stacks that py-spy saw
    PID-T.rec      slots of 24 integers that the probes of one process wrote
    PID-T.ev       its rare events, one Python literal a line

Nothing is interpreted here beyond the names of fields. A line or slot that was cut off, because a
process was killed while it wrote, is left out.
"""

from __future__ import annotations

import ast
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from struct import Struct
from typing import IO, Any

from poolwise.doctor.boot._poolwise_observer import gate, recorder
from poolwise.doctor.records.pauses import cut_out
from poolwise.doctor.records.run import (
    Beat,
    Call,
    ItemTimes,
    Life,
    Meter,
    Result,
    Run,
    Sample,
    Send,
    Task,
    ThreadTask,
)


class UnreadableError(ValueError):
    """The directory holds no observed run, or one of a version that is not known."""


def read(directory: str) -> Run:
    """Read a record directory.

    :raises UnreadableError: it holds no run, or one of a later version than this.
    """
    try:
        names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        return _read(directory, names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, UnreadableError):
            raise
        message = f"{directory} holds no run that can be read: {error!r}"
        raise UnreadableError(message) from error


def _read(directory: str, names: list[str]) -> Run:
    run = Run(_read_launch(directory, names), _read_events(directory, names))
    files = [
        os.path.join(directory, name)
        for name in names
        if name.endswith(".rec") and name.partition("-")[0].isdecimal()
    ]
    written = (os.stat(path).st_blocks * 512 for path in files)  # their ends are empty
    sieve = _Sieve(sum(written) // _SLOT.size)
    for path in files:
        _read_slots(run, path, int(os.path.basename(path).partition("-")[0]), sieve)
    run.samples = _read_samples(os.path.join(directory, "samples.txt"))
    run.stacks = _read_stacks(os.path.join(directory, STACKS))
    return cut_out(run)


def _read_launch(directory: str, names: list[str]) -> dict[str, Any]:
    if "run.json" not in names:
        message = f"{directory} holds no observed run: there is no run.json in it"
        raise UnreadableError(message)
    with open(os.path.join(directory, "run.json"), encoding="utf-8") as file:
        launch: dict[str, Any] = json.load(file)
    if launch.get("format", 0) > 1:
        message = f"{directory} was written by a later version of poolwise than this one"
        raise UnreadableError(message)
    if not {"command", "began_ns"} <= set(launch):
        message = f"{directory} holds no observed run: its run.json is of something else"
        raise UnreadableError(message)
    return launch


def _read_events(directory: str, names: list[str]) -> dict[str, list[dict[str, Any]]]:
    events: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name in names:
        if name.endswith(".ev"):
            with open(os.path.join(directory, name), encoding="ascii", errors="replace") as file:
                for event in map(_parse, file):
                    if event is not None:
                        events[event["ev"]].append(event)
    for each in events.values():
        each.sort(key=lambda event: event["t"])
    return dict(events)


def _parse(line: str) -> dict[str, Any] | None:
    try:
        event = ast.literal_eval(line)
    except (SyntaxError, ValueError):
        return None
    return event if isinstance(event, dict) and "ev" in event and "t" in event else None


def list_slots(file: IO[bytes], offset: int = 0) -> Iterator[tuple[int, tuple[int, ...]]]:
    """The slots of a file from here on, each with its place; those that are empty too."""
    file.seek(offset)
    while whole := (content := file.read(_BLOCK_BYTES)) and len(content) // _SLOT.size:
        for slot in _SLOT.iter_unpack(content[: whole * _SLOT.size]):
            yield offset, slot
            offset += _SLOT.size


_SLOT = Struct("24q")
_BLOCK_BYTES = 256 * _SLOT.size


def _read_slots(run: Run, path: str, pid: int, sieve: _Sieve) -> None:
    with open(path, "rb") as file:
        for _, slot in list_slots(file):
            take = _TAKE.get(slot[0])
            run.slots += take is not None
            found = sieve.look(slot) if take is not None else None
            if take is not None and found is not None:
                take(run, pid, found)


class _Sieve:
    """Lets a sample of the messages through, where a report would take too long for all.

    Those of one in n periods of the probes' clock, so that the same messages are seen at each step
    of their way; the first of each probe; and tasks that took long. To the account, the others are
    messages that were not recorded.
    """

    def __init__(self, slots: int) -> None:
        self._every = -(-slots // MOST_SLOTS)
        self._slow_ns, self._slow = gate.SLOW_NS, 0
        self._is_in = True

    def look(self, slot: tuple[int, ...]) -> tuple[int, ...] | None:
        """The slot; None if it is left out."""
        if self._every <= 1 or slot[0] not in _SIFTED:
            return slot
        if slot[0] != recorder.ITEMS:  # which belong to the task before
            kind, time = _SIFTED[slot[0]]
            # Scattered: a program's own rhythm may be that of every n-th.
            period = hash((slot[_at(kind, time)] // gate.PERIOD_NS,))
            self._is_in = slot[_at(kind, "number")] <= gate.FULL or period % self._every == 0
            if not self._is_in and "ended" in kind._fields:
                return self._as_slow(kind, slot)
        return slot if self._is_in else None

    def _as_slow(self, kind: Any, slot: tuple[int, ...]) -> tuple[int, ...] | None:
        """A task that took long, without its counters: it does not stand for others."""
        if slot[_at(kind, "ended")] - slot[_at(kind, "began")] < self._slow_ns:
            return None
        self._slow += 1
        if self._slow % gate.ENOUGH == 0:  # from now on, only those of twice that length
            self._slow_ns *= 2
        first, last = _at(kind, "cpu"), _at(kind, "queued_before") + 1
        return (*slot[:first], *(-1,) * (last - first), *slot[last:])


MOST_SLOTS = 20_000
"""Limit of records that are looked at, give or take: more take a report longer than a second
(`benchmarks/report_time.py`)."""

_SIFTED: dict[int, tuple[Any, str]] = {
    recorder.TASK: (Task, "get"),
    recorder.SEND: (Send, "taken"),
    recorder.RESULT: (Result, "waiting"),
    recorder.THREAD: (ThreadTask, "get"),
    recorder.ITEMS: (ItemTimes, ""),
}
"""Records of messages, and which of their times counts."""


@cache
def _at(kind: Any, name: str) -> int:
    """Offset of a field in a slot: the kind of a slot stands where a record has its process."""
    return int(kind._fields.index(name))


def _take_task(run: Run, pid: int, slot: tuple[int, ...]) -> None:
    task = Task(pid, *slot[1:])
    if not task.sent:  # ended while it sent: what is known is that it began to pickle
        task = task._replace(wanted=task.pickling, got=task.pickling, sent=task.pickling)
    run.tasks[pid].append(task)


def _take_last_get(run: Run, pid: int, slot: tuple[int, ...]) -> None:
    run.last_gets[pid] = slot[1], slot[2]


def _take_items(run: Run, pid: int, slot: tuple[int, ...]) -> None:
    times = tuple(time for time in slot[7:] if time >= 0)
    found = ItemTimes(pid, slot[1], slot[2], slot[3], slot[4], slot[5], times)
    run.items[pid, slot[1], slot[2]].append(found)


def _take_life(run: Run, pid: int, slot: tuple[int, ...]) -> None:
    run.lives[pid] = Life(pid, *slot[1:7])


def _take_cost(run: Run, pid: int, slot: tuple[int, ...]) -> None:
    del pid
    run.sampling_ns[slot[1]] += slot[2]


def _take_header(run: Run, pid: int, slot: tuple[int, ...]) -> None:
    run.births[pid] = slot[4]


_TAKE = {
    recorder.TASK: _take_task,
    recorder.SEND: lambda run, pid, slot: run.sends[slot[1]].append(Send(pid, *slot[1:15])),
    recorder.RESULT: lambda run, pid, slot: run.results[slot[1]].append(Result(pid, *slot[1:14])),
    recorder.THREAD: lambda run, pid, slot: run.thread_tasks[slot[1]].append(
        ThreadTask(pid, *slot[1:18])
    ),
    recorder.CALL: lambda run, pid, slot: run.calls[slot[1]].append(Call(pid, *slot[1:10])),
    recorder.LAST_GET: _take_last_get,
    recorder.BEAT: lambda run, pid, slot: run.beats.append(Beat(pid, *slot[1:8])),
    recorder.ITEMS: _take_items,
    recorder.METER: lambda run, pid, slot: run.meters.append(Meter(pid, *slot[1:7])),
    recorder.LIFE: _take_life,
    recorder.COST: _take_cost,
    recorder.HEADER: _take_header,
}


STACKS = "stacks.txt"
"""File in which a profiler beside the program leaves collapsed stacks, one a line."""


def _read_stacks(path: str) -> list[str]:
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().splitlines()


def _read_samples(path: str) -> dict[int, dict[int, list[Sample]]]:
    """Samples by process and thread, in order of time."""
    found: dict[int, dict[int, list[Sample]]] = {}
    for words in _lines(path):
        try:
            at, pid, thread, state, channel, ticks = words
            sample = Sample(int(at), state, channel, int(ticks))
            found.setdefault(int(pid), {}).setdefault(int(thread), []).append(sample)
        except ValueError:
            continue
    return found


def _lines(path: str) -> Iterator[list[str]]:
    if os.path.exists(path):
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                yield line.split()
