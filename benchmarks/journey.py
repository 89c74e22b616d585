"""The way of one item through a warm pool, counted in the parent: calls, functions and files.

Every Python frame of every thread counts, wherever its file lies (`threading.py` and `queue.py`
too), over many items one after another. Functions and files are those that were entered for at
least one item in ten, so that housekeeping now and then is not counted as the way.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import maps, peers
from benchmarks.harness import units
from benchmarks.harness.model import Claim, Entrant, Target
from benchmarks.tasks import same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import CodeType, FrameType

ITEMS, TO_WARM_UP = 100, 20
_steps: Counter[CodeType] = Counter()
_is_counting = [False]


def note_call(frame: FrameType, event: str, _argument: object) -> None:
    """Profile function that counts each Python call."""
    if event == "call" and _is_counting[0]:
        _steps[frame.f_code] += 1


@contextmanager
def followed(opener: Callable[[], AbstractContextManager[Any]]) -> Iterator[Any]:
    """Threads are followed from their start on, and some start only with the first call."""
    threading.setprofile(note_call)
    with opener() as pool:
        yield pool


def follow(run: Callable[[Any], Any]) -> Counter[CodeType]:
    """How often each function was entered by `ITEMS` calls of one item each."""
    for _ in range(TO_WARM_UP):
        run([1])
    _steps.clear()
    sys.setprofile(note_call)
    _is_counting[0] = True
    try:
        for _ in range(ITEMS):
            assert list(run([1])) == [1], "wrong result"
    finally:
        _is_counting[0] = False
        sys.setprofile(None)
    return Counter(
        {code: count for code, count in _steps.items() if not _is_ours(code.co_filename)}
    )


def _is_ours(file: str) -> bool:
    return file.startswith("<") or file == __file__ or "benchmarks" in file


def count_what(run: Callable[[Any], Any], load: str) -> tuple[float, Any]:
    steps = follow(run)
    often = [code for code, count in steps.items() if count >= ITEMS / 10]
    counts = {
        "calls": sum(steps.values()) / ITEMS,
        "functions": len(often),
        "files": len({code.co_filename for code in often}),
    }
    return counts[load], steps


def check(_load: str, steps: Counter[CodeType]) -> None:
    assert steps, "nothing was followed"


def entrant(label: str, run: maps.Run, opener: Any, **rest: Any) -> Entrant:
    return Entrant(label, run, partial(followed, opener), warm=lambda *_: None, **rest)


CLAIM = Claim(
    title="one item through a warm pool: Python calls in the parent, in all threads",
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
