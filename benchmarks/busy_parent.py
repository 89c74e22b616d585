"""imap, then the parent works for as long as the workers need: the two go on side by side."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.harness.model import Claim, Entrant, Target

if TYPE_CHECKING:
    from collections.abc import Callable

ITEMS = 400
NAP_S = 0.005
CPU_S = 0.002


def nap(item: int) -> int:
    time.sleep(NAP_S)
    return item


def busy(item: int) -> int:
    until = time.process_time() + CPU_S
    while time.process_time() < until:
        pass
    return item


def work_and_read(results: Any, own_s: float) -> list[int]:
    """The parent's own work, which is pure Python, and then the results."""
    until = time.perf_counter() + own_s
    while time.perf_counter() < until:
        pass
    return list(results)


def load(task: Callable[[int], int], item_s: float) -> Callable[[], Any]:
    return lambda: (task, list(range(ITEMS)), ITEMS * item_s / 2)


def by_imap(pool: Any, case: Any) -> list[int]:
    task, items, own_s = case
    return work_and_read(pool.imap(task, iter(items)), own_s)


def by_executor(executor: Any, case: Any) -> list[int]:
    task, items, own_s = case
    return work_and_read(executor.map(task, iter(items)), own_s)


def check(case: Any, results: list[int]) -> None:
    assert results == case[1], "wrong results"


CLAIM = Claim(
    title=f"imap of {ITEMS} items beside a parent that is busy for as long as they take",
    cases={"tasks that wait": load(nap, NAP_S), "tasks that compute": load(busy, CPU_S)},
    check=check,
    entrants=[
        Entrant("poolwise.Pool", by_imap, peers.poolwise_pool, warm=lambda p, _: p.map(nap, [1])),
        Entrant(
            "poolwise.Executor",
            by_executor,
            peers.poolwise_executor,
            warm=lambda p, _: list(p.map(nap, [1])),
        ),
        Entrant("mp.Pool", by_imap, peers.mp_pool, warm=lambda p, _: p.map(nap, [1])),
        Entrant("PPE", by_executor, peers.ppe, warm=lambda p, _: list(p.map(nap, [1]))),
    ],
    targets=[Target("mp.Pool", 0.95)],
)
