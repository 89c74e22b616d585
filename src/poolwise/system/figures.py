"""Figures of this machine that choices and predictions go by: measured once, then kept in a file.

One small file for each machine and each kind of interpreter, in the user's cache folder. What a
first use can measure in some milliseconds it measures (:func:`measure`); a start of workers is
timed when the first are started, as real work; ``poolwise bench`` measures all of it with care.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from poolwise.record import record

CACHE_VARIABLE = "POOLWISE_CACHE"
"""Names another folder; set to nothing, no file is read and none is written."""


@record
class Figures:
    """Costs on this machine; the defaults are assumed where nothing was measured.

    :param start_s: start method -> until the first of some new worker processes has answered.
    :param thread_start_s: to start a thread and see it end.
    :param copy_s_per_byte: a buffer into shared memory, and to read it there once.
    :param chunk_s: a chunk sent to a worker process and its answer: the parent.
    :param thread_chunk_s: the same of a thread.
    :param item_s: an item of a chunk: the parent, to pickle it and to rebuild its value.
    :param source: "assumed", "first use" or "bench".
    """

    start_s: dict[str, float]
    thread_start_s: float = 1e-4
    copy_s_per_byte: float = 4e-10
    chunk_s: float = 70e-6
    thread_chunk_s: float = 20e-6
    item_s: float = 0.22e-6
    source: str = "assumed"

    def start_of(self, method: str) -> float:
        """Seconds to a first answer; a start that was timed beside much else counts in part."""
        assumed_s = ASSUMED_START_S.get(method, ASSUMED_START_S["spawn"])
        return min(self.start_s.get(method, assumed_s), 4 * assumed_s)


ASSUMED_START_S = {"fork": 0.02, "forkserver": 0.15, "spawn": 0.15}
"""For two workers, until a start was timed; those that are fresh interpreters import as well."""


def folder() -> str | None:
    """The folder of poolwise in the user's cache; None where there is none."""
    named = os.environ.get(CACHE_VARIABLE)
    if named is not None:
        return named or None
    base = _base_folder()
    return os.path.join(base, "poolwise") if base and os.path.isabs(base) else None


def _base_folder() -> str | None:
    if sys.platform == "win32":
        return os.environ.get("LOCALAPPDATA")
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Caches")
    wanted = os.environ.get("XDG_CACHE_HOME", "")  # a relative path is to be ignored (XDG 0.8)
    return wanted if os.path.isabs(wanted) else os.path.expanduser("~/.cache")


def machine_name() -> str:
    """The name of this machine, as part of a file's name: a home may be that of many machines."""
    uname = getattr(os, "uname", None)
    node = uname().nodename if uname is not None else os.environ.get("COMPUTERNAME", "")
    return re.sub(r"[^\w.-]", "_", node) or "machine"


def path() -> str | None:
    """The file of this machine and this kind of interpreter; None: nothing is kept."""
    home = folder()
    if home is None:
        return None
    kind = f"{sys.implementation.cache_tag}{getattr(sys, 'abiflags', '')}"
    return os.path.join(home, f"figures-{machine_name()}-{kind}.json")


def read() -> Figures | None:
    """The figures in the file; None without one, or if it holds something else."""
    where = path()
    if where is None:
        return None
    try:
        with open(where, encoding="utf-8") as file:
            plain = json.load(file)
    except (OSError, ValueError):  # absent, or cut short: it will be written anew
        return None
    return _restore(plain)


def _restore(plain: Any) -> Figures | None:
    if not isinstance(plain, dict) or not isinstance(plain.get("start_s"), dict):
        return None
    numbers = [
        value for key, value in [*plain.items(), *plain["start_s"].items()]
        if key not in {"start_s", "source"}
    ]  # fmt: skip
    hour_s = 60 * 60
    if not all(isinstance(number, (int, float)) and 0 < number < hour_s for number in numbers):
        return None
    names = Figures.__slots__  # type: ignore[attr-defined] # a record has them
    return Figures(**{name: plain[name] for name in names if name in plain})


def save(figures: Figures) -> str | None:
    """Write the figures to their file; the reason if that is not possible, else None."""
    where = path()
    if where is None:
        return f"there is no folder for it: {CACHE_VARIABLE} is empty, or there is no home"
    names = Figures.__slots__  # type: ignore[attr-defined] # a record has them
    plain = json.dumps({name: getattr(figures, name) for name in names}, indent=1)
    unfinished = f"{where}.{os.getpid()}.part"
    try:
        os.makedirs(os.path.dirname(where), exist_ok=True)
        with open(unfinished, "w", encoding="utf-8") as file:
            file.write(plain)
        os.replace(unfinished, where)
    except OSError as error:  # a full disk leaves a part of it
        with suppress(OSError):
            os.remove(unfinished)
        return str(error)
    return None


def measure(clock: Callable[[], float] = time.perf_counter, most_s: float = 0.04) -> Figures:
    """Measure what takes no worker process, within a time; the best of what fits into it."""
    found = Figures({})
    threads, copies = [_time_thread(clock)], [_time_copy(clock)]
    begun_s, tries = clock(), 5
    while len(threads) < tries and clock() - begun_s < most_s / 2:
        threads.append(_time_thread(clock))
        copies.append(_time_copy(clock))
    found.thread_start_s = max(min(threads), 1e-6)
    found.copy_s_per_byte = max(2 * min(copies), 1e-12)  # into the memory, and read there
    found.source = "first use"
    return found


def _time_thread(clock: Callable[[], float]) -> float:
    import threading

    begun_s = clock()
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    return clock() - begun_s


def _time_copy(clock: Callable[[], float]) -> float:
    """Seconds a byte to copy memory that no cache of a core holds."""
    source = bytearray(2 << 20)
    target = bytearray(len(source))
    begun_s = clock()
    target[:] = source
    return (clock() - begun_s) / len(source)


_known: Figures | None = None


def known() -> Figures:
    """The figures of this machine: from the file, or measured now and kept there."""
    global _known  # noqa: PLW0603 - one machine
    if _known is None:
        _known = read()
        if _known is None:
            _known = measure()
            save(_known)  # where it cannot be kept, the next process measures again: some ms
    return _known


def note_start(method: str, seconds: float) -> None:
    """A start of workers took so long: kept for later processes if that is news."""
    figures = known()
    before_s = figures.start_s.get(method)
    if before_s is None or not 0.75 * before_s < seconds < 1.33 * before_s:
        # What was slow once may have been beside something else: the past counts as much.
        figures.start_s[method] = min(seconds, (seconds + (before_s or seconds)) / 2)
        save(figures)
