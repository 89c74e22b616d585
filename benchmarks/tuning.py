"""`poolwise.tune` against a sweep over all settings, on ten workloads.

    python -m benchmarks tuning [--quick] [--rounds N]

The sweep runs every setting that the search may try, on all items, in turns, for so many rounds;
the least median is the exhaustive best. Then `tune` has a budget of a fifth of the time that the
sweep took, which with the starts of pools is to stay below a quarter. At last the setting it found
and the best run in turns, and the ratio of these is what counts: asked is 1.05 at most, on nine of
ten.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import poolwise
from benchmarks import choosing
from poolwise.choose.call import Call
from poolwise.tuning.race import Race, Ratio, Setting
from poolwise.tuning.runner import Runner
from poolwise.tuning.search import Space, list_all

ASKED = 1.05
FINAL_ROUNDS = 7


@dataclass(frozen=True)
class Workload:
    """A function and the items of a whole call."""

    function: Callable[[Any], Any]
    items: Sequence[Any]
    is_waiting: bool = False


def workloads(share: int) -> dict[str, Workload]:
    """Ten workloads of a second or less in a loop; one in `share` of the items."""
    line = choosing.LINE
    counts = {
        "tiny": Workload(choosing.tiny, range(200_000 // share)),
        "medium": Workload(choosing.medium, range(4_000 // share)),
        "heavy": Workload(choosing.heavy, range(24 // share)),
        "numpy": Workload(choosing.released, range(400 // share)),
        "sleep": Workload(choosing.nap, range(400 // share), is_waiting=True),
        "zlib": Workload(choosing.squeeze, range(80 // share)),
        "hashing": Workload(choosing.hashed, range(400 // share)),
        "JSON lines": Workload(choosing.parse, [line] * (60_000 // share)),
        "CPU and I/O": Workload(choosing.mixed, range(200 // share), is_waiting=True),
        "coroutine": Workload(choosing.awaited, range(2_000 // share), is_waiting=True),
    }
    return {name: load for name, load in counts.items() if len(load.items)}


@dataclass(frozen=True)
class Outcome:
    """Both settings, how they compare, and what it took to find them."""

    found: Setting
    best: Setting
    ratio: Ratio
    tune_s: float
    sweep_s: float


def whole_s(runner: Runner) -> Callable[[Setting, float], float]:
    return lambda setting, seconds: runner.start_s(setting) + seconds


def contest(load: Workload, rounds: int) -> Outcome:
    """Sweep, tune in a quarter of its time, and run both settings in turns."""
    call = Call(load.function, has_many=False, seed=None)
    kinds = ("serial", "asyncio") if call.is_coroutine else ("serial", "threads", "processes")
    count, cpus = len(load.items), poolwise.cpu_count()
    space = Space(kinds, cpus, count, count, load.is_waiting)
    with Runner(call, load.items, cpus) as runner:
        race = Race(runner.time, time.perf_counter, whole_s(runner))
        settings = list(dict.fromkeys(list_all(space)))
        race.enter(settings)
        begun_s = time.perf_counter()
        for _, setting in itertools.product(range(rounds), settings):
            race.times[setting][len(race.times[setting])] = runner.time(setting)
        sweep_s = time.perf_counter() - begun_s
        best = race.best(settings)
        assert best is not None
        begun_s = time.perf_counter()
        found = poolwise.tune(load.function, load.items, budget=sweep_s / 5, say=str).setting
        tune_s = time.perf_counter() - begun_s
        final = Race(runner.time, time.perf_counter, whole_s(runner))
        final.enter([found, best])
        for at in range(FINAL_ROUNDS):
            for setting in dict.fromkeys([found, best] if at % 2 else [best, found]):
                final.times[setting][at] = runner.time(setting)
        ratio = final.ratio(found, best)
        assert ratio is not None
    return Outcome(found, best, ratio, tune_s, sweep_s)


def report(rounds: int | None = None, *, is_quick: bool = False) -> None:
    """Print a line for each workload, and how many are as asked."""
    print(f"{'workload':12} {'found':28} {'exhaustive best':28} {'ratio':>18} {'time':>12}")
    close = cheap = count = 0
    for name, load in workloads(4 if is_quick else 1).items():
        outcome = contest(load, rounds or (2 if is_quick else 5))
        ratio, share = outcome.ratio, outcome.tune_s / outcome.sweep_s
        count, close, cheap = count + 1, close + (ratio.value <= ASKED), cheap + (share <= 0.25)
        interval = f"{ratio.value:.2f} ({ratio.low:.2f}-{ratio.high:.2f})"
        spent = f"{outcome.tune_s:.1f} of {outcome.sweep_s:.0f} s"
        print(f"{name:12} {outcome.found!s:28} {outcome.best!s:28} {interval:>18} {spent:>12}")
    print(f"{close} of {count} within 5 % of the best; {cheap} of {count} in a quarter of the time")
