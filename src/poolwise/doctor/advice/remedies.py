"""Remedies that several findings share, with the edit where the program's text allows it.

Predictions here are closed forms over the account, and their bands are wide on purpose; a
simulation or an experiment may put better ones in their place.
"""

from __future__ import annotations

import math
from dataclasses import replace

from poolwise.doctor import words
from poolwise.doctor.advice import edits, effects, keepers, rewrites
from poolwise.doctor.evidence import kinds, measures
from poolwise.doctor.evidence.features import Evidence, Leaf, Pool, Site
from poolwise.doctor.evidence.measures import Flow
from poolwise.doctor.findings import Change, Prediction, Remedy

BAND = 0.25
"""Half width of a band around what a closed form predicts, when the machine is quiet. The
simulator's measured errors (10 to 25 %) are the least that a closed form could have."""

ENOUGH_THREADS = 32
"""Threads that ThreadPoolExecutor starts at most by itself (min(32, CPUs + 4)): cheap, and far more
than processes for waiting."""

GAIN = 0.95
"""Share of the time above which a remedy is no gain: predictions are not that good, and runs
differ by as much."""

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
_IF_NEW = "if the input yields a new object each time, and changes none that it yielded"

_COUNTS = {
    "multiprocessing.Pool": ("Pool", "processes"),
    "ProcessPoolExecutor": ("ProcessPoolExecutor", "max_workers"),
    "ThreadPool": ("ThreadPool", "processes"),
    "ThreadPoolExecutor": ("ThreadPoolExecutor", "max_workers"),
    "loky": ("Parallel", "n_jobs"),
}
_PROCESSES = {
    "ThreadPool": "poolwise.Pool",
    "ThreadPoolExecutor": "poolwise.ProcessPoolExecutor",
}


def predict(
    flow: Flow, pool: Pool, seen: Evidence, then_s: float, band: float = BAND
) -> Prediction:
    """The call's time with the remedy, in a band."""
    busy = 1.5 if (seen.program.other_cpus or 0.0) > measures.BUSY_CPUS else 1.0
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
    if isinstance(flow, Site) and api in _MAPS:
        is_safe = not api.startswith("imap") or not edits.may_reuse_items(
            place, api, flow.input_type
        )
        change = edits.set_argument(place, api, "chunksize", str(chunk)) if is_safe else None
        text = f"chunksize={chunk}" if is_safe else f"chunksize={chunk}, {_IF_NEW}"
        return Remedy("chunksize", text, prediction, chunk, _known(change))
    if api == measures.JOBLIB:
        text = f"batch_size={chunk}: joblib's own batches begin with one item and grow slowly"
        change = edits.set_argument(place, "Parallel", "batch_size", str(chunk))
        return Remedy("chunksize", text, prediction, chunk, _known(change))
    text = f"let one task do {words.count(chunk, 'item')}: map(..., chunksize={chunk}), or a loop "
    change = rewrites.use_map_for_futures(place, api, chunk)
    return Remedy("chunksize", text + "inside the task", prediction, chunk, _known(change))


def loop_inside(chunk: int, prediction: Prediction | None) -> Remedy:
    """Fewer, larger tasks, where the pool itself makes none."""
    text = f"let one task do {words.count(chunk, 'item')}, in a loop inside the task"
    return Remedy("code", text, prediction, chunk)


PLAIN_LOOP = "a plain for-loop in the parent"


def use_plain_loop(flow: Flow, pool: Pool, seen: Evidence, then_s: float) -> Remedy:
    """Remedy: no pool at all."""
    prediction = predict(flow, pool, seen, then_s)
    change = _loop_for(flow if isinstance(flow, Site) else _only_call(pool), pool)
    return Remedy("serial", PLAIN_LOOP, prediction, changes=_known(change))


def _only_call(pool: Pool) -> Site | None:
    return pool.sites[0] if len(pool.sites) == 1 else None


def _loop_for(site: Site | None, pool: Pool) -> Change | None:
    if site is None or not edits.leaves_arguments_alone(site.function_place):
        return None
    if site.api == measures.JOBLIB:
        return edits.set_argument(site.place, "Parallel", "n_jobs", "1")
    return rewrites.use_loop(pool.place, site.place, site.api)


def use_threads_if_free(pool: Pool, flow: Flow, count: int) -> list[Remedy]:
    """Threads, where the function was seen to let go of the interpreter's lock, or to wait.

    It was if it is blocked most of its time, or if helper threads of a native library compute
    beside it. That it computes in compiled code does not show: experiments tell (`--verify`).
    """
    is_waiting = measures.blocked_share(flow) > MOSTLY and not measures.is_behind_a_lock(pool)
    has_helpers = pool.helper_cpu_s > HELPING * measures.spent_s(pool, "run_cpu") > 0
    return [use_threads(pool, count, None)] if is_waiting or has_helpers else []


MOSTLY, HELPING = 0.5, 0.25


def use_threads(pool: Pool, count: int, prediction: Prediction | None) -> Remedy:
    """Threads in place of processes: nothing is pickled, and waiting needs no process."""
    changes: list[Change] = []
    if pool.kind in _THREADS and all(map(_can_go_to_threads, pool.sites)):
        old, new, keyword, line = _THREADS[pool.kind]
        changes = _known(edits.swap_call(pool.place, old, new, [line], **{keyword: str(count)}))
    if changes and pool.kind == "multiprocessing.Pool":
        changes += _one_by_one(pool)
    text = f"{count} threads in place of {words.count(pool.slots, 'process')}"
    return Remedy("threads", text, prediction, count, changes)


def _can_go_to_threads(site: Site) -> bool:
    """True if a call needs no copy of its items: neither its function nor its input changes any."""
    if site.api.startswith("imap") and edits.may_reuse_items(site.place, site.api, site.input_type):
        return False
    return edits.leaves_arguments_alone(site.function_place)


def _one_by_one(pool: Pool) -> list[Change]:
    """Items that travelled many to a message go to a thread each: waiting wants all threads."""
    coarse = [site for site in pool.sites if site.api in _MAPS and (site.chunksize_asked or 1) > 1]
    found = (edits.set_argument(site.place, site.api, "chunksize", "1") for site in coarse)
    return [change for change in found if change is not None]


def use_more_threads(pool: Pool, count: int, prediction: Prediction | None) -> Remedy:
    """More of the threads that there are."""
    more = set_workers(pool, count, prediction)
    return replace(more, kind="threads", words=f"{count} threads in place of {pool.slots}")


def set_workers(pool: Pool, count: int, prediction: Prediction | None, why: str = "") -> Remedy:
    """Remedy: that many workers."""
    call, keyword = _COUNTS.get(pool.kind, ("", ""))
    change = edits.set_argument(pool.place, call, keyword, str(count)) if call else None
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
    is_array = kinds.is_array(leaf.type)
    text = f"poolwise.share({title}): put down once" + ("" if is_array else ", .get() in the task")
    path = _path_to(leaf, flow) if isinstance(flow, Site) else ()
    changes: list[Change] = []
    if isinstance(flow, Site) and path:
        name, function = leaf.parameter or "", flow.function_place
        mode = edits.mode_for(function, name) if is_array else ""
        changes = _known(edits.share_argument(flow.place, flow.api, path, name, mode))
        if changes and not is_array:
            opened = edits.open_in_function(function, name)
            changes = [*changes, opened] if opened else []
    return Remedy("share", text, prediction, changes=changes)


def _path_to(leaf: Leaf, site: Site) -> tuple[int | str, ...]:
    """Path to a part of the arguments in the call; empty where that does not tell."""
    where, _, index = leaf.name.rstrip("]").partition("[")
    if where == "partial.args":
        return 0, int(index) + 1
    if where.startswith("partial."):
        return 0, where.removeprefix("partial.")
    if where != "arg" or not index:
        return ()
    if site.api.startswith("submit"):
        return (int(index) + 1,)
    if site.api.startswith("apply"):
        return 1, int(index)
    return (1, "*", int(index)) if site.api.startswith("starmap") else ()


def keep_pool(pool: Pool, text: str) -> Remedy:
    """One pool in place of many at one line."""
    return Remedy("keep", text, changes=_known(rewrites.keep_pool(pool.place)))


def limit_tasks(pool: Pool, count: int, text: str) -> Remedy:
    """Let a worker do so many tasks before it is replaced."""
    call, _ = _STANDARD.get(pool.kind, ("", ""))
    keyword = "max_tasks_per_child" if call.endswith("Executor") else "maxtasksperchild"
    has_limit = bool(call and pool.max_tasks_per_child)
    change = edits.set_argument(pool.place, call, keyword, str(count)) if has_limit else None
    return Remedy("keep", text, value=count, changes=_known(change))


def limit_threads(pool: Pool, text: str) -> Remedy:
    """One thread of a native library in each worker."""
    call, _ = _COUNTS.get(pool.kind, ("", ""))
    change = edits.limit_threads(pool.place, call) if pool.kind in _STANDARD else None
    return Remedy("code", text, changes=_known(change))


def use_processes(pool: Pool) -> Remedy:
    """Our processes in place of threads, where the function can go there by its name."""
    new, sites = _PROCESSES.get(pool.kind), pool.sites
    can_move = all(effects.can_go_to_processes(site.function_place) for site in sites)
    change = None
    if new is not None and sites and can_move:
        change = edits.make_processes(pool.place, pool.kind, new)
    text = f"processes: {new or 'poolwise.ProcessPoolExecutor'} has the same interface"
    return Remedy("poolwise", text, changes=_known(change))


def hand_out_first(pool: Pool, text: str, prediction: Prediction | None) -> Remedy:
    """All tasks before the first result is waited for."""
    site = _only_call(pool)
    change = rewrites.hand_out_first(site.place, site.api) if site else None
    return Remedy("together", text, prediction, changes=_known(change))


def stream_input(site: Site, text: str, chunk: int, prediction: Prediction | None) -> Remedy:
    """Read the input as workers need it, not all of it first."""
    reuses = edits.may_reuse_items(site.place, site.api, site.input_type)
    change = None if reuses else rewrites.stream(site.place, site.api, chunk)
    return Remedy("code", text, prediction, changes=_known(change))


def _known(change: Change | None) -> list[Change]:
    return [change] if change else []


def initialise_once(flow: Flow, pool: Pool, leaf: Leaf) -> Remedy:
    """The standard library's own way to hand over what does not change."""
    changes: list[Change] = []
    if isinstance(flow, Site) and leaf.parameter and pool.kind in _STANDARD:
        changes = keepers.initialise(pool, _STANDARD[pool.kind][0], flow, leaf.parameter)
    title = leaf.parameter or leaf.name
    text = (
        f"initializer=keep, initargs=({title},): each worker gets it once and keeps it in a global"
    )
    return Remedy("initializer", text, changes=changes)


def keep_as_state(flow: Flow, pool: Pool, leaf: Leaf) -> list[Remedy]:
    """Our pool's way: the object by name in every worker, whatever the start method."""
    if pool.kind not in _STANDARD:
        return []
    title = leaf.parameter or leaf.name
    name = title if title.isidentifier() else "data"
    text = (
        f'{_STANDARD[pool.kind][1]}(state={{"{name}": ...}}), poolwise.state["{name}"] in the task'
    )
    changes: list[Change] = []
    if isinstance(flow, Site) and leaf.parameter:
        changes = keepers.keep_as_state(pool, *_STANDARD[pool.kind], flow, leaf.parameter)
    return [Remedy("state", f"{text}: each worker gets it once", changes=changes)]


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
