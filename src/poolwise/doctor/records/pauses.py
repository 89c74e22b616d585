"""A run as if the experiments of `--verify` had not been: their time is cut out of every record.

While experiments run the program waits for them, so that nothing happens in it that would be lost:
what came after comes earlier by as much. Pure.
"""

from __future__ import annotations

import dataclasses
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poolwise.doctor.records.run import Run

_TIMES = {
    "tasks": (
        "get", "lock", "header", "payload", "loaded", "began", "ended", "pickling", "wanted",
        "got", "sent",
    ),
    "sends": ("free", "taken", "pickled", "sent", "submitted"),
    "results": ("waiting", "header", "payload", "loaded", "handled"),
    "calls": ("began", "ended"),
    "thread_tasks": ("get", "began", "ended", "submitted"),
}  # fmt: skip
"""Fields of a record that are points in time. Zero means that there is none."""

_PID = re.compile(r"process (\d+):")
"""Line of py-spy that names the process of a stack."""

_EVENT_TIMES = ("t", "began", "ended", "started", "ready", "ending")


def cut_out(run: Run) -> Run:
    """The run without the time of its experiments; the same run if there were none."""
    tried = run.of("verify")
    if not tried:
        return run
    clock = _Clock([(each["began"], each["ended"]) for each in tried])
    cut: dict[str, Any] = {
        name: _move_all(getattr(run, name), times, clock) for name, times in _TIMES.items()
    }
    pids = {pid for each in tried for pid in each["pids"]}
    return dataclasses.replace(
        run,
        **cut,
        launch=_move_launch(run.launch, clock, sum(each["cpu_s"] for each in tried), pids),
        events={kind: [_move_event(e, clock) for e in some] for kind, some in run.events.items()},
        beats=[_move(beat, ("at", "opened_at"), clock) for beat in run.beats],
        lives={pid: _move(life, ("booted", "ready"), clock) for pid, life in run.lives.items()},
        last_gets={pid: _move_pair(pair, clock) for pid, pair in run.last_gets.items()},
        stacks=[stack for stack in run.stacks if not pids & set(map(int, _PID.findall(stack)))],
        samples={
            pid: _move_samples(threads, clock)
            for pid, threads in run.samples.items()
            if pid not in pids
        },
    )


class _Clock:
    """Clock without the pauses; all of a pause falls on its beginning."""

    def __init__(self, pauses: Iterable[tuple[int, int]]) -> None:
        self._pauses = sorted(pauses)
        self._begins = [began for began, _ in self._pauses]
        self._lost = [0, *accumulate(ended - began for began, ended in self._pauses)]

    def move(self, at: int) -> int:
        """The time on the clock that stood still."""
        number = bisect_right(self._begins, at)
        if not number or at <= 0:
            return at
        began, ended = self._pauses[number - 1]
        return at - self._lost[number - 1] - (min(at, ended) - began)

    def is_paused(self, at: int) -> bool:
        """True if experiments ran then."""
        number = bisect_right(self._begins, at)
        return bool(number) and at < self._pauses[number - 1][1]


def _move(record: Any, names: Sequence[str], clock: _Clock) -> Any:
    return record._replace(**{name: clock.move(getattr(record, name)) for name in names})


def _move_all(groups: dict[int, list[Any]], names: Sequence[str], clock: _Clock) -> Any:
    moved = {
        key: [_move(record, names, clock) for record in records] for key, records in groups.items()
    }
    return defaultdict(list, moved)


def _move_event(event: dict[str, Any], clock: _Clock) -> dict[str, Any]:
    if event["ev"] == "verify":
        return event
    moved = {name: clock.move(event[name]) for name in _EVENT_TIMES if event.get(name)}
    return {**event, **moved}


def _move_pair(pair: tuple[int, int], clock: _Clock) -> tuple[int, int]:
    return clock.move(pair[0]), clock.move(pair[1])


def _move_samples(threads: dict[int, list[Any]], clock: _Clock) -> dict[int, list[Any]]:
    """Samples of threads outside pauses, on the clock without them."""
    moved = {
        thread: [_move(each, ("at",), clock) for each in seen if not clock.is_paused(each.at)]
        for thread, seen in threads.items()
    }
    return {thread: seen for thread, seen in moved.items() if seen}


def _move_launch(
    launch: dict[str, Any], clock: _Clock, cpu_s: float, pids: set[int]
) -> dict[str, Any]:
    """The launcher's view, without the experiments' processes and what they used."""
    moved = dict(launch)
    if "ended_ns" in launch:
        moved["ended_ns"] = clock.move(launch["ended_ns"])
    if "ended_ns" in launch and launch.get("cpu_s") is not None:
        moved.update(_share_out(launch, moved["ended_ns"], cpu_s))
    processes = launch.get("processes", {})
    moved["processes"] = {pid: seen for pid, seen in processes.items() if int(pid) not in pids}
    return moved


def _share_out(launch: dict[str, Any], ended_ns: int, cpu_s: float) -> dict[str, float]:
    """CPU-seconds without those of the experiments, and without what others used meanwhile.

    Nobody looked at the others in between: they are taken to be as busy then as at other times.
    """
    began_ns = launch["began_ns"]
    kept = (ended_ns - began_ns) / max(1, launch["ended_ns"] - began_ns)
    program_s = max(0.0, launch["cpu_s"] - cpu_s)
    shared = {"cpu_s": program_s}
    if launch.get("busy_s") is not None:
        beside_s = launch.get("beside_s", 0.0)
        others_s = max(0.0, launch["busy_s"] - launch["cpu_s"] - beside_s)
        shared["busy_s"] = program_s + beside_s + others_s * kept
    if launch.get("steal_s") is not None:
        shared["steal_s"] = launch["steal_s"] * kept
    return shared
