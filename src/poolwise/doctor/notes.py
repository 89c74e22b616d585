"""Notes beside the findings: on the machine, on what could not be seen."""

from __future__ import annotations

from collections.abc import Iterator

from poolwise.doctor import words
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool, Program
from poolwise.doctor.findings import Note

OFF_BALANCE = 0.005
"""Share of P x W that the account may miss before that is reported."""


LOST = "their accounts are read then, and are missing here"


def is_busy(seen: Evidence) -> bool:
    """True if other programs used so much that timings deserve less trust."""
    return (seen.program.other_cpus or 0.0) > measures.BUSY_CPUS


def take_notes(seen: Evidence) -> list[Note]:
    """All notes on a run."""
    return [*_machine(seen), *_sight(seen), *_settings(seen)]


def _machine(seen: Evidence) -> Iterator[Note]:
    program = seen.program
    if is_busy(seen):
        text = f"other programs used {program.other_cpus:.2f} CPUs meanwhile: times are inflated"
        yield Note("busy-machine", text)
    if (program.steal_cpus or 0.0) > measures.BUSY_CPUS:
        text = f"the host took {program.steal_cpus:.2f} CPUs from this virtual machine meanwhile"
        yield Note("stolen-cpus", text)


def _sight(seen: Evidence) -> Iterator[Note]:
    program = seen.program
    if program.is_interrupted:
        yield Note("interrupted", "the program was interrupted: this is what was seen until then")
    elif program.exit_status and any(pool.messages for pool in seen.pools):
        how = words.ending(program.exit_status)
        yield Note("ended-badly", f"the program ended with {how}: this is what was seen until then")
    if program.lost_pools:
        count = words.count(program.lost_pools, "pool")
        yield Note("lost-pools", f"{count} of poolwise did not come to the end: {LOST}")
    if program.unseen_processes:
        text = (
            f"{say_unseen(program)}: started without its environment (PYTHONPATH), or with -I, -E "
            "or -S. No figure here counts what they did; the doctor can be given their command"
        )
        yield Note("unseen-processes", text)
    if not program.can_see_causes and any(pool.messages for pool in seen.pools):
        text = "what blocked tasks waited for was not visible: a lock looks like I/O then"
        yield Note("causes-not-visible", text)
    off = [pool for pool in seen.pools if abs(pool.identity - 1) > OFF_BALANCE]
    if off:
        worst = max(off, key=lambda pool: abs(pool.identity - 1))
        text = f"the account of a pool adds up to {worst.identity:.1%} of its worker time"
        yield Note("does-not-balance", text)
    yield from (Note("trouble", trouble) for trouble in seen.troubles)


def say_unseen(program: Program) -> str:
    """Says how many Pythons of the program nothing is known of."""
    count = words.count(program.unseen_processes, "Python process")
    return f"{count} of the program could not be looked into"


def _settings(seen: Evidence) -> Iterator[Note]:
    yield from _nested(seen)
    for pool in seen.pools:
        if _could_use_more_threads(pool):
            text = (
                f"tasks wait in the queue while {words.count(pool.slots, 'thread')} at "
                f"{pool.place} mostly wait too: more threads could wait for more at once"
            )
            yield Note("more-threads", text)


def _nested(seen: Evidence) -> Iterator[Note]:
    """Pools whose tasks make pools: their sizes multiply."""
    for pool in seen.pools:
        inner = measures.inner_pools(pool, seen) if pool.messages else []
        if not inner:
            continue
        most = max(inner, key=lambda each: each.slots)
        kind = "n_jobs inside n_jobs" if measures.is_of_joblib(pool) else "a pool inside a pool"
        where = f" at {pool.place}" if pool.place else ""
        text = (
            f"{kind}: each of {words.count(pool.slots, 'worker')}{where} makes pools of its own, "
            f"{pool.slots} x {most.slots} at once for {seen.program.cpus:g} CPUs; one level is "
            "enough"
        )
        yield Note("nested-pools", text)


def _could_use_more_threads(pool: Pool) -> bool:
    if not pool.is_threads or pool.queue_wait is None or not pool.items:
        return False
    if pool.slots <= measures.FEW_THREADS:
        return False  # a finding of its own, PW007
    mostly, half_a_cpu = 0.7, 0.5  # it waits, and does not wait for the interpreter's lock
    waits = measures.blocked_share(pool) > mostly and pool.cores_used < half_a_cpu
    return waits and pool.queue_wait.p50_s > 3 * pool.work_s / pool.items
