"""Memory of the parent while large results are read one by one and dropped."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.arrays import MB, give
from benchmarks.harness import units
from benchmarks.harness.model import Claim, Entrant, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RESULTS = 48
MEGABYTES = 4
LOOK_S = 0.01


def read_bytes(name: str) -> int:
    """A line of /proc/self/status, such as VmHWM: the most that was resident."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition(f"{name}:")[2].split()[0]) * 1024


def peak_bytes(run: Callable[[Any], Any], load: Any) -> tuple[float, Any]:
    """By how much the resident memory of this process grew at most."""
    before = read_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
    results = run(load)
    return max(1.0, read_bytes("VmHWM") - before), results


def read_slowly(results: Iterable[Any]) -> list[float]:
    read = []
    for result in results:
        time.sleep(LOOK_S)  # something is done with it: the workers are faster
        read.append(float(result[-1]))
    return read


def by_imap(pool: Any, lengths: list[int]) -> list[float]:
    return read_slowly(pool.imap(give, lengths))


def by_executor(executor: Any, lengths: list[int]) -> list[float]:
    return read_slowly(executor.map(give, lengths))


def by_joblib(parallel: Any, lengths: list[int]) -> list[float]:
    from joblib import delayed

    return read_slowly(parallel(delayed(give)(length) for length in lengths))


def check(load: list[int], results: list[float]) -> None:
    assert results == [length - 1.0 for length in load], "wrong results"


CLAIM = Claim(
    title=f"{RESULTS} results of {MEGABYTES} MB read one by one: growth of the parent",
    cases={"imap": lambda: [MEGABYTES * MB] * RESULTS},
    measure=peak_bytes,
    unit=units.BYTES,
    check=check,
    entrants=[
        Entrant("poolwise.Pool", by_imap, peers.poolwise_pool),
        Entrant("poolwise.Executor", by_executor, peers.poolwise_executor),
        Entrant("mp.Pool", by_imap, peers.mp_pool),
        Entrant("PPE", by_executor, peers.ppe),
        Entrant("joblib", by_joblib, partial(peers.joblib_parallel, return_as="generator")),
        Entrant("mpire", by_imap, partial(peers.mpire_pool, keep_alive=True)),
    ],
    targets=[Target("mp.Pool")],
)
