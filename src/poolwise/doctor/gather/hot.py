"""Hot lines of the program's own functions, hottest first. Pure.

Two sources: stacks that py-spy took from outside, which know lines, and what cProfile counted in
each worker, which knows functions only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from poolwise.doctor.evidence.features import HotLine, Profile

_TASK_FRAMES = {
    "mapstar", "starmapstar", "worker", "_process_chunk", "_process_worker", "run", "_worker",
    "__call__",
}  # fmt: skip
"""Functions of the pools that call a user's."""

_POOLS = re.compile(
    r"/(multiprocessing|concurrent/futures|loky|joblib|poolwise/worker)/|_poolwise_observer"
)
_FRAME = re.compile(r"(?P<function>.*) \((?P<file>.+):(?P<line>\d+)\)$")
_LIBRARY = re.compile(r"/lib/python\d|site-packages|dist-packages|^<|^~|_poolwise_observer")


class Frame(NamedTuple):
    """A place in a stack."""

    function: str
    file: str
    line: int

    @property
    def is_library(self) -> bool:
        """True if it is code that the program only uses."""
        return bool(_LIBRARY.search(self.file))


def from_stacks(lines: Iterable[str], rate: int) -> Profile | None:
    """Profile from collapsed stacks, one a line: `frame;frame;... count`; None if no task was seen.

    Time counts for the deepest line that is the program's own; what it called of libraries is
    named with it.
    """
    spent: Counter[Frame] = Counter()
    through: dict[Frame, Counter[str]] = {}
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = list(_inside_task(stack.split(";"))) if count.strip().isdigit() else []
        own = [frame for frame in frames if not frame.is_library]
        if own:
            spent[own[-1]] += int(count)
            called = frames[frames.index(own[-1]) + 1 :]
            if called:
                through.setdefault(own[-1], Counter())[called[0].function] += int(count)
    return _profile("py-spy", {f: n / rate for f, n in spent.items()}, through)


def from_counts(events: Iterable[Mapping[str, Any]]) -> Profile | None:
    """Profile from the last `profile` event of each worker; None if there was none.

    An entry is (file, line, function, own seconds). What builtins took is with their callers.
    """
    latest = {event["pid"]: event for event in events}
    spent: Counter[Frame] = Counter()
    for event in latest.values():
        for file, line, function, own_s in event["entries"]:
            frame = Frame(function, file, line)
            if not _POOLS.search(file):
                spent[frame] += own_s
    return _profile("cProfile", dict(spent), {})


def from_serial(events: Iterable[Mapping[str, Any]], serial_s: float) -> Profile | None:
    """Profile from the last `serial` event of the program's first process; None without one."""
    latest: Mapping[str, Any] = max(events, key=lambda event: event["t"], default={})
    spent: Counter[Frame] = Counter()
    through: dict[Frame, Counter[str]] = {}
    for file, line, function, called, count in latest.get("lines", []):
        frame = Frame(function, file, line)
        spent[frame] += count
        if called:
            through.setdefault(frame, Counter())[called] += count
    looks = sum(spent.values())
    each_s = serial_s / looks if looks else 0.0
    return _profile("signal", {frame: count * each_s for frame, count in spent.items()}, through)


def _inside_task(stack: list[str]) -> Iterator[Frame]:
    """The frames below those of the pool, of a stack that is inside of a task."""
    frames = [frame for frame in map(_parse, stack) if frame is not None]
    calls = [n for n, each in enumerate(frames) if _calls_task(each)]
    if calls:
        yield from frames[calls[-1] + 1 :]


def _calls_task(frame: Frame) -> bool:
    return frame.function in _TASK_FRAMES and bool(_POOLS.search(frame.file))


def _parse(text: str) -> Frame | None:
    found = _FRAME.match(text.strip())
    return found and Frame(found["function"], found["file"], int(found["line"]))


def _profile(
    tool: str, spent_s: Mapping[Frame, float], through: Mapping[Frame, Counter[str]]
) -> Profile | None:
    whole_s = sum(spent_s.values())
    if whole_s <= 0:
        return None
    # More lines than that nobody reads.
    hottest = sorted(spent_s, key=lambda frame: -spent_s[frame])[:20]
    lines = [
        HotLine(frame.file, frame.line, frame.function, spent_s[frame] / whole_s,
                _most(through.get(frame)))
        for frame in hottest
    ]  # fmt: skip
    return Profile(tool, whole_s, lines)


def _most(called: Counter[str] | None) -> str | None:
    return called.most_common(1)[0][0] if called else None
