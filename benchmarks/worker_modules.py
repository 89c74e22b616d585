"""How much a fresh worker loads before it can run a function of a module that imports nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.harness import units
from benchmarks.harness.model import WORKERS, Claim, Entrant, Target

if TYPE_CHECKING:
    from collections.abc import Callable

_COUNT = """
import multiprocessing
from benchmarks import peers
from benchmarks.tasks import count_modules
with {opener} as pool:
    print({call})
"""
_SPAWN = "multiprocessing.get_context('spawn')"


def counted_in_worker(run: Callable[[Any], Any], load: Any) -> tuple[float, Any]:
    count = float(run(load))
    return count, count


def entrant(label: str, opener: str, call: str, **rest: Any) -> Entrant:
    """`opener` and `call` are code, run in an interpreter that has loaded nothing else."""
    code = _COUNT.format(opener=opener, call=call)

    def run(*_: Any) -> str:
        process = subprocess.run(
            [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
        )
        return process.stdout.split()[-1]

    return Entrant(label, run, warm=lambda *_: None, **rest)


def check(_load: Any, count: float) -> None:
    assert count > 10, "an interpreter alone loads more"


CLAIM = Claim(
    title="modules loaded by a fresh worker",
    cases={"modules": lambda: WORKERS},
    measure=counted_in_worker,
    unit=units.COUNT,
    check=check,
    rounds=1,
    entrants=[
        entrant(
            "poolwise.Pool, spawn",
            f"peers.poolwise_pool(context={_SPAWN})",
            "pool.apply(count_modules)",
        ),
        entrant("mp.Pool, spawn", "peers.mp_pool('spawn')", "pool.apply(count_modules)"),
        entrant("PPE, spawn", "peers.ppe('spawn')", "pool.submit(count_modules).result()"),
        entrant("loky", "peers.loky_executor()", "pool.submit(count_modules).result()"),
        entrant(
            "joblib",
            "peers.joblib_parallel()",
            "pool([__import__('joblib').delayed(count_modules)()])[0]",
        ),
        entrant(
            "mpire, spawn",
            "peers.mpire_pool(start_method='spawn')",
            "pool.apply(count_modules)",
        ),
        entrant(
            "pebble, spawn",
            f"peers.pebble_pool(context={_SPAWN})",
            "pool.schedule(count_modules).result()",
        ),
        entrant("ray", "peers.ray_pool()", "pool.apply(count_modules)", has_daemons=True),
    ],
    targets=[
        Target("mp.Pool, spawn"),
        Target("PPE, spawn"),
        Target("loky"),
        Target("mpire, spawn"),
    ],
)
