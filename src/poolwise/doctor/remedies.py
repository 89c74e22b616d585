"""Remedies that several findings share, with the edit where the program's text allows it.

Predictions here are closed forms over the account, and their bands are wide on purpose; a
simulation or an experiment may put better ones in their place.
"""

from __future__ import annotations

import math
from dataclasses import replace

from poolwise.doctor import edits, measures, words
from poolwise.doctor.features import Evidence, Leaf, Pool, Site
from poolwise.doctor.findings import Change, Prediction, Remedy
from poolwise.doctor.measures import Flow

BAND = 0.25
"""Half width of a band around what a closed form predicts, when the machine is quiet. The
simulator's measured errors (10 to 25 %) are the least that a closed form could have."""

BUSY_CPUS = 0.25
"""Other programs' load from which on all bands are half as wide again."""

ENOUGH_THREADS = 32
"""What ThreadPoolExecutor starts at most by itself (min(32, CPUs + 4)): cheap, and far more than
processes for waiting."""

_MAPS = {"map", "imap", "imap_unordered", "map_async", "starmap", "starmap_async"}
_STANDARD = {
    "multiprocessing.Pool": ("Pool", "poolwise.Pool"),
    "ProcessPoolExecutor": ("ProcessPoolExecutor", "poolwise.ProcessPoolExecutor"),
}
_THREADS = {
    "multiprocessing.Pool": (
        "Pool", "ThreadPool", "processes", "from multiprocessing.pool import ThreadPool",
    ),
    "ProcessPoolExecutor": (
        "ProcessPoolExecutor", "ThreadPoolExecutor", "max_workers",
        "from concurrent.futures import ThreadPoolExecutor",
    ),
}  # fmt: skip
_PARTIAL_ARGUMENT = "partial.args["


def predict(
    flow: Flow, pool: Pool, seen: Evidence, then_s: float, band: float = BAND
) -> Prediction:
    """The call's time with the remedy, in a band."""
    busy = 1.5 if (seen.program.other_cpus or 0.0) > BUSY_CPUS else 1.0
    width = min(0.9, band * busy)
    of_call = isinstance(flow, Site)
    return Prediction(
        of="call" if of_call else "pool",
        now_s=call_wall_s(flow, pool),
        then_s=then_s,
        low_s=then_s * (1 - width),
        high_s=then_s * (1 + width),
    )


def call_wall_s(flow: Flow, pool: Pool) -> float:
    """Wall time of a call's messages, first to last; of a pool: with work outstanding."""
    return max(0.0, flow.last_s - flow.first_s) if isinstance(flow, Site) else pool.active_s


def set_chunksize(flow: Flow, chunk: int, prediction: Prediction | None) -> Remedy:
    """Send that many items in one message."""
    api = flow.api if isinstance(flow, Site) else ""
    place = flow.place if isinstance(flow, Site) else None
    if api in _MAPS:
        change = edits.set_argument(place, api, "chunksize", str(chunk))
        return Remedy("chunksize", f"chunksize={chunk}", prediction, chunk, _known(change))
    if api == measures.JOBLIB:
        text = 'leave batch_size at "auto", which joblib adapts while it runs'
        change = edits.set_argument(place, "Parallel", "batch_size", '"auto"')
        return Remedy("chunksize", text, prediction, chunk, _known(change))
    text = f"let one task do {words.count(chunk, 'item')}: map(..., chunksize={chunk}), or a loop "
    return Remedy("chunksize", text + "inside the task", prediction, chunk)


def use_plain_loop(flow: Flow, pool: Pool, seen: Evidence, then_s: float) -> Remedy:
    """No pool at all."""
    prediction = predict(flow, pool, seen, then_s)
    return Remedy("serial", "a plain for-loop in the parent", prediction)


def use_threads(pool: Pool, count: int, prediction: Prediction | None) -> Remedy:
    """Threads in place of processes: nothing is pickled, and waiting needs no process."""
    change: Change | None = None
    if pool.kind in _THREADS:
        old, new, keyword, line = _THREADS[pool.kind]
        change = edits.swap_call(pool.place, old, new, [line], **{keyword: str(count)})
    text = f"{count} threads in place of {words.count(pool.slots, 'process')}"
    return Remedy("threads", text, prediction, count, _known(change))


def use_more_threads(pool: Pool, count: int, prediction: Prediction | None) -> Remedy:
    """More of the threads that there are."""
    more = set_workers(pool, count, prediction)
    return replace(more, kind="threads", words=f"{count} threads in place of {pool.slots}")


def set_workers(pool: Pool, count: int, prediction: Prediction | None, why: str = "") -> Remedy:
    """That many workers."""
    call = pool.kind.rpartition(".")[2]
    keyword = "max_workers" if call.endswith("Executor") else "processes"
    change = edits.set_argument(pool.place, call, keyword, str(count))
    text = f"{words.count(count, 'worker')} in place of {pool.slots}{why}"
    return Remedy("workers", text, prediction, count, _known(change))


def use_poolwise(pool: Pool, what_it_does: str) -> list[Remedy]:
    """Our pool under the same interface, where the program uses one that we replace."""
    if pool.kind not in _STANDARD:
        return []
    old, new = _STANDARD[pool.kind]
    change = edits.swap_call(pool.place, old, new, ["import poolwise"])
    return [Remedy("poolwise", f"{new}, {what_it_does}", changes=_known(change))]


def share(flow: Flow, leaf: Leaf, prediction: Prediction | None) -> Remedy:
    """Put a repeated argument down once, where every worker sees it.

    Arrays stay arrays; of anything else the function gets a handle and asks it for the object.
    """
    title = leaf.parameter or leaf.name
    is_array = leaf.type == "ndarray"
    text = f"poolwise.share({title}): put down once" + ("" if is_array else ", .get() in the task")
    changes: list[Change] = []
    if isinstance(flow, Site) and leaf.name.startswith("partial."):
        wrapped = edits.wrap_argument(
            flow.place, flow.api, _path_in_partial(leaf), "poolwise.share", ["import poolwise"]
        )
        changes = _known(wrapped)
        if changes and not is_array:
            name = leaf.parameter or ""
            opened = edits.insert_first(flow.function_place, f"{name} = {name}.get()", name)
            changes = [*changes, opened] if opened else []
    return Remedy("share", text, prediction, changes=changes)


def _path_in_partial(leaf: Leaf) -> tuple[int | str, ...]:
    """Where a bound argument stands: in the call of partial that is the map's first argument."""
    if leaf.name.startswith(_PARTIAL_ARGUMENT):
        return 0, int(leaf.name[len(_PARTIAL_ARGUMENT) :].rstrip("]")) + 1
    return 0, leaf.name.removeprefix("partial.")


def _known(change: Change | None) -> list[Change]:
    return [change] if change else []


def initialise_once(leaf: Leaf) -> Remedy:
    """The standard library's own way to hand over what does not change."""
    title = leaf.parameter or leaf.name
    text = (
        f"initializer=keep, initargs=({title},): each worker gets it once and keeps it in a global"
    )
    return Remedy("share", text)


def better_chunk(flow: Flow, pool: Pool, cost_s: float) -> int:
    """Items per message so that its work is ten times its cost, and 2 ms at least.

    At most a quarter of a worker's share, so that work can still be spread at the end.
    """
    item_s = flow.work_s / max(1, flow.items)
    wanted = math.ceil(max(10 * cost_s, 2e-3) / max(item_s, 1e-8))
    is_map = isinstance(flow, Site) and flow.calls < flow.items
    calls = flow.calls if isinstance(flow, Site) and is_map else 1
    most = max(1, math.ceil(flow.items / max(1, calls) / (4 * max(1, pool.slots))))
    return _round(min(wanted, most))


def _round(number: int) -> int:
    """Two digits are enough for a number that people type."""
    digits = len(str(number)) - 2
    return number if digits <= 0 else round(number, -digits)
