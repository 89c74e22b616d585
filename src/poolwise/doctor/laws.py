"""Fits scaling laws to a standard pool: its records as the spans of a ledger. Pure.

The formulas are those of our own pools' ledger: `core.derive` and `core.scaling`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from poolwise.account import derive, scaling
from poolwise.account.ledger import ChunkSpan, Laws
from poolwise.doctor import measures, sums
from poolwise.doctor.account import dispatcher
from poolwise.doctor.features import Pool
from poolwise.doctor.gather_pool import PIPE_BYTES

if TYPE_CHECKING:
    from poolwise.doctor.account import Timeline
    from poolwise.doctor.pools import PoolRecords
    from poolwise.doctor.store import Send, Task


def with_laws(pool: Pool, records: PoolRecords) -> Pool:
    """The pool with what its records say of other numbers of workers."""
    times = pool.item_times
    if times is None or not pool.messages:
        return pool
    useful_s, busy_s = measures.useful_s(pool), _parent_busy_s(pool, records)
    laws = derive.make_laws(useful_s, pool.active_s, pool.slots, busy_s, times.max_s)
    if not laws.speedup:
        return replace(pool, laws=laws)
    variation = times.stdev_s / times.mean_s if times.mean_s > 0 else 0.0
    return replace(pool, laws=_complete(laws, pool, records, variation))


def _complete(laws: Laws, pool: Pool, records: PoolRecords, variation: float) -> Laws:
    tasks = [task for worker in records.workers for task in worker.tasks]
    if len(tasks) < pool.messages or any(task.cpu < 0 for task in tasks):
        why = "not every message was recorded, so nobody knows how many workers were busy when"
        return replace(laws, why=why, inflation_why=why)
    return scaling.complete(laws, make_spans(records), pool.slots, variation)


def make_spans(records: PoolRecords) -> list[ChunkSpan]:
    """The messages of a pool as the ledger of one of ours would tell of them."""
    timeline = dispatcher(records)
    return [
        _span(task, lane, records, timeline)
        for lane, worker in enumerate(records.workers)
        for task in worker.tasks
    ]


def _span(task: Task, lane: int, records: PoolRecords, timeline: Timeline) -> ChunkSpan:
    moments = [
        (moment - records.began) / 1e9
        for moment in (task.get, max(task.get, task.header), task.loaded)
    ]
    ends = [(moment - records.began) / 1e9 for moment in (task.wanted, task.sent)]
    free_s, arrived_s, received_s = moments
    return ChunkSpan(
        lane=lane,
        job=task.job,
        function=str(records.site_of(task)),
        first=task.position,
        items=task.items,
        free_s=free_s,
        arrived_s=arrived_s,
        received_s=received_s,
        begun_s=(task.began - records.began) / 1e9,
        ended_s=(task.ended - records.began) / 1e9,
        pickled_s=ends[0],
        sent_s=ends[1],
        cpu_s=task.cpu / 1e9,
        queued_s=max(0, task.queued) / 1e9,
        bytes_out=task.message_bytes,
        bytes_in=task.result_bytes,
        cause=_cause(task, timeline),
    )


def _cause(task: Task, timeline: Timeline) -> str:
    """Why the worker waited, as far as the laws ask: whether there was anything to strive for."""
    waits = timeline.split(task.get, max(task.get, task.header))
    most = max(waits, key=lambda state: waits[state], default="")
    return {"starved": "no_job", "generator": "input_slow"}.get(most, "")


def _parent_busy_s(pool: Pool, records: PoolRecords) -> float | None:
    """Time in which the parent did something for its workers; None if it was not seen.

    A write that waits for room in the pipe is not busy: small messages count as a quick one.
    """
    parent = pool.parent
    if parent is None:
        return None
    quick = sorted(_writing(send) for send in records.sends if send.size <= PIPE_BYTES)
    each = sums.quantile(quick, 0.25) if quick else 0
    writes = [_writing(send) if send.size > PIPE_BYTES else each for send in records.sends]
    write_s = sum(writes) / 1e9 * pool.messages / max(1, len(writes))
    busy_s = parent.generator_s + parent.pickle_s + min(parent.write_s, write_s)
    return min(pool.active_s, busy_s + parent.read_s + parent.unpickle_s)


def _writing(send: Send) -> int:
    return send.sent - send.pickled
