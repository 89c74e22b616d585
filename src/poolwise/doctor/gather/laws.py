"""Speed-up and ceiling of a standard pool, by the formulas of our own pools' ledger. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from poolwise.account import derive
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Pool
from poolwise.doctor.gather import sums
from poolwise.doctor.gather.pool import PIPE_BYTES

if TYPE_CHECKING:
    from poolwise.doctor.records.pools import PoolRecords
    from poolwise.doctor.records.run import Send


def with_laws(pool: Pool, records: PoolRecords) -> Pool:
    """The pool with its speed-up, and with what bounds that."""
    times = pool.item_times
    if times is None or not pool.messages:
        return pool
    useful_s, busy_s = measures.useful_s(pool), _parent_busy_s(pool, records)
    laws = derive.make_laws(useful_s, pool.active_s, pool.slots, busy_s, times.max_s)
    return replace(pool, laws=laws)


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
