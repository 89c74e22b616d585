"""Predicts a call in our own pool: the model of the call, with our way to carry messages.

Ours finds the chunk size by measuring, sends a function with all it binds once to each worker, and
carries arrays and bytes in shared memory. What it cannot help is the function, and the packing of
objects that have to be packed. Prices are those that `benchmarks` measure beside the peers.
"""

from __future__ import annotations

import math
from dataclasses import replace

from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Pool, Site
from poolwise.doctor.predict.calls import Model
from poolwise.doctor.predict.simulate import Costs

STEP_S, ITEM_S = 35e-6, 0.1e-6
"""A step of a message, and of an item in it (`simulation.pool.Overheads`)."""

ENOUGH_S = 2e-3
"""Work in a message, towards which chunks grow."""

SHARED_BYTES_PER_S = 1.5e9
"""Into shared memory, and out of it (`benchmarks/array_argument.py`, `array_result.py`)."""

AS_FAST_AS_BYTES = 1e-9
"""Seconds a byte: what is packed faster than this is a block of memory rather than objects."""

_BLOCKS = ("ndarray", "bytes", "bytearray", "memoryview", "array", "DataFrame", "Series", "memmap")


def ours_s(model: Model, site: Site, pool: Pool, once: float = 0.0) -> float:
    """Seconds of the call in our pool.

    :param once: the share of the arguments' bytes that is given to it as its state.
    """
    out = max(once, bound_share(site))
    lighter = model.lighter(out=out)
    ours = replace(lighter, costs=_costs(lighter, site))
    once_s = pool.slots * model.once_s(out) if out else 0.0
    return ours.pool_s(chunk=_chunk(model)) + once_s


def bound_share(site: Site) -> float:
    """Share of the arguments' bytes that the function binds: those travel once to a worker."""
    leaves = measures.repeated_leaves(site)
    bound = [leaf for leaf in leaves if leaf.name.startswith(("partial", "self"))]
    return min(1.0, sum(leaf.share_of_bytes_out for leaf in bound))


def _chunk(model: Model) -> int:
    """Some milliseconds of work, and at most a quarter of a worker's share."""
    work_s = model.load.cpu_s + model.load.blocked_s
    wanted = math.ceil(ENOUGH_S / max(1e-8, work_s / model.load.items))
    return max(1, min(wanted, model.load.items // (4 * model.workers)))


def _costs(model: Model, site: Site) -> Costs:
    costs = model.costs
    dispatch_s, fetch_s, bytes_out = costs.dispatch_s[1], costs.fetch_s[1], costs.item_bytes_out
    reply_s, collect_s, bytes_in = costs.reply_s[1], costs.collect_s[1], costs.item_bytes_in
    if is_block(site):
        dispatch_s, fetch_s = bytes_out / SHARED_BYTES_PER_S, 0.0
        bytes_out = 0.0
    if bytes_in > measures.BIG_MESSAGE_BYTES and reply_s < AS_FAST_AS_BYTES * bytes_in:
        reply_s, collect_s, bytes_in = bytes_in / SHARED_BYTES_PER_S, 0.0, 0.0
    return Costs(
        dispatch_s=(STEP_S, max(ITEM_S, dispatch_s)),
        fetch_s=(STEP_S, fetch_s),
        reply_s=(STEP_S, reply_s),
        collect_s=(STEP_S, max(ITEM_S, collect_s)),
        item_bytes_out=bytes_out,
        item_bytes_in=bytes_in,
        send_bytes_per_s=costs.send_bytes_per_s,
        reply_bytes_per_s=costs.reply_bytes_per_s,
        meet_s=costs.meet_s,
    )


def is_block(site: Site) -> bool:
    """True if what weighs in the arguments is one block of memory."""
    leaf = max(site.leaves, key=lambda each: each.size_bytes, default=None)
    return leaf is not None and leaf.type.rpartition(".")[2] in _BLOCKS
