"""The time of a short function by itself, without what a pool does around it. Pure.

Between the clocks of a message stand the function and what calls it: a frame or two of the pool,
joblib's batch with its settings, a mark after each item. Of tasks of a millisecond that is nothing;
of a microsecond it is most of the time, and a plain loop would not have it. Short tasks are also
interrupted: one that lost its CPU for 4 ms outweighs two thousand others. So the time of short
items is taken from the quicker ones, less the frame; what the account has beyond is moved to where
it belongs.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from poolwise.doctor.gather import sites, sums

if TYPE_CHECKING:
    from poolwise.doctor.gather.account import PoolAccount, States
    from poolwise.doctor.gather.sites import Messages
    from poolwise.doctor.records.pools import PoolRecords
    from poolwise.doctor.records.run import Run, Task

TINY_NS, SHORT_NS = 50_000, 1_000_000
"""Items longer than the first, in messages longer than the second, are taken as the account has
them: frames are a twentieth of them, and no longer message was recorded because it was long."""

FRAME_NS = {
    "multiprocessing.Pool": 600,
    "ProcessPoolExecutor": 1200,
    "loky": 1200,
    "ThreadPool": 600,
    "ThreadPoolExecutor": 3000,
}
"""Overhead between the clocks beside the function, by kind of pool: what an empty function takes
there less what it takes in a loop (`benchmarks/own_time.py`)."""

MARK_NS = 200
"""A mark after an item (same benchmark, as what follows)."""

BATCH_NS = 15_000
"""CPU time that joblib's batch takes around its calls."""

LEAST_NS = 30.0
"""A call of a function in a loop takes this at least."""

ENOUGH = 20
"""Marked items that are needed to tell."""

CALM = 0.2
"""The quantile that interruptions do not reach."""

MIXED, MIXED_NS = 2.0, 2000
"""Factor (and ns) between CPU times of single messages beyond which items are
of different lengths rather than interrupted, and the median is taken."""

SKEWED, SKEWED_NS = 3.0, 5000
"""Factor (and ns) of the mean CPU time over the median beyond which few items are most of the work,
and nothing is moved."""


def settle(run: Run, pool: PoolRecords, found: PoolAccount, messages: Messages) -> PoolAccount:
    """The account with the function's time as it is without the pool, where items are short."""
    if pool.kind not in FRAME_NS:
        return found
    states, by_site = dict(found.states), dict(found.sites)
    for number, some in sites.by_site(pool, messages).items():
        each = item_ns(run, pool, some.tasks)
        if each is None or number not in by_site:
            continue
        calls = [call for call in pool.calls.values() if call.site == number]
        settled = _settle(by_site[number], each * sites.count_items(calls, some))
        for state, amount in settled.items():
            states[state] = states.get(state, 0.0) + amount - by_site[number].get(state, 0.0)
        by_site[number] = settled
    workers = {pid: _like(own, found.states, states) for pid, own in found.workers.items()}
    return replace(found, states=states, sites=by_site, workers=workers)


def _settle(states: States, own: float) -> States:
    """Gives the pool what computed beyond the function's own time; what waited had no CPU."""
    cpu, blocked = states.get("run_cpu", 0.0), states.get("run_blocked", 0.0)
    if own >= cpu + blocked:
        return states
    new_cpu = min(cpu, own)
    new_blocked = min(blocked, own - new_cpu)
    found = defaultdict(float, states)
    found.update(run_cpu=new_cpu, run_blocked=new_blocked)
    found["loop"] += cpu - new_cpu
    found["run_queued"] += blocked - new_blocked
    return found


def _like(own: States, before: States, after: States) -> States:
    """A worker's account, with the same shares moved as in the whole pool's."""
    ran, ran_before = ("run_cpu", "run_blocked"), defaultdict(float, before)
    kept = {state: after[state] / ran_before[state] if ran_before[state] else 1.0 for state in ran}
    found = defaultdict(float, own)
    for state, into in zip(ran, ("loop", "run_queued"), strict=True):
        moved = found[state] * (1 - kept[state])
        found[state] -= moved
        found[into] += moved
    return found


def item_ns(run: Run, pool: PoolRecords, tasks: list[Task]) -> float | None:
    """Nanoseconds of a short item by itself; None where items are long, or differ too much."""
    counted = [task for task in tasks if task.cpu >= 0 and task.items]
    if not counted:
        return None
    each = sorted(_whole(run, pool, task) / task.items for task in counted)
    middle = sums.quantile(each, 0.5)
    per_message = sum(task.items for task in counted) / len(counted)
    is_long = middle > TINY_NS and (is_threads(pool) or middle * per_message > SHORT_NS)
    if is_long or _is_skewed(pool, counted, middle):
        return None
    warm = _warm(run, counted) if is_batched(pool) else []
    if len(warm) < ENOUGH:
        warm = each
    return max(LEAST_NS, middle if _is_mixed(counted) else sums.quantile(warm, CALM))


def _is_skewed(pool: PoolRecords, tasks: list[Task], middle: float) -> bool:
    """True if few items are most of the work: the CPU time of all is far beyond the median's."""
    items = sum(task.items for task in tasks)
    around = BATCH_NS * len(tasks) if is_batched(pool) else 0
    mean_cpu = (math.fsum(task.cpu for task in tasks) - around) / items
    return mean_cpu > SKEWED * middle + SKEWED_NS


def is_threads(pool: PoolRecords) -> bool:
    """True if tasks wait for the interpreter's lock in between, which only rules may judge."""
    return pool.kind.startswith("Thread")


def is_batched(pool: PoolRecords) -> bool:
    """True if joblib gave the tasks: its batch sets up a lot around each call."""
    return any(facts.get("api") == "__call__" for facts in pool.sites.values())


def _whole(run: Run, pool: PoolRecords, task: Task) -> float:
    """Nanoseconds of all items of a message, without the pool's frame and our marks."""
    marks = [m for m in run.items.get((task.pid, task.job, task.position), ()) if m.times]
    marked = MARK_NS * sum(len(each.times) for each in marks)
    if marks and is_batched(pool):
        return max(0.0, math.fsum(time for each in marks for time in each.times) - marked)
    return max(0.0, task.ended - task.began - FRAME_NS[pool.kind] - marked)


def _warm(run: Run, tasks: list[Task]) -> list[float]:
    """Items timed one by one behind the cold ones of their batch, shortest first."""
    timed = [
        [time - MARK_NS for each in marks if each.step == 1 for time in each.times]
        for marks in (run.items.get((t.pid, t.job, t.position), ()) for t in tasks)
    ]
    # So many items of a batch run on cold caches; those behind them as they would in a loop.
    late = [time for times in timed for time in times[8:]]
    if len(late) < ENOUGH:
        late = [time for times in timed for time in times[1:]]
    if len(late) < ENOUGH:
        late = [time for times in timed for time in times]
    return sorted(late)


def _is_mixed(tasks: list[Task]) -> bool:
    cpu = sorted(task.cpu / task.items for task in tasks)
    return sums.quantile(cpu, 0.5) > MIXED * sums.quantile(cpu, CALM) + MIXED_NS
