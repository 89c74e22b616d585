"""The way of one item through a warm pool, counted in the parent's own Python code."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import maps, peers
from benchmarks.harness import units
from benchmarks.harness.model import Claim, Entrant, Target
from benchmarks.tasks import same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import FrameType

_LIBRARIES = frozenset(
    {"poolwise", "multiprocessing", "concurrent", "loky", "joblib", "mpire", "pebble", "ray"}
)
_TAIL_S = 0.3  # what polls or tidies up shows in it
_steps: Counter[tuple[str, str]] = Counter()


def note_call(frame: FrameType, event: str, _argument: object) -> None:
    """A profile function: one step for each Python call inside a pool library."""
    if event == "call":
        file = frame.f_code.co_filename
        if not _LIBRARIES.isdisjoint(Path(file).parts):
            _steps[file, frame.f_code.co_name] += 1


@contextmanager
def followed(opener: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
    """Threads are followed from their start on, and some start only with the first call."""
    threading.setprofile(note_call)
    with opener() as pool:
        yield pool


def follow(run: Callable[[Any], Any]) -> Counter[tuple[str, str]]:
    run([1])
    time.sleep(_TAIL_S)
    _steps.clear()
    sys.setprofile(note_call)
    try:
        results = run([1])
        time.sleep(_TAIL_S)
    finally:
        sys.setprofile(None)
    assert list(results) == [1], "wrong result"
    return _steps.copy()


def count_what(run: Callable[[Any], Any], load: str) -> tuple[float, Any]:
    steps = follow(run)
    counts = {
        "calls": sum(steps.values()),
        "functions": len(steps),
        "files": len({file for file, _ in steps}),
    }
    return counts[load], steps


def check(_load: str, steps: Counter[tuple[str, str]]) -> None:
    assert steps, "nothing was followed"


def entrant(label: str, run: maps.Run, opener: Any, **rest: Any) -> Entrant:
    return Entrant(label, run, partial(followed, opener), warm=lambda *_: None, **rest)


CLAIM = Claim(
    title="one item through a warm pool: Python calls in the parent, inside pool libraries",
    cases={"calls": lambda: "calls", "functions": lambda: "functions", "files": lambda: "files"},
    measure=count_what,
    unit=units.COUNT,
    check=check,
    rounds=3,
    entrants=[
        entrant("poolwise.Pool", maps.by_pool(same), peers.poolwise_pool),
        entrant("poolwise.Executor", maps.by_executor(same), peers.poolwise_executor),
        entrant("mp.Pool", maps.by_pool(same), peers.mp_pool),
        entrant("PPE", maps.by_executor(same), peers.ppe),
        entrant("loky", maps.by_executor(same), peers.loky_executor),
        entrant("joblib", maps.by_joblib(same), peers.joblib_parallel),
        entrant(
            "mpire, kept alive", maps.by_pool(same), partial(peers.mpire_pool, keep_alive=True)
        ),
        entrant("pebble", maps.by_pebble(same), peers.pebble_pool),
        entrant("ray", maps.by_pool(same), peers.ray_pool, has_daemons=True),
    ],
    targets=[Target("mp.Pool")],
)
