"""Our own pools as the rules see them: from the ledger that each of them kept. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

from poolwise.account import ledger
from poolwise.account.derive import split_efficiency
from poolwise.account.states import CHAIN, IDLE_CAUSES, merge
from poolwise.doctor.evidence.features import (
    Death,
    Distribution,
    Leaf,
    ParentTimeline,
    Place,
    Pool,
    Site,
    Startup,
    Worker,
)
from poolwise.doctor.gather import causes, sums
from poolwise.doctor.gather.sites import make_leaves, place
from poolwise.doctor.records.pools import imported_bytes, mean_bytes
from poolwise.doctor.records.run import Run

TICKS_PER_S = 100
"""The kernel's unit of CPU time in /proc, the same on all Linux that Python runs on."""


def gather_own_pools(run: Run) -> list[Pool]:
    """Each of our pools that came to its end, by the last account it gave."""
    last = {event["id"]: event for event in run.of("ledger")}
    return [_gather_one(run, event) for event in last.values()]


def _gather_one(run: Run, event: dict[str, Any]) -> Pool:
    report = ledger.Report.from_dict(event["report"])
    states = {**dict.fromkeys(IDLE_CAUSES, 0.0), **merge(report.worker_account, report.idle)}
    states.pop("unexplained", None)
    is_replacing = sum(lane.lanes for lane in report.lanes) > report.workers
    empty_s = max(0.0, report.not_started_s)  # one that ends may live beside the one that follows
    states["respawn" if is_replacing else "not_started"] = empty_s
    whole_s = report.worker_seconds + empty_s
    region_s = whole_s / max(1, report.workers)
    states["unexplained"] = whole_s - math.fsum(states.values())
    workers = [_worker(run, lane) for lane in report.lanes]
    sites = gather_sites(run, event, report)
    return Pool(
        **_identify(event, report),
        **_concurrency(report),
        created_s=(event["began"] - run.launch["began_ns"]) / 1e9,
        region_s=region_s,
        active_s=report.open_s,
        creation_s=(event["ready"] - event["began"]) / 1e9,
        teardown_s=(event["ended"] - event["ending"]) / 1e9,
        account=states,
        identity=1 - states["unexplained"] / whole_s if whole_s else 1.0,
        chain=split_efficiency(states, CHAIN),
        messages=report.chunks,
        items=report.items,
        recorded=report.chunks,
        bytes_out=float(report.bytes_out),
        bytes_in=float(report.bytes_in),
        sites=sites,
        workers=workers,
        startup=_startup(run, report),
        deaths=[Death(0, None, 0.0, None)] * report.deaths,
        parent=_parent(run, event, report),
        costs=None,
        item_times=_distribution(report.task_times),
        queue_wait=None,
        **_blocking(run, event, report),
        helper_cpu_s=_helpers_s(run, report),
        leaves=sorted((leaf for s in sites for leaf in s.leaves), key=lambda x: -x.size_bytes),
        random_streams=[],
        switches_forced=0,
        laws=report.laws,
    )


def _identify(event: dict[str, Any], report: ledger.Report) -> dict[str, Any]:
    is_threads = report.backend == "threads"
    return {
        "id": event["id"],
        "kind": "Threads of poolwise" if is_threads else "poolwise",
        "place": place(event["place"]),
        "pid": event["pid"],
        "method": None if is_threads else event.get("method") or report.backend,
        "slots": report.workers,
        "max_tasks_per_child": event.get("max_tasks"),
        "initializer": event.get("initializer"),
        "parent_threads": event.get("threads"),
    }


def _concurrency(report: ledger.Report) -> dict[str, Any]:
    spans = [(round(s.arrived_s * 1e9), round(s.sent_s * 1e9)) for s in report.spans]
    held = sums.levels(spans)
    account, open_s = report.worker_account, max(report.open_s, 1e-9)
    cpu_s, queued_s = account.get("run_cpu", 0.0), account.get("run_queued", 0.0)
    jobs = sum(function.jobs for function in report.functions)
    in_a_chunk = max([1, *(span.items for span in report.spans)])
    together = report.items if report.items > jobs else in_a_chunk
    return {
        "cores_used": cpu_s / open_s,
        "demand_cpus": (cpu_s + queued_s) / open_s,
        "mean_running": (cpu_s + queued_s + account.get("run_blocked", 0.0)) / open_s,
        "max_outstanding": max([together, *held]),
        "mean_outstanding": max(sums.mean_level(held), min(together, report.workers)),
    }


def _blocking(run: Run, event: dict[str, Any], report: ledger.Report) -> dict[str, Any]:
    """Causes of blocked time, as the launcher saw them."""
    seen: Counter[str] = Counter()
    for lane in report.lanes:
        times = [(s.begun_s, s.ended_s) for s in report.spans if s.lane == lane.lane]
        spans = [_in_run(event, begin, end) for begin, end in sorted(times)]
        samples = run.samples.get(lane.pid or 0, {}).get(lane.pid or 0, [])
        seen.update(causes.count_causes(samples, spans))
    blocked_s = report.worker_account.get("run_blocked", 0.0)
    return {"blocked_by": causes.share_out(seen, blocked_s), "samples": sum(seen.values())}


def _worker(run: Run, lane: ledger.LaneAccount) -> Worker:
    seen = run.launch.get("processes", {}).get(str(lane.pid), {})
    return Worker(
        pid=lane.pid or -lane.lane,
        began_s=lane.born_s,
        ended_s=lane.ended_s if lane.ended_s is not None else lane.born_s + lane.life_s,
        messages=lane.chunks,
        account=merge(lane.account, lane.idle),
        cpu_s=None,
        threads=seen.get("threads") or None,
        exit_code=None,
    )


def _startup(run: Run, report: ledger.Report) -> Startup:
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
        imports_bytes=mean_bytes([imported_bytes(run, lane.pid) for lane in report.lanes]),
    )


def _parent(run: Run, event: dict[str, Any], report: ledger.Report) -> ParentTimeline:
    entries = report.parent
    idle_s = entries.get("wait", 0.0)
    return ParentTimeline(
        dispatch_idle_s=idle_s + entries.get("decide", 0.0),
        generator_s=entries.get("produce", 0.0),
        pickle_s=entries.get("pickle", 0.0),
        write_s=entries.get("send", 0.0),
        collect_wait_s=idle_s,
        read_s=entries.get("receive", 0.0),
        unpickle_s=entries.get("unpickle", 0.0),
        # A program that waits for futures by itself is at its own code for the ledger; what
        # callbacks hold up shows in workers that wait for them.
        handle_s=min(entries.get("user_code", 0.0), report.idle.get("parent_user_code", 0.0)),
        caller_wait_s=_caller_wait_s(run, event, report),
    )


def _caller_wait_s(run: Run, event: dict[str, Any], report: ledger.Report) -> float:
    """Seconds that the pool process's first thread was blocked while chunks were under way."""
    pid = event["pid"]
    work = sums.unite(_in_run(event, s.arrived_s, s.sent_s) for s in report.spans)
    seen = causes.count_causes(run.samples.get(pid, {}).get(pid, []), work)
    count = sum(seen.values())
    return report.open_s * (1 - seen["run"] / count) if count else report.parent.get("wait", 0.0)


def _in_run(event: dict[str, Any], begin_s: float, end_s: float) -> sums.Span:
    """Two times of a ledger on the clock of the run."""
    return event["began"] + round(begin_s * 1e9), event["began"] + round(end_s * 1e9)


def gather_sites(run: Run, event: dict[str, Any], report: ledger.Report) -> list[Site]:
    """The lines that gave work to one pool."""
    began_s = (event["began"] - run.launch["began_ns"]) / 1e9
    calls = {(call["name"], call["site"]): call for call in run.of("own call")}
    groups: dict[tuple[str, str | None], list[ledger.ChunkSpan]] = defaultdict(list)
    for span in report.spans:
        groups[span.function, span.site].append(span)
    spans = [groups[each.function, each.site] for each in report.functions]
    sites = [
        _site(function, own, calls.get((function.function, function.site), {}), report, began_s)
        for function, own in zip(report.functions, spans, strict=True)
    ]
    sites = [
        replace(site, leaves=_leaves(run, event["id"], function, calls))
        for site, function in zip(sites, report.functions, strict=True)
    ]
    return _with_waits(sites, spans, report)


WAITING = tuple(cause for cause in IDLE_CAUSES if cause != "tail")
"""Causes of waiting before a message."""


def _with_waits(
    sites: list[Site], groups: list[list[ledger.ChunkSpan]], report: ledger.Report
) -> list[Site]:
    """Adds what workers waited for before the messages of each line, as the chunks tell it.

    The sums are those of the pool; what no chunk tells of goes by the time inside the function.
    """
    told = [_tell_waits(group) for group in groups]
    ran_s = math.fsum(site.work_s for site in sites) or 1.0
    found = []
    for site, own in zip(sites, told, strict=True):
        account = dict(site.account)
        for state in WAITING:
            told_s = math.fsum(each[state] for each in told)
            share = own[state] / told_s if told_s > 0 else site.work_s / ran_s
            account[state] = report.idle.get(state, 0.0) * share
        account["send"] = own["send"]
        found.append(replace(site, account=account))
    return found


def _tell_waits(spans: list[ledger.ChunkSpan]) -> dict[str, float]:
    told: dict[str, float] = defaultdict(float)
    for span in spans:
        told[span.cause] += max(0.0, span.arrived_s - span.free_s)
        told["send"] += span.sent_s - span.pickled_s
    return told


def _helpers_s(run: Run, report: ledger.Report) -> float:
    """CPU-seconds of all threads of the workers but their first, as the launcher saw them."""
    if report.backend == "threads":
        return 0.0
    threads = [
        (pid, thread, samples[-1].cpu_ticks)
        for pid in {lane.pid for lane in report.lanes if lane.pid}
        for thread, samples in run.samples.get(pid, {}).items()
    ]
    return sum(ticks for pid, thread, ticks in threads if pid != thread) / TICKS_PER_S


def _site(
    found: ledger.FunctionAccount,
    spans: list[ledger.ChunkSpan],
    call: dict[str, Any],
    report: ledger.Report,
    began_s: float,
) -> Site:
    file, _, line = (found.site or "").rpartition(":")
    known = Place(file, int(line)) if line.isdigit() else None
    series, step = _series(found, spans)
    first_s = 0.0 if report.spans_left_out else min((s.free_s for s in spans), default=0.0)
    return Site(
        place=place(call.get("place")) or known,
        api=call.get("api") or ("map" if found.site else "submit"),
        function=call.get("function") or found.function,
        function_place=place(call.get("function_place")),
        calls=found.jobs or found.items,
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
        first_s=began_s + first_s,
        last_s=began_s + max((s.sent_s for s in spans), default=first_s),
        account={
            "run_cpu": found.cpu_s,
            "run_queued": found.queued_s,
            "run_blocked": max(0.0, found.run_s - found.cpu_s - found.queued_s),
            "receive": found.receive_s,
            "unpickle": found.worker_unpickle_s,
            "pickle": found.worker_pickle_s,
        },
        item_times=_item_times(found, report),
        queue_wait=None,
        leaves=[],
        series_s=series,
        series_step=step,
    )


def _leaves(
    run: Run, pool: int, found: ledger.FunctionAccount, calls: dict[Any, dict[str, Any]]
) -> list[Leaf]:
    """The parts of the arguments. One that a chunk's items share travels once with the chunk."""
    key = (found.function, found.site)
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in run.of("leaf"):
        if event["pool"] == pool and event.get("own") == key:
            groups[event["name"]].append(event)
    times = found.chunks if found.site else found.items
    return make_leaves(groups, calls.get(key, {}), float(found.bytes_out), times)


def _series(
    found: ledger.FunctionAccount, spans: list[ledger.ChunkSpan]
) -> tuple[list[float], float]:
    """Item times in input order, and for how many items each value stands.

    Of the items of a chunk each counts as its mean. Nothing where chunks were forgotten. An answer
    that only says that its chunk has ended has none.
    """
    if sum(span.items for span in spans) < found.items:
        return [], 1.0
    step = -(-found.items // sums.SERIES)
    series: list[float] = []
    answers = [span for span in spans if span.items]
    for span in sorted(answers, key=lambda span: (span.job, span.first)):
        each_s = (span.ended_s - span.begun_s) / span.items
        series += [each_s] * max(1, round(span.items / step))
    return series, found.items / max(1, len(series))


def _item_times(found: ledger.FunctionAccount, report: ledger.Report) -> Distribution | None:
    """Item times, with the position of the longest if the ledger kept it and it is of this line."""
    times = _distribution(found.task_times)
    is_alone = sum(each.function == found.function for each in report.functions) == 1
    slowest = next((slow for slow in report.slowest if slow.function == found.function), None)
    if times is None or slowest is None or not is_alone:
        return times
    return replace(times, index_of_max=slowest.item)


def _distribution(found: ledger.Distribution | None) -> Distribution | None:
    if found is None:
        return None
    return Distribution(found.count, found.p50_s, found.max_s)
