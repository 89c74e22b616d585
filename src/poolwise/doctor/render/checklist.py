"""Nine points to go through when a pool is slow, each answered by the rules that are about it.

The points are those of a practical checklist: what is the bottleneck, where does time go, is work
batched, are arguments light, is big data shared, is the pool's size right, the chunk size, the
model (processes, threads, a loop), and is there a benchmark to keep.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from poolwise.doctor import words
from poolwise.doctor.diagnose import Diagnosis
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool, Site
from poolwise.doctor.findings import RemedyKind
from poolwise.report import figures

Answer = Literal["good", "bad", "unknown"]


@dataclass(frozen=True)
class Point:
    """One point: what it asks, how it stands here, and in words with numbers."""

    title: str
    answer: Answer
    words: str


@dataclass(frozen=True)
class _Row:
    """A point, the rules whose yes means that it is not in order, and what is measured of it."""

    title: str
    rules: tuple[str, ...]
    say: Callable[[Pool, Site], str]


def go_through(seen: Evidence, diagnosis: Diagnosis) -> list[Point]:
    """All points for the call that had most worker time; none if no pool got work."""
    chosen = main_call(seen)
    if chosen is None:
        return []
    points = [_answer(row, diagnosis, *chosen) for row in _ROWS]
    return [*points, _benchmark(*chosen, diagnosis)]


def main_call(seen: Evidence) -> tuple[Pool, Site] | None:
    """The pool that had most worker time, and its heaviest call."""
    pools = [pool for pool in seen.pools if pool.messages and pool.sites]
    if not pools:
        return None
    pool = max(pools, key=lambda each: each.worker_seconds)
    return pool, max(pool.sites, key=lambda each: sum(each.account.values()))


def _answer(row: _Row, diagnosis: Diagnosis, pool: Pool, site: Site) -> Point:
    measured = row.say(pool, site)
    for finding in diagnosis.findings:
        if {finding.name, *finding.consequences}.intersection(row.rules):
            advice = f" To do: {finding.remedies[0].words}." if finding.remedies else ""
            told = (
                f"{measured} {finding.code} {finding.name}: {finding.verdict.rstrip('.')}.{advice}"
            )
            return Point(row.title, "bad", told)
    unsure = next((each for each in diagnosis.unknown if each.name in row.rules), None)
    if unsure is not None:
        return Point(row.title, "unknown", f"{measured} {unsure.code} cannot tell: {unsure.why}.")
    if "tasks-too-small" in row.rules and measures.moving_s(site) > site.work_s:
        return Point(row.title, "bad", f"{measured} Handing it out and moving it takes longer.")
    return Point(row.title, "good", measured)


def chunk_sizes(pool: Pool, site: Site, diagnosis: Diagnosis) -> list[int]:
    """Chunk sizes worth trying for a call: what it has, what findings advise, and a few others."""
    per_call = max(1, site.items // max(1, site.calls))
    most = max(1, math.ceil(per_call / max(1, pool.slots)))
    wanted = {1, 5, 20, 100, 500, round(site.chunksize), *_advised(diagnosis, "chunksize")}
    return sorted({max(1, min(size, most)) for size in wanted})


def worker_counts(pool: Pool, diagnosis: Diagnosis) -> list[int]:
    """Numbers of workers worth trying: as now, as findings advise, one more and one less."""
    wanted = {pool.slots, *_advised(diagnosis, "workers"), *_advised(diagnosis, "threads")}
    near = {count + step for count in wanted for step in (-1, 0, 1)}
    return sorted(count for count in near if count > 0)


def can_be_repeated(site: Site) -> bool:
    """True if a call can be caught with its function and input, and made again."""
    return site.place is not None and site.api in {"map", "imap", "imap_unordered", "starmap"}


def _advised(diagnosis: Diagnosis, kind: RemedyKind) -> set[int]:
    remedies = [remedy for finding in diagnosis.findings for remedy in finding.remedies]
    return {remedy.value for remedy in remedies if remedy.kind == kind and remedy.value}


def _benchmark(pool: Pool, site: Site, diagnosis: Diagnosis) -> Point:
    title = "Automate micro-benchmarks"
    if not can_be_repeated(site):
        text = f"{site.api}() hands out one task at a time: there is no call to repeat."
        return Point(title, "unknown", text)
    sizes = ", ".join(map(str, chunk_sizes(pool, site, diagnosis)))
    counts = ", ".join(map(str, worker_counts(pool, diagnosis)))
    return Point(title, "good", f"To be tried: chunk sizes {sizes}; workers {counts}.")


def _say_bottleneck(pool: Pool, site: Site) -> str:
    inside = min(1.0, pool.work_s / measures.usable_s(pool))
    on_cpu = f"{figures.share(1 - measures.blocked_share(site))} of the function's time on a CPU"
    few_slices_s = 0.05  # of the scheduler: one that others took looks like waiting
    if site.work_s < few_slices_s:
        on_cpu = "too short here to tell waiting from computing"
    loop = figures.seconds(measures.plain_loop_s(pool))
    return (
        f"The function fills {figures.share(inside)} of the workers' time; {on_cpu}. A plain loop "
        f"would take about {loop}; the pool took {figures.seconds(pool.active_s)}."
    )


def _say_timings(_: Pool, site: Site) -> str:
    work_s = measures.per_item(site, site.work_s)
    moving_s = measures.per_item(site, measures.moving_s(site))
    told = f"An item is {figures.seconds(work_s)} of work and {figures.seconds(moving_s)} of "
    told += "handing out and moving"
    times, waits = site.item_times, site.queue_wait
    if times is not None:
        told += f"; half of the items take {figures.seconds(times.p50_s)} or less, "
        told += f"the longest {figures.seconds(times.max_s)}"
    return told + (f"; a message waits {figures.seconds(waits.p50_s)}." if waits else ".")


def _say_batches(_: Pool, site: Site) -> str:
    work_s = measures.per_message(site, site.work_s)
    return f"{words.count(site.chunksize, 'item')} to a message, {figures.seconds(work_s)} of work."


def _say_arguments(pool: Pool, site: Site) -> str:
    if pool.is_threads:
        return "Threads get arguments as they are."
    each = measures.per_item(site, site.bytes_out)
    return f"{figures.size(each)} are sent for an item, {figures.size(site.bytes_out)} in all."


def _say_parts(pool: Pool, site: Site) -> str:
    if pool.is_threads:
        return "Threads share all memory."
    if not site.leaves:
        return "No big part was seen in the arguments."
    leaf = site.leaves[0]
    name, size = leaf.parameter or leaf.name, figures.size(leaf.size_bytes)
    return f"The heaviest part of the arguments is {name}, a {leaf.type} of {size}."


def _say_size(pool: Pool, _: Site) -> str:
    workers = words.count(pool.slots, "worker")
    return f"{workers} wanted {pool.demand_cpus:.1f} CPUs while tasks ran."


def _say_chunks(_: Pool, site: Site) -> str:
    times = site.item_times
    longest = f"; the longest item takes {figures.seconds(times.max_s)}" if times else ""
    return f"The chunk size is {site.chunksize:.0f}{longest}."


def _say_model(pool: Pool, _: Site) -> str:
    return f"It is a pool of {'threads' if pool.is_threads else 'processes'}."


_ROWS = (
    _Row(
        "Clarify the bottleneck",
        ("startup", "worker-churn", "lock-serialised", "slow-producer", "slow-callbacks",
         "serial-parent", "manager-proxy", "cpu-throttled", "worker-died", "call-never-ended",
         "slower-than-serial", "tasks-too-small"),
        _say_bottleneck,
    ),
    _Row("Instrument timings", ("tasks-too-small", "imbalance-item"), _say_timings),
    _Row("Batch work", ("tasks-too-small", "serial-submission"), _say_batches),
    _Row(
        "Lighten arguments", ("payload-args", "payload-results", "repeated-payload"), _say_arguments
    ),
    _Row(
        "Use shared or zero-copy data for big arrays",
        ("payload-args", "repeated-payload"),
        _say_parts,
    ),
    _Row(
        "Tune pool size",
        ("oversubscribed-processes", "oversubscribed-threads", "mixed-cpu-io"),
        _say_size,
    ),
    _Row("Tune chunksize empirically", ("imbalance-chunks", "imbalance-item"), _say_chunks),
    _Row(
        "Re-evaluate the model",
        ("io-bound", "mixed-cpu-io", "gil-bound-threads", "slower-than-serial", "not-worth-a-pool",
         "vectorise-instead", "hand-made-pool"),
        _say_model,
    ),
)  # fmt: skip
