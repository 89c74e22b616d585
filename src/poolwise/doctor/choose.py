"""Experiments worth a call's few seconds: those that its findings ask for.

Runs in an interpreter of its own while the program waits (`experiments.py` of the observer asks
it), on the records so far: that is the whole diagnosis, not a guess from what is at hand inside the
program, and the state of the program is still that of the call.

The order counts, because time runs out: first what remedies promise, then what else would show
the shape of the curves.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from poolwise.doctor.diagnose import Diagnosis, diagnose
from poolwise.doctor.evidence.features import Evidence, Place, Pool, Site
from poolwise.doctor.findings import Finding
from poolwise.doctor.predict.calls import site_in_question

Way = tuple[str, int | None]
"""Kind and value of an experiment; kinds are those of remedies, and "pickle"."""

_TESTED = ("chunksize", "workers", "threads", "serial", "share", "together", "poolwise")

LADDER = (1, 4, 16, 64, 256, 1024, 4096)
"""Chunk sizes of the curve; those beyond a worker's share of the sample are left out."""


def main(argv: list[str]) -> None:
    """Print the plan as JSON: DIR FILE LINE ITEMS POOL."""
    from poolwise.doctor import replay

    directory, file, line, items, pool = argv
    seen = replay(directory)
    plan = choose(seen, diagnose(seen), (file, int(line)), int(items), int(pool))
    json.dump(plan, sys.stdout)


def choose(
    seen: Evidence, diagnosis: Diagnosis, place: tuple[str, int], items: int, number: int = 0
) -> list[Way]:
    """The experiments for the call at this place, the most telling first.

    :param items: how many items the experiments will have.
    :param number: the pool's, for a pool that does not know the lines that call it.
    """
    found = _find(seen, place, number)
    if found is None:
        return [("serial", None), ("pickle", None)]
    site, pool = found
    about = [each for each in diagnosis.findings if _is_about(each, site, pool)]
    ways = [*_promised(about), ("serial", None), *_curves(pool, about, items)]
    known = {("workers", pool.slots), ("chunksize", round(site.chunksize))}
    return [way for way in dict.fromkeys(ways) if way not in known][:12]


def _find(seen: Evidence, place: tuple[str, int], number: int) -> tuple[Site, Pool] | None:
    wanted = Place(*place)
    for pool in reversed(seen.pools):  # a line that makes pools in a loop: the last one
        for site in pool.sites:
            if site.place and site.place.is_line_of(wanted):
                return site, pool
    unplaced = [
        (site, pool)
        for pool in seen.pools
        for site in pool.sites
        if pool.id == number and site.place is None
    ]
    return unplaced[0] if unplaced else None


def _is_about(finding: Finding, site: Site, pool: Pool) -> bool:
    return finding.where == site.place or (
        finding.pool == pool.id and site_in_question(finding, pool) == site
    )


def _promised(findings: list[Finding]) -> Iterator[Way]:
    """The changes of remedies, the first finding's first."""
    for finding in findings:
        for remedy in finding.remedies:
            kind = "share" if remedy.kind == "initializer" else remedy.kind
            if kind in _TESTED:
                yield kind, remedy.value


_WAITING = {"io-bound", "mixed-cpu-io"}
_HEAVY = {"payload-args", "payload-results", "repeated-payload"}


def _curves(pool: Pool, about: list[Finding], items: int) -> Iterator[Way]:
    """Neighbours of what is: chunks where messages matter, else workers; then the others."""
    share = max(1, items // pool.slots)
    chunks: list[Way] = [("chunksize", size) for size in LADDER if size <= share]
    if share > 1:
        chunks.append(("chunksize", share))
    workers: list[Way] = [("workers", pool.slots * 2), ("workers", max(1, pool.slots // 2))]
    if pool.is_threads:
        yield from workers
        return
    names = {each.name for each in about}
    threads: list[Way] = [("threads", 2 * pool.slots if names & _WAITING else pool.slots)]
    if names & _WAITING:
        yield from [*threads, *workers, *chunks]
    elif names & _HEAVY:  # whether the function lets go of the GIL only shows in threads
        yield from [*threads, *chunks, *workers]
    else:
        yield from [*chunks, *workers, *threads]
    yield "pickle", None
    if not pool.is_ours:
        yield "poolwise", None
