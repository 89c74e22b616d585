"""One pool of a run as the rules see it. Pure; records in nanoseconds, evidence in seconds."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from poolwise.account.derive import split_efficiency
from poolwise.account.states import CHAIN
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import (
    Death,
    ParentTimeline,
    Pool,
    RandomStream,
    Startup,
    StepCosts,
    Worker,
)
from poolwise.doctor.gather import causes, own_time, sites, sums
from poolwise.doctor.gather.account import REGULAR, PoolAccount, dispatcher
from poolwise.doctor.records.pools import mean_bytes

if TYPE_CHECKING:
    from poolwise.doctor.gather.sums import Span
    from poolwise.doctor.records.pools import PoolRecords, WorkerRecords
    from poolwise.doctor.records.run import Result, Run, Task

PIPE_BYTES = measures.BIG_MESSAGE_BYTES
"""Capacity of a pipe; a larger message needs its reader to be there."""


def gather_pool(run: Run, pool: PoolRecords, found: PoolAccount) -> Pool:
    """Gather the evidence of one pool."""
    tasks = [task for worker in pool.workers for task in worker.tasks]
    messages = sites.Messages.of(pool)
    found = own_time.settle(run, pool, found, messages)
    gathered = sites.gather_sites(run, pool, found.sites, messages)
    return Pool(
        **_identify(pool),
        **_time(pool, found),
        **_volume(pool, tasks),
        **_durations(run, pool, tasks),
        **_concurrency(pool, tasks),
        **_blocking(run, pool, found),
        items=sum(site.items for site in gathered),
        sites=gathered,
        leaves=sorted((leaf for s in gathered for leaf in s.leaves), key=lambda x: -x.size_bytes),
        workers=[_worker(run, worker, found.workers[worker.pid]) for worker in pool.workers],
        startup=_startup(pool),
        deaths=_deaths(run, pool),
        parent=_parent(run, pool),
        costs=_costs(pool, tasks),
        helper_cpu_s=_helpers_s(pool, messages),
        random_streams=_streams(run, pool),
    )


def _identify(pool: PoolRecords) -> dict[str, Any]:
    """The identity of the pool: its kind, its process, its settings."""
    facts = pool.facts
    return {
        "id": pool.id,
        "kind": pool.kind,
        "place": sites.place(facts.get("place")),
        "pid": facts["pid"],
        "method": facts["method"],
        "slots": pool.slots,
        "max_tasks_per_child": facts["max_tasks"],
        "initializer": facts["initializer"],
        "parent_threads": facts.get("threads"),
    }


def _time(pool: PoolRecords, found: PoolAccount) -> dict[str, Any]:
    """Life of a pool, and the account of its worker-seconds."""
    region = pool.ended - pool.began
    account = {state: amount / 1e9 for state, amount in found.states.items()}
    return {
        "created_s": (pool.facts["began"] - pool.run_began) / 1e9,
        "region_s": region / 1e9,
        "creation_s": _creation_s(pool),
        "teardown_s": _teardown_s(pool),
        "account": account,
        "identity": found.identity,
        "chain": split_efficiency(account, CHAIN),
    }


def _volume(pool: PoolRecords, tasks: list[Task]) -> dict[str, Any]:
    """The volume: messages, bytes, switches."""
    counted = [task for task in tasks if task.switches >= 0]
    return {
        "messages": pool.count,
        "recorded": len(tasks),
        "bytes_out": _bytes(_sizes(pool.sends, tasks, "message_bytes"), pool.count),
        "bytes_in": _bytes(_sizes(pool.results, tasks, "result_bytes"), pool.count),
        "switches_forced": sum(task.switches & 0xFFFFFFFF for task in counted),
    }


def _durations(run: Run, pool: PoolRecords, tasks: list[Task]) -> dict[str, Any]:
    """Durations of items and messages, and of their waiting."""
    return {
        "item_times": sites.order_items(run, pool, tasks).distribution(),
        "queue_wait": sites.queue_waits(pool, tasks),
    }


def _concurrency(pool: PoolRecords, tasks: list[Task]) -> dict[str, Any]:
    """Concurrency: how many messages were out, how many ran."""
    work = outstanding(pool)
    waiting = sums.levels(_spans(pool))
    running = sums.levels([(task.began, task.ended) for task in tasks])
    ran_ns = sum(running.values())
    return {
        "active_s": sums.length(work) / 1e9,
        "max_outstanding": max(waiting, default=0),
        "mean_outstanding": sums.mean_level(waiting),
        "mean_running": sums.mean_level(running),
        "cores_used": _rate(tasks, ran_ns, "cpu"),
        "demand_cpus": _rate(tasks, ran_ns, "cpu", "queued"),
    }


def _blocking(run: Run, pool: PoolRecords, found: PoolAccount) -> dict[str, Any]:
    """Causes of the blocked time of tasks."""
    seen = _causes(run, pool)
    return {
        "blocked_by": causes.share_out(seen, found.states["run_blocked"] / 1e9),
        "samples": sum(seen.values()),
    }


def _sizes(records: list[Any], tasks: list[Task], name: str) -> list[tuple[int, int]]:
    """Number and bytes of each message: as the parent saw it, or else as the worker did."""
    if records:
        return [(record.number, record.size) for record in records]
    return [(task.number, getattr(task, name)) for task in tasks]


def _bytes(sizes: list[tuple[int, int]], count: int) -> float:
    """Bytes in all; those of unrecorded messages are as those recorded beside them."""
    known = math.fsum(size for _, size in sizes)
    like = [size for number, size in sizes if number > REGULAR] or [size for _, size in sizes]
    missing = max(0, count - len(sizes))
    return known + missing * math.fsum(like) / len(like) if like else known


# -- when there was work


def _spans(pool: PoolRecords) -> list[Span]:
    """Span of each recorded message, from its submission until its result was read."""
    read = {(result.job, result.position): result.loaded for result in pool.results}
    done = {(task.job, task.position): task.sent for w in pool.workers for task in w.tasks}
    if not pool.sends:
        return [(task.header, task.sent) for w in pool.workers for task in w.tasks]
    found = []
    for send in pool.sends:
        key = send.job, send.position
        end = read.get(key) or done.get(key) or pool.ended
        found.append((send.submitted or send.taken, max(send.taken, end)))
    return found


def outstanding(pool: PoolRecords) -> list[Span]:
    """The intervals in which the pool had something to do."""
    found = _spans(pool)
    for before, send in zip(pool.sends, pool.sends[1:], strict=False):
        if send.number - before.number > 1:  # what was between them was not recorded
            found.append((before.taken, send.taken))
    for worker in pool.workers:
        # Tasks are recorded also where their sending was not, because too much was sent at once.
        found += [(task.header, task.sent) for task in worker.tasks]
        for task, after in zip(worker.tasks, worker.tasks[1:], strict=False):
            if after.number - task.number > 1:
                found.append((task.get, after.sent))
        if worker.dark_until and worker.tasks:
            found.append((worker.tasks[-1].sent, worker.dark_until))
    return sums.unite(found)


def _rate(tasks: list[Task], ran_ns: int, *counters: str) -> float:
    """CPUs used (or wanted), on average while any task ran; over the messages that were counted."""
    counted = [task for task in tasks if task.cpu >= 0]
    used = sum(
        min(max(0, getattr(task, name)), task.ended - task.began)
        for task in counted
        for name in counters
    )
    share = sum(t.ended - t.began for t in counted) / max(1, sum(t.ended - t.began for t in tasks))
    return used / (ran_ns * share) if ran_ns and share else 0.0


# -- the pool's life


def _creation_s(pool: PoolRecords) -> float:
    made = pool.facts["ended"] - pool.facts["began"]
    if pool.is_lazy and not pool.kind.startswith("Thread"):
        made += sum(w.launched - w.launching for w in pool.workers[: pool.slots])
    return float(made) / 1e9


def _teardown_s(pool: PoolRecords) -> float:
    """Ending the pool, without waiting for work that was still under way."""
    spans = [(max(end["began"], pool.ended), end["ended"]) for end in pool.ends]
    return sums.length(sums.unite(spans)) / 1e9


def _startup(pool: PoolRecords) -> Startup:
    workers = [worker for worker in pool.workers if worker.launching]
    fresh = [worker for worker in workers if worker.interpreter]
    ready = [worker for worker in workers if worker.ready]
    began = [worker for worker in ready if worker.first_get]
    has_initializer = pool.facts["initializer"] is not None
    return Startup(
        starts=len(pool.workers),
        launch_s=_mean_s([w.launched - w.launching for w in workers]) or 0.0,
        interpreter_s=_mean_s([w.interpreter - w.launching for w in fresh]) if fresh else 0.0,
        imports_s=_mean_s([w.ready - (w.interpreter or w.booted) for w in ready]),
        initializer_s=_mean_s([w.first_get - w.ready for w in began]) if has_initializer else None,
        ready_max_s=max((w.first_get - w.launching for w in began), default=0) / 1e9,
        imports_bytes=mean_bytes([w.imported_bytes for w in workers]),
    )


def _mean_s(values_ns: list[int]) -> float | None:
    return sum(values_ns) / len(values_ns) / 1e9 if values_ns else None


def _worker(run: Run, worker: WorkerRecords, states: dict[str, float]) -> Worker:
    began = run.launch["began_ns"]
    seen = run.launch.get("processes", {}).get(str(worker.pid), {})
    cpu = [task.process_cpu_at_end for task in worker.tasks if task.process_cpu_at_end > 0]
    code = next((e["code"] for e in run.of("exit") if e["child"] == worker.pid), None)
    return Worker(
        pid=worker.pid,
        began_s=(worker.launching - began) / 1e9,
        ended_s=(worker.end - began) / 1e9,
        messages=worker.count,
        account={state: amount / 1e9 for state, amount in states.items()},
        cpu_s=cpu[-1] / 1e9 if cpu else None,
        threads=seen.get("threads") or None,
        exit_code=code,
    )


def _deaths(run: Run, pool: PoolRecords) -> list[Death]:
    """Workers that ended badly, and not by what the program told them.

    A broken executor sends its signal to all workers, those included that are dead already: what
    one died of shows in its exit code.
    """
    began = run.launch["began_ns"]
    told = {(event["child"], -event["number"]) for event in run.of("signal")}
    is_library = sites.library_of(pool.facts.get("target")) is not None
    errors = {event["pid"]: event for event in run.of("worker raised")}
    workers = {worker.pid: worker for worker in pool.workers}
    found = []
    for pid, code, at in _exits(run):
        if pid not in workers or code == 0 or (pid, code) in told:
            continue
        death = _death(workers[pid], code, at, began, errors.get(pid))
        if not (is_library and code in ORDERLY and death.running_s is None):
            found.append(death)
    return found


ORDERLY = {-15, 15, 143}
"""Exit codes of workers that a library ends by SIGTERM; some catch it and exit."""


def _exits(run: Run) -> list[tuple[int, int, int]]:
    """Processes that ended: as their parent saw it, or as the launcher did while nobody looked."""
    known = {event["child"]: (event["code"], event["t"]) for event in run.of("exit")}
    watch = run.launch.get("watch", {})
    for pid, code in watch.get("dead", {}).items():
        known.setdefault(int(pid), (code, watch["moved_ns"]))
    return [(pid, code, at) for pid, (code, at) in known.items()]


def _death(
    worker: WorkerRecords, code: int, at: int, began: int, raised: dict[str, Any] | None
) -> Death:
    is_inside = worker.opened_at > (worker.tasks[-1].began if worker.tasks else 0)
    return Death(
        pid=worker.pid,
        exit_code=code,
        at_s=(at - began) / 1e9,
        running_s=(at - worker.opened_at) / 1e9 if is_inside else None,
        was_ready=not worker.is_stillborn,
        error=_error(raised) if raised else None,
    )


def _error(raised: dict[str, Any]) -> str:
    where = sites.place(raised["place"])
    return f"{raised['error']} at {where}" if where else str(raised["error"])


def _streams(run: Run, pool: PoolRecords) -> list[RandomStream]:
    lives = [run.lives[worker.pid] for worker in pool.workers if worker.pid in run.lives]
    pairs = {
        "random": [(life.random_before, life.random_after) for life in lives],
        "numpy.random": [(life.numpy_before, life.numpy_after) for life in lives],
    }
    found = []
    for name, hashes in pairs.items():
        known = [(before, after) for before, after in hashes if before]
        if known:
            starts = len({before for before, _ in known})
            used = any(after not in {0, before} for before, after in known)
            found.append(RandomStream(name, len(known), starts, used))
    return found


# -- the parent's threads


def _parent(run: Run, pool: PoolRecords) -> ParentTimeline | None:
    if pool.kind.startswith("Thread") or not pool.sends:
        return None
    sent = dispatcher(pool).split(pool.began, max(pool.began, pool.sends[-1].sent))
    read = _collector(pool.results)
    return ParentTimeline(
        dispatch_idle_s=(sent.get("no_job", 0.0) + sent.get("parent_decide", 0.0)) / 1e9,
        generator_s=sent.get("input_slow", 0.0) / 1e9,
        pickle_s=sent.get("parent_pickle", 0.0) / 1e9,
        write_s=sent.get("parent_send", 0.0) / 1e9,
        collect_wait_s=read["wait"] / 1e9,
        read_s=read["read"] / 1e9,
        unpickle_s=read["unpickle"] / 1e9,
        handle_s=read["handle"] / 1e9,
        caller_wait_s=_caller_wait_s(run, pool),
    )


def _collector(results: list[Result]) -> Counter[str]:
    """The result thread's time; what was not recorded is as what was beside it."""
    found: Counter[str] = Counter()
    regular: Counter[str] = Counter()
    gap, before = 0, None
    for result in results:
        header = max(result.waiting, result.header)
        parts = {
            "wait": header - result.waiting,
            "read": max(0, result.payload - header),
            "unpickle": max(0, result.loaded - max(header, result.payload)),
            "handle": result.handled - result.loaded,
        }
        found.update(parts)
        if before is not None and result.number - before.number > 1:
            gap += max(0, result.waiting - before.handled)
        if result.number > REGULAR:
            regular.update(parts)
        before = result
    like = regular or Counter(found)
    whole = sum(like.values())
    for name, amount in like.items():
        found[name] += round(gap * amount / whole) if whole else 0
    return found


def _caller_wait_s(run: Run, pool: PoolRecords) -> float:
    """Seconds that the pool process's main thread was blocked while the pool had work."""
    pid, work = pool.facts["pid"], outstanding(pool)
    seen = causes.count_causes(run.samples.get(pid, {}).get(pid, []), work)
    count = sum(seen.values())
    return sums.length(work) / 1e9 * (1 - seen["run"] / count) if count else 0.0


# -- why tasks were blocked


def _causes(run: Run, pool: PoolRecords) -> Counter[str]:
    found: Counter[str] = Counter()
    is_threads = pool.kind.startswith("Thread")
    for worker in pool.workers:
        pid = pool.facts["pid"] if is_threads else worker.pid
        samples = run.samples.get(pid, {}).get(worker.pid, [])
        found.update(causes.count_causes(samples, [(t.began, t.ended) for t in worker.tasks]))
    return found


def _helpers_s(pool: PoolRecords, messages: sites.Messages) -> float:
    """CPU-seconds that other threads of the worker process burnt while tasks ran."""
    if pool.kind.startswith("Thread"):
        return 0.0
    tasks = [task for task in messages.tasks if task.cpu >= 0]
    short_ns = 1_000_000  # such tasks do not use helper threads
    long = [task for task in tasks if task.ended - task.began > short_ns]
    return messages.done([max(0, task.process_cpu - task.cpu) for task in long]) / 1e9


# -- what a message costs


def _costs(pool: PoolRecords, tasks: list[Task]) -> StepCosts | None:
    sends = {(send.job, send.position): send for send in pool.sends}
    counted = [
        task for task in tasks if (task.job, task.position) in sends and task.sent > task.got
    ]
    if not counted or not pool.results or pool.kind.startswith("Thread"):
        return None
    per_item = math.fsum(task.items for task in counted)
    out = _large([(task.message_bytes, task.payload - task.header) for task in counted])
    back = _large([(result.size, result.payload - result.header) for result in pool.results])
    return StepCosts(
        dispatch_s=_cost([(s.items, s.pickled - s.taken) for s in pool.sends]),
        fetch_s=_cost([(t.items, _fetching(t)) for t in counted]),
        reply_s=_cost([(t.items, _replying(t)) for t in counted]),
        collect_s=_cost([(1, _collecting(r)) for r in pool.results]),
        item_bytes_out=math.fsum(t.message_bytes for t in counted) / per_item,
        item_bytes_in=math.fsum(t.result_bytes for t in counted) / per_item,
        message_bytes=sums.quantile(sorted(float(t.message_bytes) for t in counted), 0.25),
        send_bytes_per_s=_bytes_per_s(out),
        reply_bytes_per_s=_bytes_per_s(back),
        calm_send_bytes_per_s=_calm_bytes_per_s(out),
        calm_reply_bytes_per_s=_calm_bytes_per_s(back),
    )


def _fetching(task: Task) -> int:
    """Time from a message that is there to its arguments, without the passing of many bytes."""
    if task.message_bytes > PIPE_BYTES and task.payload:
        return task.loaded - task.payload
    return task.loaded - max(task.get, task.header)


def _replying(task: Task) -> int:
    """Packing the result, and writing it if the pipe takes it at once."""
    return (task.wanted if task.result_bytes > PIPE_BYTES else task.sent) - task.pickling


def _collecting(result: Result) -> int:
    """Time from a result that is there until it is handled, without the passing of many bytes."""
    if result.size > PIPE_BYTES and result.payload:
        return result.handled - result.payload
    return result.handled - max(result.waiting, result.header)


def _cost(pairs: list[tuple[int, int]]) -> tuple[float, float]:
    """Fixed seconds a message and seconds an item, at the lower quartile of what was seen.

    With chunks of one size the two cannot be told apart; then all counts as fixed for single
    items, and as the items' for larger chunks.
    """
    sizes = sorted({items for items, _ in pairs if items})
    if not sizes:
        return 0.0, 0.0
    quartiles = {}
    for size in sizes:
        costs = sorted(cost / 1e9 for items, cost in pairs if items == size)
        quartiles[size] = sums.quantile(costs, 0.25)
    low, high = sizes[0], sizes[-1]
    if low == high:
        return (quartiles[low], 0.0) if low == 1 else (0.0, quartiles[low] / low)
    slope = max(0.0, (quartiles[high] - quartiles[low]) / (high - low))
    return max(0.0, quartiles[low] - slope * low), slope


def _large(passings: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(size, taken) for size, taken in passings if size > PIPE_BYTES and taken > 0]


def _bytes_per_s(passings: list[tuple[int, int]]) -> float | None:
    if not passings:
        return None
    return math.fsum(size for size, _ in passings) / math.fsum(taken for _, taken in passings) * 1e9


def _calm_bytes_per_s(passings: list[tuple[int, int]]) -> float | None:
    if not passings:
        return None
    return sums.quantile(sorted(size / taken * 1e9 for size, taken in passings), 0.75)
