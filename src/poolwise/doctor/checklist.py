"""Nine points to go through when a pool is slow, each answered for one program from one run.

The points are those of a practical checklist: what is the bottleneck, where does time go, is work
batched, are arguments light, is big data shared, is the pool's size right, the chunk size, the
model (processes, threads, a loop), and is there a benchmark to keep.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from poolwise.doctor import kinds, measures, words
from poolwise.doctor.diagnose import Diagnosis
from poolwise.doctor.features import Evidence, Pool, Site
from poolwise.doctor.remedies import better_chunk
from poolwise.doctor.schedule import makespan_s
from poolwise.report import figures

Answer = Literal["good", "bad", "unknown"]

ENOUGH_WORK_S = 2e-3
"""A message that carries some milliseconds of work drowns in no overhead."""

LIGHT_BYTES = 4096
BIG_BYTES = 65536
"""From that size on an array is worth sharing rather than sending."""

MOSTLY, HARDLY = 0.7, 0.2
"""Blocked share of the function's time: I/O-bound above, CPU-bound below, mixed between."""

ENOUGH_TO_TELL_S = 0.05
"""Some time slices of the kernel, of 3 to 10 ms each: one that others took looks like waiting."""

CHUNKS = (1, 5, 20, 100, 500)
"""The sizes that are tried first; the present and the suggested one are added."""


@dataclass(frozen=True)
class Point:
    """One point: what it asks, how it stands here, and in words with numbers."""

    title: str
    answer: Answer
    words: str


def go_through(seen: Evidence, diagnosis: Diagnosis) -> list[Point]:
    """All points for the call that had most worker time; none if no pool got work."""
    chosen = main_call(seen)
    if chosen is None:
        return []
    view = _View(seen, diagnosis, *chosen)
    return [ask(view) for ask in _POINTS]


def main_call(seen: Evidence) -> tuple[Pool, Site] | None:
    """The pool that had most worker time, and its heaviest call."""
    pools = [pool for pool in seen.pools if pool.messages and pool.sites]
    if not pools:
        return None
    pool = max(pools, key=lambda each: each.worker_seconds)
    return pool, max(pool.sites, key=lambda each: sum(each.account.values()))


def chunk_sizes(pool: Pool, site: Site) -> list[int]:
    """Chunk sizes worth trying for a call."""
    per_call = max(1, site.items // max(1, site.calls))
    most = max(1, math.ceil(per_call / max(1, pool.slots)))
    wanted = {*CHUNKS, round(site.chunksize), better_chunk(site, pool, _cost_s(site))}
    return sorted({max(1, min(size, most)) for size in wanted})


def worker_counts(pool: Pool, seen: Evidence) -> list[int]:
    """Numbers of workers worth trying: as many as can be busy, one step up, one down."""
    best = best_workers(pool, seen)
    return sorted({max(1, best - 1), best, best + 1, pool.slots})


def best_workers(pool: Pool, seen: Evidence) -> int:
    """As many as keep the CPUs busy: CPUs / share of the function's time on a CPU.

    Waiting counts only where it is most of a task that takes its time: what the shortest tasks seem
    to wait is the noise of the clocks.
    """
    blocked = measures.blocked_share(pool)
    waits = blocked > HARDLY and measures.per_message(pool, pool.work_s) > ENOUGH_WORK_S / 2
    busy = max(0.05, 1 - blocked) if waits else 1.0
    return max(1, min(math.ceil(seen.program.cpus / busy), 4 * max(pool.slots, 8)))


@dataclass(frozen=True)
class _View:
    seen: Evidence
    diagnosis: Diagnosis
    pool: Pool
    site: Site

    def has(self, *names: str) -> bool:
        found = self.diagnosis.findings
        known = {name for each in found for name in (each.name, *each.consequences)}
        return bool(known & set(names))


def _bottleneck(view: _View) -> Point:
    blocked = measures.blocked_share(view.site)
    inside = view.pool.work_s / measures.usable_s(view.pool)
    kind = "I/O-bound" if blocked > MOSTLY else "CPU-bound" if blocked < HARDLY else "mixed"
    if view.site.work_s < ENOUGH_TO_TELL_S:
        kind = "too short here to be told I/O-bound from CPU-bound"
    loop = figures.seconds(measures.plain_loop_s(view.pool))
    text = (
        f"The function is {kind}: {figures.share(1 - blocked)} of its time on a CPU. It fills "
        f"{figures.share(min(1.0, inside))} of the workers' time. A plain loop would take about "
        f"{loop}; the pool took {figures.seconds(view.pool.active_s)}."
    )
    return Point("Clarify the bottleneck", "good" if inside > 0.8 else "bad", text)  # noqa: PLR2004


def _timings(view: _View) -> Point:
    times, site = view.site.item_times, view.site
    if times is None:
        return Point("Instrument timings", "unknown", "No single task could be timed.")
    work_s = measures.per_item(site, site.work_s)
    moving_s = measures.per_item(site, measures.moving_s(site))
    spread = f"half of the items take {figures.seconds(times.p50_s)} or less, "
    spread += f"the longest {figures.seconds(times.max_s)}"
    wait = f"; a message waits {figures.seconds(site.queue_wait.p50_s)}" if site.queue_wait else ""
    text = (
        f"An item is {figures.seconds(work_s)} of work and {figures.seconds(moving_s)} of "
        f"handing out and moving; {spread}{wait}."
    )
    return Point("Instrument timings", "good" if moving_s < work_s / 4 else "bad", text)


def _batching(view: _View) -> Point:
    site, work_s = view.site, measures.per_message(view.site, view.site.work_s)
    per = f"{words.count(site.chunksize, 'item')} to a message, {figures.seconds(work_s)} of work"
    is_paid = measures.moving_s(site) < site.work_s
    if work_s >= ENOUGH_WORK_S or (is_paid and not view.has("tasks-too-small")):
        return Point("Batch work", "good", f"{per}: enough for what a message costs.")
    chunk = better_chunk(site, view.pool, _cost_s(site))
    return Point("Batch work", "bad", f"{per}: too little. About {chunk:,} items would do.")


def _arguments(view: _View) -> Point:
    site = view.site
    if view.pool.is_threads:
        return Point("Lighten arguments", "good", "Threads get arguments as they are.")
    each = measures.per_item(site, site.bytes_out)
    repeated = measures.repeated_leaves(site)
    text = f"{figures.size(each)} are sent for an item, {figures.size(site.bytes_out)} in all"
    if repeated:
        leaf = repeated[0]
        text += f"; the same {leaf.parameter or leaf.name} ({leaf.type}) goes with every message"
    is_light = each < LIGHT_BYTES and not repeated
    is_good = is_light or not view.has("payload-args", "repeated-payload")
    return Point("Lighten arguments", "good" if is_good else "bad", text + ".")


def _sharing(view: _View) -> Point:
    title = "Use shared or zero-copy data for big arrays"
    big = [
        leaf
        for leaf in view.site.leaves
        if kinds.is_big_data(leaf.type) and leaf.size_bytes > BIG_BYTES
    ]
    if view.pool.is_threads:
        return Point(title, "good", "Threads share all memory.")
    if not big:
        return Point(title, "good", "No big array travels with a task.")
    leaf = big[0]
    size = figures.size(leaf.size_bytes)
    text = f"{leaf.parameter or leaf.name} is a {leaf.type} of {size} in every message: "
    return Point(title, "bad", text + "poolwise.share() puts it down once, slices travel as names.")


def _pool_size(view: _View) -> Point:
    pool, best = view.pool, best_workers(view.pool, view.seen)
    cpus = view.seen.program.cpus
    text = (
        f"{words.count(pool.slots, 'worker')} on {cpus:g} CPUs, of which they wanted "
        f"{pool.demand_cpus:.1f}. Start with {best}; try one more and one less."
    )
    is_good = not view.has("oversubscribed-processes", "oversubscribed-threads", "mixed-cpu-io")
    return Point("Tune pool size", "good" if is_good else "bad", text)


def _chunk_size(view: _View) -> Point:
    site, pool = view.site, view.pool
    if not site.series_s:
        return Point("Tune chunksize empirically", "unknown", "Items were not timed one by one.")
    cost_s = _cost_s(site)
    workers = best_workers(pool, view.seen)
    guesses = {size: _guess_s(site, size, workers, cost_s) for size in chunk_sizes(pool, site)}
    best = min(guesses, key=lambda size: guesses[size])
    told = ", ".join(f"{size:,}: {figures.seconds(time)}" for size, time in guesses.items())
    text = f"Chunk size and time, as these item times would give it: {told}. "
    text += f"Now it is {site.chunksize:.0f}."
    now_s = _guess_s(site, max(1, round(site.chunksize)), workers, cost_s)
    is_good = now_s < 1.15 * guesses[best]
    return Point("Tune chunksize empirically", "good" if is_good else "bad", text)


def _model(view: _View) -> Point:
    title = "Re-evaluate the model"
    if view.has("io-bound"):
        return Point(title, "bad", "Mostly waiting: threads or asyncio, not processes.")
    if view.has("mixed-cpu-io"):
        return Point(title, "bad", "Waiting and computing: threads for the one, then processes.")
    if view.has("gil-bound-threads"):
        return Point(title, "bad", "Computing in Python, in threads: processes.")
    if view.has("slower-than-serial", "not-worth-a-pool"):
        return Point(title, "bad", "As it stands, a plain loop is faster than the pool.")
    if view.has("vectorise-instead"):
        return Point(title, "bad", "A loop over numbers: arrays first, processes after that.")
    kind = "threads" if view.pool.is_threads else "processes"
    return Point(title, "good", f"{kind.capitalize()} fit what the function does.")


def _benchmark(view: _View) -> Point:
    title = "Automate micro-benchmarks"
    if not can_be_repeated(view.site):
        text = f"{view.site.api}() hands out one task at a time: there is no call to repeat."
        return Point(title, "unknown", text)
    sizes = ", ".join(map(str, chunk_sizes(view.pool, view.site)))
    counts = ", ".join(map(str, worker_counts(view.pool, view.seen)))
    return Point(title, "good", f"To be tried: chunk sizes {sizes}; workers {counts}.")


def can_be_repeated(site: Site) -> bool:
    """True if a call can be caught with its function and input, and made again."""
    return site.place is not None and site.api in REPEATABLE


REPEATABLE = ("map", "imap", "imap_unordered", "starmap")

_POINTS: tuple[Callable[[_View], Point], ...] = (
    _bottleneck,
    _timings,
    _batching,
    _arguments,
    _sharing,
    _pool_size,
    _chunk_size,
    _model,
    _benchmark,
)


def _cost_s(site: Site) -> float:
    return measures.per_message(site, measures.moving_s(site))


def _guess_s(site: Site, chunk: int, workers: int, cost_s: float) -> float:
    """Items handed out on paper, and what messages cost.

    Item times are wall times; they are brought down to what the function took without waiting for a
    CPU.
    """
    whole_s = sum(site.series_s) * site.series_step
    scale = min(1.0, site.work_s / whole_s) if whole_s else 1.0
    costs_s = [each * site.series_step * scale for each in site.series_s]
    step = max(1, round(chunk / max(1.0, site.series_step)))
    messages = site.items / chunk
    return makespan_s(costs_s, workers, step) + messages * cost_s / workers
