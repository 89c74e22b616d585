"""Our own pools as the rules see them: from the ledger that each of them kept. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import Any

from poolwise.core import ledger
from poolwise.doctor import causes, sums
from poolwise.doctor.account import PoolAccount, chain, pop_factors
from poolwise.doctor.features import (
    Death,
    Distribution,
    ParentTimeline,
    Place,
    Pool,
    Site,
    Startup,
    Worker,
)
from poolwise.doctor.sites import place
from poolwise.doctor.store import Run

STATE_OF_ENTRY = {
    "start": "startup",
    "import": "startup",
    "init": "startup",
    "receive": "receive",
    "unpickle": "unpickle_args",
    "run_cpu": "run_cpu",
    "run_blocked": "run_blocked",
    "run_queued": "run_queued",
    "pickle": "pickle_result",
    "send": "send_result",
    "exit": "drain",
}
"""Entry of a worker in the ledger -> the doctor's state; idle entries go by their cause."""

STATE_OF_CAUSE = {
    "no_job": "starved",
    "input_slow": "generator",
    "consumer_slow": "starved",
    "tail": "tail",
    "parent_pickle": "pickle_args",
    "parent_send": "transport",
    "parent_decide": "dispatch",
    "parent_receive": "dispatch",
    "parent_unpickle": "dispatch",
    "parent_user_code": "dispatch",
    "hand_over": "wakeup",
    "cpu_not_granted": "wakeup",
    "unknown": "starved",
}
"""Cause of idleness in the ledger -> the doctor's state."""


def gather_own_pools(run: Run) -> list[Pool]:
    """Each of our pools that came to its end, by the last account it gave."""
    last = {event["id"]: event for event in run.of("ledger")}
    return [_gather_one(run, event) for event in last.values()]


def _gather_one(run: Run, event: dict[str, Any]) -> Pool:
    report = ledger.Report.from_dict(event["report"])
    states = translate(report.worker_account, report.idle)
    states["starved"] += report.not_started_s
    whole_s = report.worker_seconds + report.not_started_s
    region_s = whole_s / max(1, report.workers)
    states["unexplained"] = whole_s - math.fsum(states.values())
    workers = [_worker(lane) for lane in report.lanes]
    sites = [_site(function) for function in report.functions]
    return Pool(
        **_identify(run, event, report),
        **_concurrency(report),
        created_s=(event["began"] - run.launch["began_ns"]) / 1e9,
        region_s=region_s,
        active_s=report.open_s,
        creation_s=(event["ready"] - event["began"]) / 1e9,
        teardown_s=(event["ended"] - event["ending"]) / 1e9,
        account=dict(states),
        identity=1 - states["unexplained"] / whole_s if whole_s else 1.0,
        chain=chain({state: amount * 1e9 for state, amount in states.items()}),
        pop=_pop(workers, report.workers, region_s),
        messages=report.chunks,
        items=report.items,
        recorded=report.chunks,
        bytes_out=float(report.bytes_out),
        bytes_in=float(report.bytes_in),
        sites=sites,
        workers=workers,
        startup=_startup(report),
        deaths=[Death(0, None, 0.0, None, None)] * report.deaths,
        parent=_parent(report.parent),
        costs=None,
        item_times=_distribution(report.task_times),
        message_times=sums.distribute([(s.ended_s - s.begun_s) * 1e9 for s in report.spans]),
        queue_wait=None,
        **_blocking(run, event, report),
        helper_cpu_s=0.0,
        leaves=[],
        random_streams=[],
        switches_voluntary=0,
        switches_forced=0,
        minor_faults=0,
        laws=report.laws,
    )


def translate(account: dict[str, float], idle: dict[str, float]) -> dict[str, float]:
    """The ledger's entries and causes of idleness as the doctor's states, in seconds."""
    found: dict[str, float] = defaultdict(float)
    for entry, state in STATE_OF_ENTRY.items():
        found[state] += account.get(entry, 0.0)
    for cause, state in STATE_OF_CAUSE.items():
        found[state] += idle.get(cause, 0.0)
    return found


def _identify(run: Run, event: dict[str, Any], report: ledger.Report) -> dict[str, Any]:
    is_threads = report.backend == "threads"
    parent = run.launch.get("processes", {}).get(str(event["pid"]), {})
    return {
        "id": event["id"],
        "kind": "Threads of poolwise" if is_threads else "poolwise",
        "place": place(event["place"]),
        "pid": event["pid"],
        "method": None if is_threads else report.backend,
        "slots": report.workers,
        "slots_asked": None,
        "max_tasks_per_child": None,
        "initializer": None,
        "parent_threads": None,
        "parent_rss_bytes": parent.get("rss_bytes"),
    }


def _concurrency(report: ledger.Report) -> dict[str, Any]:
    spans = [(round(s.arrived_s * 1e9), round(s.sent_s * 1e9)) for s in report.spans]
    held = sums.levels(spans)
    account, open_s = report.worker_account, max(report.open_s, 1e-9)
    cpu_s, queued_s = account.get("run_cpu", 0.0), account.get("run_queued", 0.0)
    jobs = sum(function.jobs for function in report.functions)
    together = report.items if report.items > jobs else 1
    return {
        "cores_used": cpu_s / open_s,
        "demand_cpus": (cpu_s + queued_s) / open_s,
        "mean_running": (cpu_s + queued_s + account.get("run_blocked", 0.0)) / open_s,
        "max_outstanding": max([together, *held]),
        "mean_outstanding": max(sums.mean_level(held), min(together, report.workers)),
        "bursts": jobs,
    }


def _blocking(run: Run, event: dict[str, Any], report: ledger.Report) -> dict[str, Any]:
    """What tasks were blocked on, as the launcher saw it."""
    seen: Counter[str] = Counter()
    for lane in report.lanes:
        times = [(s.begun_s, s.ended_s) for s in report.spans if s.lane == lane.lane]
        spans = [
            (event["began"] + round(begin * 1e9), event["began"] + round(end * 1e9))
            for begin, end in sorted(times)
        ]
        samples = run.samples.get(lane.pid or 0, {}).get(lane.pid or 0, [])
        seen.update(causes.count_causes(samples, spans))
    blocked_s = report.worker_account.get("run_blocked", 0.0)
    return {"blocked_by": causes.share_out(seen, blocked_s), "samples": sum(seen.values())}


def _pop(workers: list[Worker], slots: int, region_s: float) -> Any:
    accounts = {worker.pid: worker.account for worker in workers}
    return pop_factors(PoolAccount({}, accounts), slots, region_s)  # type: ignore[arg-type]


def _worker(lane: ledger.LaneAccount) -> Worker:
    return Worker(
        pid=lane.pid or -lane.lane,
        began_s=lane.born_s,
        ended_s=lane.ended_s if lane.ended_s is not None else lane.born_s + lane.life_s,
        messages=lane.chunks,
        account=dict(translate(lane.account, lane.idle)),
        cpu_s=None,
        threads=None,
        max_rss_bytes=None,
        exit_code=None,
    )


def _startup(report: ledger.Report) -> Startup:
    starts = sum(lane.lanes for lane in report.lanes)
    account = report.worker_account
    waits = [lane.ready_s - lane.born_s for lane in report.lanes if lane.ready_s is not None]
    return Startup(
        starts=starts,
        launch_s=account.get("start", 0.0) / max(1, starts),
        interpreter_s=0.0,
        imports_s=account.get("import", 0.0) / max(1, starts),
        initializer_s=account.get("init", 0.0) / max(1, starts),
        ready_max_s=max(waits, default=0.0),
    )


def _parent(entries: dict[str, float]) -> ParentTimeline:
    idle_s = entries.get("wait", 0.0)
    return ParentTimeline(
        dispatch_idle_s=idle_s + entries.get("decide", 0.0),
        generator_s=entries.get("produce", 0.0),
        pickle_s=entries.get("pickle", 0.0),
        write_s=entries.get("send", 0.0),
        collect_wait_s=idle_s,
        read_s=entries.get("receive", 0.0),
        unpickle_s=entries.get("unpickle", 0.0),
        handle_s=entries.get("user_code", 0.0),
        caller_wait_s=idle_s,
    )


def _site(found: ledger.FunctionAccount) -> Site:
    file, _, line = (found.site or "").rpartition(":")
    return Site(
        place=Place(file, int(line)) if line.isdigit() else None,
        api="map" if found.site else "submit",
        function=found.function,
        function_place=None,
        calls=found.jobs,
        messages=found.chunks,
        items=found.items,
        chunksize_asked=None,
        chunksize=found.items / max(1, found.chunks),
        input_type=None,
        input_has_length=None,
        listing_s=None,
        result_type=None,
        bytes_out=float(found.bytes_out),
        bytes_in=float(found.bytes_in),
        first_s=0.0,
        last_s=0.0,
        account={
            "run_cpu": found.cpu_s,
            "run_queued": found.queued_s,
            "run_blocked": max(0.0, found.run_s - found.cpu_s - found.queued_s),
            "receive": found.receive_s,
            "unpickle_args": found.worker_unpickle_s,
            "pickle_result": found.worker_pickle_s,
        },
        item_times=_distribution(found.task_times),
        message_times=None,
        queue_wait=None,
        leaves=[],
        series_s=[],
        series_step=1.0,
        is_partial=None,
    )


def _distribution(found: ledger.Distribution | None) -> Distribution | None:
    if found is None:
        return None
    names = ("total_s", "mean_s", "stdev_s", "p10_s", "p50_s", "p90_s", "p99_s", "max_s")
    return Distribution(found.count, *(getattr(found, name) for name in names))
